//! Tensors as JSON and back.

use tapeloop_autograd::{Rng, Tensor};

#[test]
fn every_number_comes_back_bit_for_bit() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let special = [0.0, -0.0, inf, -inf, nan, f64::MAX, f64::MIN_POSITIVE, 5e-324, 1.0, 3.0, -1e300, 0.1];
    let mut rng = Rng::new(1);
    let random = Tensor::<f64>::normal([1000], 0.0, 1e3, &mut rng).to_vec();
    let double: Vec<f64> = special.into_iter().chain(random).collect();
    let x = Tensor::from_vec([4, 253], double);
    let back: Tensor<f64> = serde_json::from_str(&serde_json::to_string(&x).unwrap()).unwrap();
    assert_eq!(back.shape(), x.shape());
    assert_eq!(back.map(|x| x.to_bits() as i64), x.map(|x| x.to_bits() as i64));
    let x = x.cast::<f32>();
    let back: Tensor<f32> = serde_json::from_str(&serde_json::to_string(&x).unwrap()).unwrap();
    assert_eq!(back.map(|x| i64::from(x.to_bits())), x.map(|x| i64::from(x.to_bits())));
}

#[test]
fn what_is_not_finite_has_a_name() {
    let x = Tensor::from([1.5f32, f32::NAN, f32::INFINITY, f32::NEG_INFINITY]);
    let text = serde_json::to_string(&x).unwrap();
    assert_eq!(text, r#"{"shape":[4],"data":[1.5,"NaN","inf","-inf"]}"#);
    let x = Tensor::from([true, false]);
    assert_eq!(serde_json::from_str::<Tensor<bool>>(&serde_json::to_string(&x).unwrap()).unwrap(), x);
    let x = Tensor::from([i64::MAX, i64::MIN]);
    assert_eq!(serde_json::from_str::<Tensor<i64>>(&serde_json::to_string(&x).unwrap()).unwrap(), x);
    // Whole numbers without a point are numbers, too.
    assert_eq!(serde_json::from_str::<Tensor<f32>>(r#"{"shape":[2],"data":[1,-2]}"#).unwrap().to_vec(), [1.0, -2.0]);
}

#[test]
fn what_is_no_tensor_is_an_error() {
    let float = |text: &str| serde_json::from_str::<Tensor<f32>>(text).unwrap_err().to_string();
    let count = float(r#"{"shape":[3],"data":[1.0,2.0]}"#);
    assert!(count.contains("holds 3 elements and 2 were given"), "{count}");
    let name = float(r#"{"shape":[1],"data":["Infinity"]}"#);
    assert!(name.contains("Infinity") && name.contains("-inf"), "{name}");
    float(r#"{"shape":[1],"data":[null]}"#);
    float(r#"{"shape":[1],"data":[true]}"#);
    float(r#"{"shape":[1]}"#);
    float(r#"{"shape":[-1],"data":[]}"#);
    assert!(serde_json::from_str::<Tensor<i64>>(r#"{"shape":[1],"data":["NaN"]}"#).is_err());
    assert!(serde_json::from_str::<Tensor<i64>>(r#"{"shape":[1],"data":[1.5]}"#).is_err());
    assert!(serde_json::from_str::<Tensor<bool>>(r#"{"shape":[1],"data":[1]}"#).is_err());
}
