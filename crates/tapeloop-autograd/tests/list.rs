//! The folders of operations and the lists name the same files.

use std::collections::BTreeSet;
use std::path::Path;

use tapeloop_autograd::ops::catalogue;

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
    use tapeloop_autograd::{Rng, Tape, Tensor};
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
