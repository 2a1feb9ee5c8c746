//! What the README shows as the whole LSTM is the whole LSTM.

#[test]
fn the_step_in_the_readme_is_the_step_in_the_source() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let readme = read("README.md");
    let shown = readme.split("```Rust\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert!(shown.contains("fn step"));
    assert!(words(&read("crates/tapeloop-layers/src/cells/lstms/lstm.rs")).contains(&words(shown)));
}
