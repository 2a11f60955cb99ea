use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::Lrn;

/// What happens to a last window that hangs over the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rounding {
    /// It is dropped, as in PyTorch.
    Floor,
    /// It is kept and clipped, as in cuda-convnet and Caffe.
    Ceil,
}

/// A pooling window; overlapping when `stride < size` (Krizhevsky et al. 2012, §3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Side of the square window, in pixels.
    pub size: usize,
    /// Step between windows, in pixels.
    pub stride: usize,
    /// Rows and columns added on each side; never the maximum, never counted in an average.
    pub padding: usize,
    /// What happens at the far edge.
    pub rounding: Rounding,
}

impl Pool {
    /// Side of the output for an input of side `input`, or `None` if no window fits.
    pub fn output_side(&self, input: usize) -> Option<usize> {
        let span = (input + 2 * self.padding).checked_sub(self.size)?;
        Some(match self.rounding {
            Rounding::Floor => span / self.stride + 1,
            Rounding::Ceil => {
                let windows = span.div_ceil(self.stride) + 1;
                // A window that would start in the far padding has nothing to look at.
                windows - usize::from((windows - 1) * self.stride >= input + self.padding)
            }
        })
    }

    pub(crate) fn ceil(&self) -> bool {
        self.rounding == Rounding::Ceil
    }
}

/// Max pooling.
///
/// # Shapes
/// - `maps`: `[batch, channels, height, width]`
/// - output: `[batch, channels, pool.output_side(height), pool.output_side(width)]`
pub fn max_pool2d(maps: Tensor<4>, pool: &Pool) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if crate::flex::takes(&maps) && crate::flex::pools(pool) {
        return crate::flex::max_pool2d(maps, pool);
    }
    crate::composed::max_pool2d(maps, pool)
}

/// [`lrn`](crate::lrn) and then [`max_pool2d`]: in one operation where that saves writing the normalized maps and
/// reading them again, with the same result.
///
/// # Shapes
/// As [`max_pool2d`].
pub fn lrn_max_pool2d(maps: Tensor<4>, lrn: &Lrn, pool: &Pool) -> Tensor<4> {
    // A few images are shared by threads plane by plane, which LRN cannot be.
    #[cfg(feature = "flex")]
    if crate::flex::takes(&maps)
        && crate::flex::pools(pool)
        && lrn.coefficient() != 0.0
        && maps.dims()[0] >= crate::conv::MANY_IMAGES
    {
        return crate::flex::lrn_max_pool2d(maps, lrn, pool);
    }
    max_pool2d(crate::lrn(maps, lrn), pool)
}

/// Average pooling; a window at the edge averages over the pixels it has.
///
/// # Shapes
/// As [`max_pool2d`].
pub fn avg_pool2d(maps: Tensor<4>, pool: &Pool) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if crate::flex::takes(&maps) {
        return crate::flex::avg_pool2d(maps, pool);
    }
    crate::composed::avg_pool2d(maps, pool)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{device, values};

    fn pool(size: usize, stride: usize, rounding: Rounding) -> Pool {
        Pool { size, stride, padding: 0, rounding }
    }

    #[test]
    fn sides_are_those_of_the_networks_we_follow() {
        // Krizhevsky et al. 2012: 55 → 27 → 13 → 6 in either mode.
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
                            let maps = Tensor::<4>::ones([1, 1, side, side], &device());
                            let expected = pool.output_side(side).expect("a window fits");
                            for out in [max_pool2d(maps.clone(), &pool), avg_pool2d(maps, &pool)] {
                                assert_eq!(out.dims(), [1, 1, expected, expected], "{pool:?} {side}");
                                // Ones in, ones out: padding is neither a maximum nor averaged in.
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
