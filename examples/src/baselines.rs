//! What a forecast must beat: yesterday's value, a linear autoregression, a sum of cycles.

use tapeloop::{Tape, Tensor};

/// The last known value, for every step of the horizon.
pub fn persistence(values: &[f64], places: &[usize], horizon: usize) -> Vec<Vec<f64>> {
    places.iter().map(|&place| vec![values[place - 1]; horizon]).collect()
}

/// x with the least ‖A x − y‖, with so small a ridge that it only matters where A lacks rank.
fn least_squares(rows: &[Vec<f64>], y: &[f64]) -> Vec<f64> {
    let (n, width) = (rows.len(), rows[0].len());
    let tape = Tape::<f64>::inference();
    let a = tape.constant(Tensor::from_vec([n, width], rows.concat()));
    let y = tape.constant(Tensor::from_vec([n, 1], y.to_vec()));
    let gram = a.t().matmul(a);
    let ridge = tape.constant(Tensor::eye(width)) * (gram.trace().item() * 1e-12 + f64::MIN_POSITIVE);
    (gram + ridge).solve(a.t().matmul(y)).value().to_vec()
}

/// A linear autoregression of this order with a constant, fitted on the first `known` values by least squares;
/// further steps go on from its own forecasts.
pub fn autoregression(
    values: &[f64],
    known: usize,
    order: usize,
    places: &[usize],
    horizon: usize,
) -> Option<Vec<Vec<f64>>> {
    if known < 2 * order + 2 || places.iter().any(|&place| place < order) {
        return None;
    }
    let row = |past: &[f64]| [1.0].into_iter().chain(past.iter().copied()).collect::<Vec<f64>>();
    let rows: Vec<_> = (order..known).map(|t| row(&values[t - order..t])).collect();
    let weights = least_squares(&rows, &values[order..known]);
    let forecast = |place: usize| {
        let mut past = values[place - order..place].to_vec();
        for _ in 0..horizon {
            let next = row(&past[past.len() - order..]).iter().zip(&weights).map(|(x, w)| x * w).sum();
            past.push(next);
        }
        past[order..].to_vec()
    };
    Some(places.iter().map(|&place| forecast(place)).collect())
}

/// A constant and the `count` sinusoids that fit the first `known` values best, one found after the other, continued
/// into the future.
pub fn harmonics(values: &[f64], known: usize, count: usize, places: &[usize], horizon: usize) -> Vec<Vec<f64>> {
    let row = |t: usize, frequencies: &[f64]| {
        let waves = frequencies.iter().flat_map(|f| {
            let angle = std::f64::consts::TAU * f * t as f64;
            [angle.cos(), angle.sin()]
        });
        [1.0].into_iter().chain(waves).collect::<Vec<f64>>()
    };
    let fit = |frequencies: &[f64]| {
        let rows: Vec<_> = (0..known).map(|t| row(t, frequencies)).collect();
        let weights = least_squares(&rows, &values[..known]);
        let value = |row: &Vec<f64>| row.iter().zip(&weights).map(|(x, w)| x * w).sum::<f64>();
        let rest: f64 = rows.iter().zip(values).map(|(row, y)| (y - value(row)).powi(2)).sum();
        (weights, rest)
    };
    let mut frequencies = Vec::new();
    for _ in 0..count {
        // Four candidates to each frequency that the known part can tell from its neighbours.
        let candidates = (4..2 * known).map(|k| k as f64 / (4 * known) as f64);
        let tried = candidates.map(|candidate| {
            let mut with = frequencies.clone();
            with.push(candidate);
            (candidate, fit(&with).1)
        });
        let best = tried.min_by(|a, b| a.1.total_cmp(&b.1));
        frequencies.extend(best.map(|(candidate, _)| candidate));
    }
    let (weights, _) = fit(&frequencies);
    let at = |t: usize| row(t, &frequencies).iter().zip(&weights).map(|(x, w)| x * w).sum::<f64>();
    places.iter().map(|&place| (place..place + horizon).map(at).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_forecasts_what_it_is_made_for() {
        let wave: Vec<f64> = (0..120).map(|t| 5.0 + (std::f64::consts::TAU * f64::from(t) / 12.0).sin()).collect();
        let places: Vec<usize> = (90..110).collect();
        let error = |forecast: Vec<Vec<f64>>| crate::dataset::errors(&forecast, &wave, &places).0;
        assert!(error(harmonics(&wave, 84, 1, &places, 3)) < 1e-6);
        assert!(error(autoregression(&wave, 84, 4, &places, 3).unwrap()) < 1e-4);
        let line = vec![2.0; 120];
        assert_eq!(persistence(&line, &places, 2), vec![vec![2.0; 2]; 20]);
        assert!(autoregression(&wave, 5, 4, &places, 1).is_none());
    }
}
