//! Local response normalization with the max pooling after it.

pub(crate) mod composed;
#[cfg(feature = "gpu")]
mod cube;
#[cfg(feature = "flex")]
mod flex;
#[cfg(not(feature = "flex"))]
use self::composed as flex;
#[cfg(not(feature = "gpu"))]
use self::composed as cube;

use burn::tensor::Tensor;

use crate::backend::{on_flex, on_gpu};
use crate::config::{Lrn, Pool};
use crate::lrn::has_kernel;

/// [`lrn`](crate::lrn), then [`max_pool2d`](crate::max_pool2d). Both run as one operation where that avoids
/// writing the normalized feature maps to memory. The result is the same.
///
/// # Shapes
/// Same as [`max_pool2d`](crate::max_pool2d).
pub fn lrn_max_pool2d(feature_maps: Tensor<4>, lrn: &Lrn, pool: &Pool) -> Tensor<4> {
    if on_flex(&feature_maps) {
        flex::lrn_max_pool2d(feature_maps, lrn, pool)
    } else if on_gpu(&feature_maps) && lrn.coefficient() != 0.0 && has_kernel(&feature_maps, lrn) {
        cube::lrn_max_pool2d(feature_maps, lrn, pool)
    } else {
        crate::max_pool2d(crate::lrn(feature_maps, lrn), pool)
    }
}
