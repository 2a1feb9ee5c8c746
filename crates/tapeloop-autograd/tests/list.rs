//! The folders of operations and the lists name the same files.

use std::collections::BTreeSet;
use std::path::Path;

use tapeloop_autograd::ops::catalogue;
use tapeloop_autograd::{Rng, Tape, Tensor};

#[test]
fn every_file_is_in_the_list_and_has_an_example() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let entries = catalogue::<f64>();
    for group in entries.iter().map(|entry| entry.group).collect::<BTreeSet<_>>() {
        let folder = if group == "composed" { source.join(group) } else { source.join("ops").join(group) };
        let files: BTreeSet<String> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .filter(|name| name != "mod")
            .collect();
        let listed: BTreeSet<String> =
            entries.iter().filter(|entry| entry.group == group).map(|entry| entry.file.to_string()).collect();
        assert_eq!(files, listed, "in {}", folder.display());
    }
    let folders =
        std::fs::read_dir(source.join("ops")).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir());
    for folder in folders {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(entries.iter().any(|entry| entry.group == name), "no operation of the list is in {name}");
    }
    for entry in entries {
        assert!(!entry.examples.is_empty(), "{} has no example", entry.file);
    }
}

#[test]
fn both_precisions_agree() {
    // Every example in f32 against f64: an operation that is right only in one of them shows.
    for (double, single) in catalogue::<f64>().iter().zip(catalogue::<f32>()) {
        for (example, other) in double.examples.iter().zip(single.examples) {
            let mut rng = Rng::new(3);
            let inputs: Vec<Tensor<f32>> = example.inputs.iter().map(|sample| sample.draw(&mut rng)).collect();
            let (tape, exact) = (Tape::<f32>::inference(), Tape::<f64>::inference());
            let x: Vec<_> = inputs.iter().map(|x| tape.leaf(x.clone())).collect();
            let y: Vec<_> = inputs.iter().map(|x| exact.leaf(x.cast())).collect();
            let (own, reference) = ((other.call)(&x).value().to_vec(), (example.call)(&y).value().to_vec());
            let scale = reference.iter().fold(1e-3f64, |max, x| max.max(x.abs()));
            for (own, reference) in own.iter().zip(reference) {
                let error = (f64::from(*own) - reference).abs() / scale;
                assert!(error < 2e-5, "{}: `{}`: {own} instead of {reference}", double.file, example.text);
            }
        }
    }
}

#[test]
fn every_value_knows_the_line_that_asked_for_it() {
    // Not a line of the library's: an example is called where it is written, below what it shows.
    let mut wrong = BTreeSet::new();
    for entry in catalogue::<f64>() {
        for example in &entry.examples {
            let (tape, mut rng) = (Tape::<f64>::new(), Rng::new(3));
            let x: Vec<_> = example.inputs.iter().map(|sample| tape.leaf(sample.draw(&mut rng))).collect();
            (example.call)(&x);
            for node in &tape.graph().nodes[x.len()..] {
                if node.at.file() != example.at.file() || node.at.line() < example.at.line() {
                    wrong.insert(format!("{}: `{}` made {} at {}", entry.file, example.text, node.op, node.at));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
