use burn::tensor::Tensor;

use crate::config::{Lrn, Pool};

/// Max pooling.
///
/// # Shapes
/// - `maps`: `[batch, channels, height, width]`
/// - output: `[batch, channels, pool.output_side(height), pool.output_side(width)]`
pub fn max_pool2d(maps: Tensor<4>, pool: &Pool) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if crate::backend::on_flex(&maps) && crate::flex::pools(pool) {
        return crate::flex::max_pool2d(maps, pool);
    }
    crate::composed::max_pool2d(maps, pool)
}

/// [`lrn`](crate::lrn), then [`max_pool2d`]. Both run as one operation where that avoids writing the
/// normalized maps to memory. The result is the same.
///
/// # Shapes
/// Same as [`max_pool2d`].
pub fn lrn_max_pool2d(maps: Tensor<4>, lrn: &Lrn, pool: &Pool) -> Tensor<4> {
    // With few images, threads share the work plane by plane, which LRN does not allow.
    #[cfg(feature = "flex")]
    if crate::backend::on_flex(&maps)
        && crate::flex::pools(pool)
        && lrn.coefficient() != 0.0
        && maps.dims()[0] >= crate::flex::MANY_IMAGES
    {
        return crate::flex::lrn_max_pool2d(maps, lrn, pool);
    }
    max_pool2d(crate::lrn(maps, lrn), pool)
}

/// Average pooling. A window at the edge averages over the pixels inside the map.
///
/// # Shapes
/// Same as [`max_pool2d`].
pub fn avg_pool2d(maps: Tensor<4>, pool: &Pool) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if crate::backend::on_flex(&maps) {
        return crate::flex::avg_pool2d(maps, pool);
    }
    crate::composed::avg_pool2d(maps, pool)
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
                            let maps = Tensor::<4>::ones([1, 1, side, side], &device());
                            let expected = pool.output_side(side).expect("a window fits");
                            for out in [max_pool2d(maps.clone(), &pool), avg_pool2d(maps, &pool)] {
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
