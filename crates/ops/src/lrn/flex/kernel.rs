//! Local response normalization in one pass, and its gradient in another.

use std::ops::Range;

use crate::threads::*;
use pulp::{Simd, WithSimd};

use crate::config::Lrn;
use crate::flex::par_fill::filled;
use crate::level::dispatch;

/// Pixels per block. All channels of a block stay in cache.
const LONG: usize = 64;
/// Pixels per block at the end of a feature map. Most of a long block would be computed in vain there.
const SHORT: usize = 16;

/// The number of pixels in long blocks. A rest of more than half a block is one, too: a pixel takes longer in short blocks.
fn in_long_blocks(pixels: usize) -> usize {
    ((pixels + LONG / 2 - 1) / LONG * LONG).min(pixels)
}

/// The constants of [`Lrn`] in the form the loops need.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Constants {
    below: usize,
    above: usize,
    coefficient: f32,
    beta: f32,
    k: f32,
}

impl Constants {
    pub(crate) fn new(lrn: &Lrn) -> Self {
        let below = lrn.size / 2;
        Self {
            below,
            above: lrn.size - 1 - below,
            coefficient: lrn.coefficient() as f32,
            beta: lrn.beta as f32,
            k: lrn.k as f32,
        }
    }
}

/// `scale^-beta` in place. Each result depends on its own number alone.
#[inline(always)]
pub(crate) fn inverse_power(scale: &mut [f32], beta: f32) {
    if beta == 0.75 && scale.iter().fold(true, |normal, s| normal & is_normal(*s)) {
        for s in scale {
            let root = inverse_fourth_root(*s);
            *s = root * root * root;
        }
    } else if beta == 0.75 {
        for s in scale {
            // Zero, infinity and NaN, and subnormal numbers, which no layer has where k is not 0.
            let root = if is_normal(*s) { inverse_fourth_root(*s) } else { 1.0 / s.sqrt().sqrt() };
            *s = root * root * root;
        }
    } else {
        for s in scale {
            *s = libm::powf(*s, -beta);
        }
    }
}

/// Returns whether a number is positive, finite and not subnormal.
#[inline(always)]
fn is_normal(x: f32) -> bool {
    const SMALLEST: u32 = f32::MIN_POSITIVE.to_bits();
    const INFINITY: u32 = f32::INFINITY.to_bits();
    x.to_bits().wrapping_sub(SMALLEST) < INFINITY - SMALLEST
}

/// `x^-1/4` of a normal number, to about its last digit. The paper's exponent is three of these, which avoids
/// two square roots and a division.
#[inline(always)]
fn inverse_fourth_root(x: f32) -> f32 {
    // The bits of a float approximate its logarithm. The constant minimizes the error, 3.1 %.
    let mut root = f32::from_bits(0x4f58_6000 - (x.to_bits() >> 2));
    for _ in 0..3 {
        // A Newton step for root^-4 = x squares the error, times 5/2.
        let square = root * root;
        root *= 1.25 - 0.25 * x * (square * square);
    }
    root
}

/// `input` divided by `(k + coefficient · Σ input²)^beta`.
///
/// # Shapes
/// `input` and the result: `[batch, channels, pixels]`.
pub(crate) fn forward(input: &[f32], shape: [usize; 2], lrn: &Lrn) -> Vec<f32> {
    let lrn = Constants::new(lrn);
    let parts = Part::all(input, shape);
    filled(input.len(), channels_per_part(shape[0]) * shape[1], parts.into_par_iter(), |part, out| {
        dispatch(Forward { part, out, lrn });
    })
}

/// Returns the number of channels of a task: few enough that the threads share an image and that what one writes stays
/// in its cache; or all channels, if they cannot be divided evenly.
pub(crate) fn channels_per_part(channels: usize) -> usize {
    const FEW: usize = 16;
    if channels.is_multiple_of(FEW) { FEW } else { channels }
}

/// Some channels of an image, with the image around them.
#[derive(Debug, Clone)]
pub(crate) struct Part<'a> {
    image: &'a [f32],
    /// `[channels, pixels]` of the image.
    shape: [usize; 2],
    channels: Range<usize>,
}

impl<'a> Part<'a> {
    /// The parts of all images, in order.
    pub(crate) fn all(input: &'a [f32], shape: [usize; 2]) -> Vec<Self> {
        let (count, images) = (channels_per_part(shape[0]), input.chunks_exact((shape[0] * shape[1]).max(1)));
        let starts = (0..shape[0]).step_by(count);
        let parts =
            |image| starts.clone().map(move |first| Self { image, shape, channels: first..first + count });
        images.flat_map(parts).collect()
    }
}

/// The normalization of a part.
///
/// This is a type and not a closure, because only `with_simd` is sure to be inlined into the function
/// compiled for the actual processor.
pub(crate) struct Forward<'a> {
    pub(crate) part: Part<'a>,
    /// `[channels of the part, pixels]`.
    pub(crate) out: &'a mut [f32],
    pub(crate) lrn: Constants,
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        let pixels = self.part.shape[1];
        let rest = in_long_blocks(pixels);
        self.run::<LONG>(0..rest);
        self.run::<SHORT>(rest..pixels);
    }
}

