//! Windows of a series, split in time order, scaled by what the training part knows.

use tapeloop::Tensor;

/// Mean and deviation of the training part: the only numbers that reach the other parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaler {
    mean: f64,
    std: f64,
}

impl Scaler {
    /// Fitted on these values.
    pub fn fit(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let std = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        Self { mean, std: if std > 0.0 { std } else { 1.0 } }
    }

    /// To mean 0 and deviation 1.
    pub fn scale(self, x: f64) -> f64 {
        (x - self.mean) / self.std
    }

    /// Back to the measured unit.
    pub fn restore(self, x: f64) -> f64 {
        self.mean + self.std * x
    }
}

/// Inputs (windows, `window`, 1) and targets (windows, `horizon`), scaled.
#[derive(Clone, Debug)]
pub struct Windows {
    /// What is known: consecutive values.
    pub inputs: Tensor,
    /// What comes next.
    pub targets: Tensor,
    /// Where in the series the first target of each window lies.
    pub places: Vec<usize>,
}

/// Training, validation and test part of a series, in this order of time.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Fitted on the training part.
    pub scaler: Scaler,
    /// The number of values that training may see.
    pub known: usize,
    /// To fit.
    pub train: Windows,
    /// To choose by.
    pub validation: Windows,
    /// To judge by.
    pub test: Windows,
}

impl Dataset {
    /// 70 % of the values to train on, 15 % to validate, the rest to test. A window belongs to the part in which all
    /// of its targets lie; what it looks back on may lie before.
    ///
    /// # Errors
    /// If a part would have no window, or the numbers are so large that their square is none.
    pub fn new(values: &[f64], window: usize, horizon: usize) -> Result<Self, String> {
        let n = values.len();
        let (known, seen) = (n * 70 / 100, n * 85 / 100);
        let scaler = Scaler::fit(&values[..known.max(1).min(n)]);
        if let Some(place) = values.iter().position(|x| !(x * x * n as f64).is_finite()) {
            return Err(format!("value {}, {:e}, is too large to compute with", place + 1, values[place]));
        }
        let part = |name: &str, start: usize, end: usize| {
            let places: Vec<usize> = (start.max(window)..(end + 1).saturating_sub(horizon)).collect();
            if places.is_empty() {
                return Err(format!(
                    "{n} values are too few: no window of {window} with {horizon} to forecast fits into the {name} part"
                ));
            }
            let scaled = |at: usize| scaler.scale(values[at]) as f32;
            let inputs = Tensor::from_fn([places.len(), window, 1], |i| scaled(places[i[0]] - window + i[1]));
            let targets = Tensor::from_fn([places.len(), horizon], |i| scaled(places[i[0]] + i[1]));
            Ok(Windows { inputs, targets, places })
        };
        let (train, validation) = (part("training", 0, known)?, part("validation", known, seen)?);
        Ok(Self { scaler, known, train, validation, test: part("test", seen, n)? })
    }
}

/// Root-mean-square and mean absolute error.
pub fn errors(forecast: &[Vec<f64>], values: &[f64], places: &[usize]) -> (f64, f64) {
    let differences: Vec<f64> = forecast
        .iter()
        .zip(places)
        .flat_map(|(row, &place)| row.iter().enumerate().map(move |(k, y)| y - values[place + k]))
        .collect();
    let n = differences.len() as f64;
    let square = differences.iter().map(|d| d * d).sum::<f64>() / n;
    (square.sqrt(), differences.iter().map(|d| d.abs()).sum::<f64>() / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_in_time_and_nothing_leaks() {
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        let data = Dataset::new(&values, 10, 2).unwrap();
        let last = |windows: &Windows| windows.places[windows.places.len() - 1] + 1;
        assert_eq!((data.train.places[0], last(&data.train)), (10, 69));
        assert_eq!((data.validation.places[0], last(&data.validation)), (70, 84));
        assert_eq!((data.test.places[0], last(&data.test)), (85, 99));
        // What is after the training part changes nothing in it.
        let other: Vec<f64> = (0..100).map(|i| if i < 70 { f64::from(i) } else { 1e9 }).collect();
        let changed = Dataset::new(&other, 10, 2).unwrap();
        assert_eq!(changed.scaler, data.scaler);
        assert_eq!(changed.train.inputs.to_vec(), data.train.inputs.to_vec());
        assert_eq!(changed.train.targets.to_vec(), data.train.targets.to_vec());
    }

    #[test]
    fn too_few_values_say_so() {
        let error = Dataset::new(&[1.0; 20], 10, 5).unwrap_err();
        assert!(error.contains("20 values are too few"), "{error}");
        assert!(Dataset::new(&[], 10, 1).is_err());
        for (window, horizon) in [(100, 1), (usize::MAX, 1), (10, 50), (10, usize::MAX), (usize::MAX, usize::MAX)] {
            assert!(Dataset::new(&[1.0; 60], window, horizon).is_err(), "{window}, {horizon}");
        }
        let mut values = [1.0; 60];
        values[5] = -1e200;
        assert!(Dataset::new(&values, 10, 1).unwrap_err().contains("value 6, -1e200"));
    }
}
