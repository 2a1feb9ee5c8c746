//! Settings of cells that make no sense: an error that names them, whatever JSON says.

use tapeloop_autograd::{Rng, Shape};
use tapeloop_layers::CellConfig;

/// Why there is no such cell for four features.
fn refused(json: &str) -> String {
    let config: CellConfig = match serde_json::from_str(json) {
        Ok(config) => config,
        Err(error) => return error.to_string(),
    };
    match config.boxed::<f32>(&Shape::from([4]), &mut Rng::new(0)) {
        Ok(_) => panic!("{json} is a cell"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn an_error_names_the_setting() {
    for (json, reason) in [
        (r#"{"cell": "min_gru"}"#, "min_gru: units"),
        (r#"{"cell": "sru", "units": 3, "activation": "glu"}"#, "sru: activation"),
        (r#"{"cell": "sru", "units": 3, "highway_bias": 1e300}"#, "sru: alpha"),
        (r#"{"cell": "qrnn", "units": 3, "window": 0}"#, "qrnn: window"),
        (r#"{"cell": "qrnn", "units": 3, "window": 4611686018427387904}"#, "qrnn: a window"),
        (r#"{"cell": "lru", "units": 3, "r_min": 0.9, "r_max": 0.5}"#, "lru: r_min"),
        (r#"{"cell": "lru", "units": 3, "r_max": 1.5}"#, "lru: r_min"),
        (r#"{"cell": "lru", "units": 3, "max_phase": 0}"#, "lru: max_phase"),
        (r#"{"cell": "lru", "units": 4611686018427387904}"#, "lru: units: there is no memory"),
        (r#"{"cell": "rg_lru", "units": 3}"#, "rg_lru: 3 units for 4 features"),
        (r#"{"cell": "rg_lru", "units": 4, "heads": 3}"#, "rg_lru: heads"),
        (r#"{"cell": "rg_lru", "units": 4, "a_max": 1}"#, "rg_lru: a_min"),
        (r#"{"cell": "slstm", "units": 4, "heads": 0}"#, "slstm: heads"),
        (r#"{"cell": "slstm", "units": 4, "forget_power": -1}"#, "slstm: forget_power"),
        (r#"{"cell": "slstm", "units": 4611686018427387904}"#, "slstm: kernel_initializer: there is no memory"),
        (r#"{"cell": "gru_d", "units": 4}"#, "gru_d: 4 features"),
        (r#"{"cell": "gru_ode", "units": 4, "substeps": 1000000}"#, "gru_ode: substeps"),
        (r#"{"cell": "gru_ode", "units": 4, "step_size": 0}"#, "gru_ode: step_size"),
        (r#"{"cell": "ode_rnn", "units": 4, "hidden_units": 0}"#, "ode_rnn: hidden_units"),
        (r#"{"cell": "cfc", "units": 4, "backbone_units": 0}"#, "cfc: backbone_units"),
        (r#"{"cell": "cfc", "units": 4611686018427387904}"#, "cfc: kernel_initializer: there is no memory"),
        (r#"{"cell": "lmu", "units": 4, "order": 4611686018427387904}"#, "lmu: order"),
        (r#"{"cell": "lmu", "units": 4, "theta": 0}"#, "lmu: theta"),
        (r#"{"cell": "ltc", "units": 4, "wiring": {"auto": {"motors": 3, "sparsity": 0.5}}}"#, "ltc: wiring: motors 3"),
        (r#"{"cell": "ltc", "units": 4, "wiring": {"auto": {"motors": 1, "sparsity": 1}}}"#, "ltc: wiring: sparsity 1"),
        (r#"{"cell": "ltc", "units": 4, "unfolds": 0}"#, "ltc: unfolds"),
        (r#"{"cell": "ltc", "units": 4611686018427387904}"#, "ltc: units: there is no memory"),
        (r#"{"cell": "esn", "units": 4, "leak": 1.5}"#, "esn: leak"),
        (r#"{"cell": "esn", "units": 4611686018427387904}"#, "esn: kernel_initializer: there is no memory"),
        (r#"{"cell": "lif", "units": 4, "decay": 2}"#, "lif: decay"),
        (r#"{"cell": "lif", "units": 4, "surrogate": {"arctan": {"slope": 0}}}"#, "lif: surrogate"),
    ] {
        let error = refused(json);
        assert!(error.starts_with(reason), "{json}: {error}");
    }
}
