//! Local response normalization with the max pooling after it.

pub(crate) mod composed;
#[cfg(feature = "gpu")]
mod cube;
#[cfg(any(feature = "flex", feature = "gpu"))]
mod extension;
#[cfg(feature = "flex")]
mod flex;
#[cfg(not(any(feature = "flex", feature = "gpu")))]
use self::composed as extension;

use burn::tensor::Tensor;

use crate::backend::{on_flex, on_gpu};
use crate::config::{Lrn, Pool};

/// [`lrn`](crate::lrn), then [`max_pool2d`](crate::max_pool2d). Both run as one operation where that avoids
/// writing the normalized feature maps to memory. The result is the same.
///
/// # Shapes
/// Same as [`max_pool2d`](crate::max_pool2d).
pub fn lrn_max_pool2d(feature_maps: Tensor<4>, lrn: &Lrn, pool: &Pool) -> Tensor<4> {
    if lrn.coefficient() != 0.0 && has_kernel(&feature_maps, lrn, pool) {
        extension::lrn_max_pool2d(feature_maps, lrn, pool)
    } else {
        crate::max_pool2d(crate::lrn(feature_maps, lrn), pool)
    }
}

/// Returns whether a kernel exists for this tensor and these windows.
fn has_kernel(feature_maps: &Tensor<4>, lrn: &Lrn, pool: &Pool) -> bool {
    if on_flex(feature_maps) {
        return pool.fits_byte();
    }
    on_gpu(feature_maps) && crate::lrn::has_kernel(feature_maps, lrn)
}
