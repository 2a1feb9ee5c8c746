//! `nn.MSELoss(reduction="sum")(a, y)`: a function that has its options before its tensors.

use tapeloop::Element;

use super::Found;
use crate::arguments::Arguments;
use crate::value::Value;

/// Modules: class, function, the constructor's arguments in order.
const LAYERS: [(&str, &str, &str); 62] = [
    ("MSELoss", "mse_loss", "size_average reduce reduction"),
    ("L1Loss", "l1_loss", "size_average reduce reduction"),
    ("SmoothL1Loss", "smooth_l1_loss", "size_average reduce reduction beta"),
    ("HuberLoss", "huber_loss", "reduction delta"),
    ("CrossEntropyLoss", "cross_entropy", "weight size_average ignore_index reduce reduction label_smoothing"),
    ("NLLLoss", "nll_loss", "weight size_average ignore_index reduce reduction"),
    ("BCELoss", "binary_cross_entropy", "weight size_average reduce reduction"),
    ("BCEWithLogitsLoss", "binary_cross_entropy_with_logits", "weight size_average reduce reduction pos_weight"),
    ("KLDivLoss", "kl_div", "size_average reduce reduction log_target"),
    ("PoissonNLLLoss", "poisson_nll_loss", "log_input full size_average eps reduce reduction"),
    ("GaussianNLLLoss", "gaussian_nll_loss", ""),
    ("HingeEmbeddingLoss", "hinge_embedding_loss", "margin size_average reduce reduction"),
    ("MultiMarginLoss", "multi_margin_loss", "p margin weight size_average reduce reduction"),
    ("SoftMarginLoss", "soft_margin_loss", "size_average reduce reduction"),
    ("MultiLabelSoftMarginLoss", "multilabel_soft_margin_loss", "weight size_average reduce reduction"),
    ("MultiLabelMarginLoss", "multilabel_margin_loss", "size_average reduce reduction"),
    ("MarginRankingLoss", "margin_ranking_loss", "margin size_average reduce reduction"),
    ("CosineEmbeddingLoss", "cosine_embedding_loss", "margin size_average reduce reduction"),
    ("TripletMarginLoss", "triplet_margin_loss", "margin p eps swap size_average reduce reduction"),
    ("CTCLoss", "ctc_loss", "blank reduction zero_infinity"),
    ("Identity", "clone", ""),
    ("ReLU", "relu", "inplace"),
    ("ReLU6", "relu6", "inplace"),
    ("Sigmoid", "sigmoid", ""),
    ("Tanh", "tanh", ""),
    ("Softmax", "softmax", "dim"),
    ("Softmin", "softmin", "dim"),
    ("LogSoftmax", "log_softmax", "dim"),
    ("GELU", "gelu", "approximate"),
    ("ELU", "elu", "alpha inplace"),
    ("CELU", "celu", "alpha inplace"),
    ("SELU", "selu", "inplace"),
    ("LeakyReLU", "leaky_relu", "negative_slope inplace"),
    ("Softplus", "softplus", "beta threshold"),
    ("Softsign", "softsign", ""),
    ("Hardtanh", "hardtanh", "min_val max_val inplace"),
    ("Hardsigmoid", "hardsigmoid", "inplace"),
    ("Hardswish", "hardswish", "inplace"),
    ("SiLU", "silu", "inplace"),
    ("Mish", "mish", "inplace"),
    ("LogSigmoid", "logsigmoid", ""),
    ("Tanhshrink", "tanhshrink", ""),
    ("Softshrink", "softshrink", "lambd"),
    ("Hardshrink", "hardshrink", "lambd"),
    ("Threshold", "threshold", "threshold value inplace"),
    ("GLU", "glu", "dim"),
    ("MaxPool1d", "max_pool1d", "kernel_size stride padding dilation return_indices ceil_mode"),
    ("MaxPool2d", "max_pool2d", "kernel_size stride padding dilation return_indices ceil_mode"),
    ("AvgPool1d", "avg_pool1d", "kernel_size stride padding ceil_mode count_include_pad"),
    ("AvgPool2d", "avg_pool2d", "kernel_size stride padding ceil_mode count_include_pad divisor_override"),
    ("AdaptiveAvgPool1d", "adaptive_avg_pool1d", "output_size"),
    ("AdaptiveAvgPool2d", "adaptive_avg_pool2d", "output_size"),
    ("AdaptiveMaxPool1d", "adaptive_max_pool1d", "output_size return_indices"),
    ("CosineSimilarity", "cosine_similarity", "dim eps"),
    ("PairwiseDistance", "pairwise_distance", "p eps keepdim"),
    ("Unfold", "unfold", "kernel_size dilation padding stride"),
    ("Fold", "fold", "output_size kernel_size dilation padding stride"),
    ("PixelShuffle", "pixel_shuffle", "upscale_factor"),
    ("PixelUnshuffle", "pixel_unshuffle", "downscale_factor"),
    ("Unflatten", "unflatten", "dim sizes"),
    ("Flatten", "flatten", "start_dim end_dim"),
    ("ZeroPad1d", "pad", "pad"),
];

/// A module from its constructor's arguments.
pub fn build<'t, T: Element>(name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    let Some((_, function, order)) = LAYERS.iter().find(|(class, ..)| *class == name) else { return Ok(None) };
    let mut arguments = Arguments::new("functional", Vec::new());
    arguments.named = a.named.clone();
    let names: Vec<&str> = order.split_whitespace().collect();
    for (place, value) in a.positional.iter().enumerate() {
        let name = names.get(place).ok_or_else(|| format!("argument {place} of {name} is not supported"))?;
        arguments.named.insert((*name).into(), value.clone());
    }
    if name == "Flatten" {
        arguments.named.entry("start_dim".into()).or_insert(Value::Integer(1));
    }
    Ok(Some(Value::Partial(function, arguments)))
}
