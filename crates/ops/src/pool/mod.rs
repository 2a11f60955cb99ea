//! Max pooling and average pooling.

pub(crate) mod composed;
#[cfg(feature = "gpu")]
pub(crate) mod cube;
#[cfg(any(feature = "flex", feature = "gpu"))]
mod extension;
#[cfg(feature = "flex")]
pub(crate) mod flex;
#[cfg(not(feature = "flex"))]
use self::composed as flex;
#[cfg(not(any(feature = "flex", feature = "gpu")))]
use self::composed as extension;

use burn::tensor::Tensor;

use crate::backend::{on_flex, on_gpu};
use crate::config::Pool;

/// Max pooling.
///
/// # Shapes
/// - `feature_maps`: `[batch, channels, height, width]`
/// - output: `[batch, channels, pool.output_side(height), pool.output_side(width)]`
pub fn max_pool2d(feature_maps: Tensor<4>, pool: &Pool) -> Tensor<4> {
    if has_kernel(&feature_maps, pool) {
        extension::max_pool2d(feature_maps, pool)
    } else {
        composed::max_pool2d(feature_maps, pool)
    }
}

/// Returns whether a kernel exists for this tensor and window.
fn has_kernel(feature_maps: &Tensor<4>, pool: &Pool) -> bool {
    // On Flex the position in the window is a byte.
    (on_flex(feature_maps) && pool.fits_byte()) || on_gpu(feature_maps)
}

/// Average pooling. A window at the edge averages over the pixels inside the map.
///
/// # Shapes
/// Same as [`max_pool2d`].
pub fn avg_pool2d(feature_maps: Tensor<4>, pool: &Pool) -> Tensor<4> {
    if on_flex(&feature_maps) {
        flex::avg_pool2d(feature_maps, pool)
    } else {
        composed::avg_pool2d(feature_maps, pool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rounding;
    use crate::testing::{device, values};

    fn pool(size: usize, stride: usize, rounding: Rounding) -> Pool {
        Pool { size, stride, padding: 0, rounding }
    }

    #[test]
    fn sides_are_those_of_the_networks_we_follow() {
        // Krizhevsky et al. 2012: 55 → 27 → 13 → 6 in both modes.
        for rounding in [Rounding::Floor, Rounding::Ceil] {
            let sides = [55, 27, 13].map(|side| pool(3, 2, rounding).output_side(side));
            assert_eq!(sides, [Some(27), Some(13), Some(6)]);
        }
        // The author's CIFAR-10 nets (ceil): 32 → 16 → 8 → 4.
        let sides = [32, 16, 8].map(|side| pool(3, 2, Rounding::Ceil).output_side(side));
        assert_eq!(sides, [Some(16), Some(8), Some(4)]);
        assert_eq!(pool(3, 2, Rounding::Floor).output_side(2), None);
    }

    #[test]
    fn burn_agrees_about_the_sides_and_clips_the_last_window() {
        for size in 1..4 {
            for stride in 1..4 {
                for padding in 0..=size / 2 {
                    for side in size..9 {
                        for rounding in [Rounding::Floor, Rounding::Ceil] {
                            let pool = Pool { size, stride, padding, rounding };
                            let feature_maps = Tensor::<4>::ones([1, 1, side, side], &device());
                            let expected = pool.output_side(side).expect("a window fits");
                            let outputs =
                                [max_pool2d(feature_maps.clone(), &pool), avg_pool2d(feature_maps, &pool)];
                            for out in outputs {
                                assert_eq!(out.dims(), [1, 1, expected, expected], "{pool:?} {side}");
                                // All-ones input gives all-ones output: padding is neither a maximum nor part
                                // of an average.
                                assert!(
                                    values(out).iter().all(|v| (v - 1.0).abs() < 1e-6),
                                    "{pool:?} {side}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}
