//! LRN and the max pooling after it, some channels of an image at a time. The intermediate feature maps stay in cache and
//! never cover the whole batch.

use crate::threads::*;

use crate::config::Lrn;
use crate::flex::par_fill::filled;
use crate::flex::scratch::scratch;
use crate::level::dispatch;
use crate::lrn::flex::kernel::{Constants, Forward, Gradient, Part, channels_per_part};
use crate::pool::flex::lines::{Lines, Pooling};
use crate::pool::flex::max::Scatter;

/// Maxima of normalized feature maps, and their positions.
///
/// # Shapes
/// `input`: `[batch, channels, height, width]`; results: `[batch, channels, rows, columns]`.
pub(super) fn forward(
    input: &[f32],
    channels: usize,
    constants: &Lrn,
    shape: &Pooling,
) -> (Vec<f32>, Vec<u8>) {
    let sizes = Sizes::new(channels, shape);
    let (count, map) = (channels_per_part(channels), sizes.pooled / channels);
    let (pixels, length) = (sizes.image / channels, input.len() / sizes.image * sizes.pooled);
    let mut argmax = vec![0; length];
    let (lrn, lines) = (Constants::new(constants), Lines::new(*shape));
    let parts = Part::all(input, [channels, pixels]);
    let beside = argmax.par_chunks_mut(count * map).zip(parts.into_par_iter());
    let maxima = filled(length, count * map, beside, |(argmax, part), maxima| {
        scratch(count * pixels, |normalized| {
            dispatch(Forward { part, out: normalized, lrn });
            lines.maxima(normalized, maxima, argmax);
        });
    });
    (maxima, argmax)
}

/// The gradient of [`forward`] with respect to the input.
pub(super) fn gradient(
    input: &[f32],
    gradient: &[f32],
    argmax: &[u8],
    channels: usize,
    constants: &Lrn,
    shape: &Pooling,
) -> Vec<f32> {
    let sizes = Sizes::new(channels, shape);
    let (lrn, scatter) = (Constants::new(constants), Scatter::new(*shape));
    let pooled = gradient.par_chunks(sizes.pooled).zip(argmax.par_chunks(sizes.pooled));
    let beside = input.par_chunks(sizes.image).zip(pooled);
    filled(input.len(), sizes.image, beside, |(input, (gradient, argmax)), out| {
        scratch(sizes.image, |image| {
            image.fill(0.0);
            scatter.planes(gradient, argmax, image);
            let shape = [channels, sizes.image / channels];
            dispatch(Gradient { input, gradient: image, out, shape, lrn });
        });
    })
}

/// Elements of an image before and after the pooling.
struct Sizes {
    image: usize,
    pooled: usize,
}

impl Sizes {
    fn new(channels: usize, shape: &Pooling) -> Self {
        let ([height, width], [rows, columns]) = (shape.input, shape.output);
        Self { image: channels * height * width, pooled: channels * rows * columns }
    }
}
