//! LRN and the max pooling after it, image by image. The intermediate maps stay in cache and never cover the
//! whole batch.

use pulp::Arch;
use rayon::prelude::*;

use super::between::between;
use super::filled::filled;
use super::{lrn, pool};
use crate::config::Lrn;

/// Maxima of normalized maps, and their positions.
///
/// # Shapes
/// `maps`: `[batch, channels, height, width]`; results: `[batch, channels, rows, columns]`.
pub(super) fn forward(
    maps: &[f32],
    channels: usize,
    constants: &Lrn,
    shape: &pool::Geometry,
) -> (Vec<f32>, Vec<u8>) {
    let sizes = Sizes::new(channels, shape);
    let length = maps.len() / sizes.image * sizes.pooled;
    let mut places = vec![0; length];
    let (arch, lrn, lines) = (Arch::new(), lrn::Constants::new(constants), pool::Lines::new(*shape));
    let beside = places.par_chunks_mut(sizes.pooled).zip(maps.par_chunks(sizes.image));
    let maxima = filled(length, sizes.pooled, beside, |(places, maps), maxima| {
        between(sizes.image, |image| {
            let shape = [channels, sizes.image / channels];
            arch.dispatch(lrn::Forward { maps, out: image, shape, lrn });
            arch.dispatch(pool::Maxima { lines, planes: image, maxima, places });
        });
    });
    (maxima, places)
}

/// The gradient of [`forward`] with respect to the maps.
pub(super) fn gradient(
    maps: &[f32],
    gradient: &[f32],
    places: &[u8],
    channels: usize,
    constants: &Lrn,
    shape: &pool::Geometry,
) -> Vec<f32> {
    let sizes = Sizes::new(channels, shape);
    let (arch, lrn, scatter) = (Arch::new(), lrn::Constants::new(constants), pool::Scatter::new(*shape));
    let pooled = gradient.par_chunks(sizes.pooled).zip(places.par_chunks(sizes.pooled));
    let beside = maps.par_chunks(sizes.image).zip(pooled);
    filled(maps.len(), sizes.image, beside, |(maps, (gradient, places)), out| {
        between(sizes.image, |image| {
            image.fill(0.0);
            scatter.planes(gradient, places, image);
            let shape = [channels, sizes.image / channels];
            arch.dispatch(lrn::Gradient { maps, gradient: image, out, shape, lrn });
        });
    })
}

/// Elements of an image before and after the pooling.
struct Sizes {
    image: usize,
    pooled: usize,
}

impl Sizes {
    fn new(channels: usize, shape: &pool::Geometry) -> Self {
        let ([height, width], [rows, columns]) = (shape.input, shape.output);
        Self { image: channels * height * width, pooled: channels * rows * columns }
    }
}