impl Forward<'_> {
    #[inline(always)]
    fn run<const PIXELS: usize>(&mut self, range: Range<usize>) {
        let Self { part: Part { image, shape: [channels, pixels], channels: part }, out, lrn } = self;
        let pixels = *pixels;
        // The channels in the windows of the part's channels.
        let read = part.start.saturating_sub(lrn.below)..(part.end + lrn.above).min(*channels);
        let input = &image[read.start * pixels..read.end * pixels];
        let mut squares = vec![[0.0; PIXELS]; if range.is_empty() { 0 } else { read.len() }];
        for first in range.step_by(PIXELS) {
            let count = PIXELS.min(pixels - first);
            load_squares(input, &mut squares, pixels, first, count);
            for (place, channel) in part.clone().enumerate() {
                let channel = channel - read.start;
                let mut scale = window_sum(&squares, channel, lrn.below, lrn.above);
                for s in &mut scale {
                    *s = lrn.k + lrn.coefficient * *s;
                }
                inverse_power(&mut scale, lrn.beta);
                let values = input[channel * pixels + first..][..count].iter().zip(&scale);
                for (out, (value, scale)) in out[place * pixels + first..][..count].iter_mut().zip(values) {
                    *out = value * scale;
                }
            }
        }
    }
}

#[inline(always)]
fn load_squares<const PIXELS: usize>(
    input: &[f32],
    squares: &mut [[f32; PIXELS]],
    pixels: usize,
    first: usize,
    count: usize,
) {
    for (channel, squares) in squares.iter_mut().enumerate() {
        let values = &input[channel * pixels + first..][..count];
        for (square, value) in squares.iter_mut().zip(values) {
            *square = value * value;
        }
    }
}

/// The sum over the window of channels around one channel. It is computed anew for each channel: a running
/// sum would drift, and would keep a NaN or an infinity that has left the window.
#[inline(always)]
fn window_sum<const PIXELS: usize>(
    blocks: &[[f32; PIXELS]],
    channel: usize,
    below: usize,
    above: usize,
) -> [f32; PIXELS] {
    let (first, end) = (channel.saturating_sub(below), (channel + above + 1).min(blocks.len()));
    let mut sum = blocks[first];
    for block in &blocks[first + 1..end] {
        for (sum, value) in sum.iter_mut().zip(block) {
            *sum += value;
        }
    }
    sum
}

/// The gradient with respect to the input, with `d = k + coefficient · Σ input²`:
///
/// ```text
/// g[c] · d[c]^-beta − 2 · coefficient · beta · a[c] · Σ g[j] · a[j] · d[j]^-(beta + 1)
/// ```
/// over the channels `j` whose window contains `c`. `d` is recomputed, which is cheaper than keeping it.
pub(crate) fn gradient(input: &[f32], gradient: &[f32], shape: [usize; 2], lrn: &Lrn) -> Vec<f32> {
    let (lrn, image) = (Constants::new(lrn), shape[0] * shape[1]);
    let beside = input.par_chunks(image.max(1)).zip(gradient.par_chunks(image.max(1)));
    filled(input.len(), image, beside, |(input, gradient), out| {
        dispatch(Gradient { input, gradient, out, shape, lrn });
    })
}

/// The gradient of one image.
pub(crate) struct Gradient<'a> {
    pub(crate) input: &'a [f32],
    pub(crate) gradient: &'a [f32],
    pub(crate) out: &'a mut [f32],
    /// `[channels, pixels]`.
    pub(crate) shape: [usize; 2],
    pub(crate) lrn: Constants,
}

impl WithSimd for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        let (pixels, rest) = (self.shape[1], in_long_blocks(self.shape[1]));
        self.run::<LONG>(0..rest);
        self.run::<SHORT>(rest..pixels);
    }
}

impl Gradient<'_> {
    #[inline(always)]
    fn run<const PIXELS: usize>(&mut self, range: Range<usize>) {
        let Self { input, gradient, out, shape: [channels, pixels], lrn } = self;
        let (channels, pixels) = (*channels, *pixels);
        let blocks = if range.is_empty() { 0 } else { channels };
        let (mut squares, mut ratios) = (vec![[0.0; PIXELS]; blocks], vec![[0.0; PIXELS]; blocks]);
        for first in range.step_by(PIXELS) {
            let count = PIXELS.min(pixels - first);
            load_squares(input, &mut squares, pixels, first, count);
            for channel in 0..channels {
                let at = channel * pixels + first;
                let mut scale = window_sum(&squares, channel, lrn.below, lrn.above);
                for s in &mut scale {
                    *s = lrn.k + lrn.coefficient * *s;
                }
                let mut power = scale;
                inverse_power(&mut power, lrn.beta);
                let (input, gradient) = (&input[at..][..count], &gradient[at..][..count]);
                let (out, ratios) = (&mut out[at..][..count], &mut ratios[channel][..count]);
                for i in 0..count {
                    let straight = gradient[i] * power[i];
                    out[i] = straight;
                    ratios[i] = straight * input[i] / scale[i];
                }
            }
            let factor = 2.0 * lrn.coefficient * lrn.beta;
            for channel in 0..channels {
                let at = channel * pixels + first;
                // The windows that contain this channel are those of channels from `above` below it to
                // `below` above it.
                let sum = window_sum(&ratios, channel, lrn.above, lrn.below);
                let values = input[at..][..count].iter().zip(&sum);
                for (out, (value, sum)) in out[at..][..count].iter_mut().zip(values) {
                    *out -= factor * value * sum;
                }
            }
        }
    }
}
