//! stub
pub fn exp(x: f32) -> f32 {
    x.exp()
}
pub fn expm1(x: f32) -> f32 {
    x.exp_m1()
}
pub fn ln(x: f32) -> f32 {
    x.ln()
}
pub fn ln_1p(x: f32) -> f32 {
    x.ln_1p()
}
pub fn tanh(x: f32) -> f32 {
    x.tanh()
}
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
