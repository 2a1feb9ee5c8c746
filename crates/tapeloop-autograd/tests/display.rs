//! Tensors print as NumPy's arrays do.

use tapeloop_autograd::{Item, Tensor};

/// One array a line, made by `display.py` beside it: type, shape, elements, decimals or −, and what NumPy prints.
const CASES: &str = include_str!("tables/display.txt");

fn check<T: Item>(fields: &[&str], parse: impl Fn(&str) -> T) {
    let shape: Vec<usize> = fields[1].split_terminator(',').map(|n| n.parse().unwrap()).collect();
    let size = shape.iter().product();
    let listed: Vec<T> = fields[2].split_terminator(' ').map(parse).collect();
    // Few elements for a large shape are repeated.
    let x = Tensor::from_vec(shape, listed.iter().copied().cycle().take(size).collect());
    let text = match fields[3] {
        "-" => x.to_string(),
        decimals => format!("{x:.*}", decimals.parse::<usize>().unwrap()),
    };
    assert_eq!(text, fields[4].replace('|', "\n"), "{fields:?}");
}

#[test]
fn as_numpy_prints_it() {
    let mut cases = 0;
    for line in CASES.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        match fields[0] {
            "float32" => check::<f32>(&fields, |x| x.parse().unwrap()),
            "float64" => check::<f64>(&fields, |x| x.parse().unwrap()),
            "int64" => check::<i64>(&fields, |x| x.parse().unwrap()),
            "bool" => check::<bool>(&fields, |x| x == "1"),
            other => panic!("{other}"),
        }
        cases += 1;
    }
    assert!(cases > 60, "{cases}");
}

#[test]
fn decimals_of_a_single_number() {
    assert_eq!(format!("{:.2}", Tensor::scalar(0.5f32)), "0.50");
    assert_eq!(format!("{:.0}", Tensor::scalar(2.0f64)), "2");
}
