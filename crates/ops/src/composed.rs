//! The operations built from Burn's own, on every backend and differentiated by Burn.
//!
//! They run where a backend has no custom kernel, and serve as the reference where it has one.

pub use crate::activation::composed::{elu, gelu, leaky_relu, relu, sigmoid, silu, tanh};
pub use crate::batch_norm::composed::batch_norm;
pub use crate::conv::composed::{conv_max_pool2d, conv2d};
pub use crate::cross_entropy::composed::{cross_entropy, soft_cross_entropy};
pub use crate::linear::composed::linear;
pub use crate::local::composed::locally_connected2d;
pub use crate::lrn::composed::{lrn, lrn_scale};
pub use crate::lrn_pool::composed::lrn_max_pool2d;
pub use crate::pool::composed::{avg_pool2d, max_pool2d};
pub use crate::sgd::composed::sgd_step;
pub use crate::spatial_lrn::composed::spatial_lrn;
