//! Average pooling and its gradient.

use crate::threads::*;
use pulp::{Simd, WithSimd};

use super::lines::{LANES, Lines, PLANES, Pooling};
use crate::config::Pool;
use crate::flex::par_fill::filled;
use crate::flex::scratch::scratch;
use crate::flex::sweep::{LANES as STEP, add};
use crate::level::dispatch;

/// Averages over the pixels of each window that are inside the plane.
///
/// # Shapes
/// Same as [`maxima`](super::max::maxima).
pub(super) fn averages(input: &[f32], shape: &Pooling) -> Vec<f32> {
    let ([height, width], [rows, columns]) = (shape.input, shape.output);
    let planes = input.len() / (height * width).max(1);
    if input.is_empty() {
        return Vec::new();
    }
    let lines = Lines::new(*shape);
    let input = input.par_chunks(PLANES * height * width);
    let counts = [lines.counts(0), lines.counts(1)];
    filled(planes * rows * columns, PLANES * rows * columns, input, |planes, averages| {
        scratch(lines.size(), |buffer| {
            dispatch(Averages { lines: &lines, counts: &counts, planes, averages, buffer });
        });
    })
}

/// The averages of some planes.
struct Averages<'a> {
    lines: &'a Lines,
    /// The pixels of each window inside the plane, along rows and along columns.
    counts: &'a [Vec<f32>; 2],
    planes: &'a [f32],
    averages: &'a mut [f32],
    /// Elements of the lines of a plane, of arbitrary content.
    buffer: &'a mut [f32],
}

impl Lines {
    /// The number of pixels inside the plane that each window has along one side.
    fn counts(&self, dimension: usize) -> Vec<f32> {
        let (Pool { size, stride, padding, .. }, side) = (self.shape.pool, self.shape.input[dimension]);
        let count = |at: usize| {
            let (first, end) =
                ((at * stride).saturating_sub(padding), (at * stride + size).saturating_sub(padding));
            end.min(side).saturating_sub(first) as f32
        };
        (0..self.shape.output[dimension]).map(count).collect()
    }
}

impl WithSimd for Averages<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { lines, counts: [tall, wide], planes, averages, buffer } = self;
        let ([height, width], [rows, columns]) = (lines.shape.input, lines.shape.output);
        buffer.fill(0.0);
        let out = averages.chunks_exact_mut(rows * columns);
        for (plane, averages) in planes.chunks_exact(height * width).zip(out) {
            lines.deal(plane, buffer);
            let rows = averages.chunks_exact_mut(columns).zip(&lines.windows).zip(tall);
            for ((averages, window), tall) in rows {
                for (block, (averages, wide)) in
                    averages.chunks_mut(LANES).zip(wide.chunks(LANES)).enumerate()
                {
                    let mut sums = [0.0; LANES];
                    for place in window {
                        let values = &buffer[place.at + block * LANES..][..LANES];
                        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
                    }
                    for ((average, sum), wide) in averages.iter_mut().zip(sums).zip(wide) {
                        *average = sum / (tall * wide);
                    }
                }
            }
        }
    }
}

/// The gradient of [`averages`] with respect to the input. Each output's gradient is shared equally by its
/// window's pixels.
pub(super) fn averages_gradient(gradient: &[f32], shape: &Pooling) -> Vec<f32> {
    let ([height, width], [rows, columns]) = (shape.input, shape.output);
    let planes = gradient.len() / (rows * columns).max(1);
    if gradient.is_empty() {
        return vec![0.0; planes * height * width];
    }
    let lines = Lines::new(*shape);
    let gradient = gradient.par_chunks(PLANES * rows * columns);
    let counts = [lines.counts(0), lines.counts(1)];
    filled(planes * height * width, PLANES * height * width, gradient, |gradient, planes| {
        scratch(lines.columns + lines.size(), |buffer| {
            dispatch(AveragesGradient { lines: &lines, counts: &counts, gradient, planes, buffer });
        });
    })
}

/// The gradient of the averages of some planes.
struct AveragesGradient<'a> {
    lines: &'a Lines,
    counts: &'a [Vec<f32>; 2],
    gradient: &'a [f32],
    planes: &'a mut [f32],
    /// A row of outputs and the lines of a plane, of arbitrary content.
    buffer: &'a mut [f32],
}

impl WithSimd for AveragesGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { lines, counts: [tall, wide], gradient, planes, buffer } = self;
        let ([height, width], [rows, columns]) = (lines.shape.input, lines.shape.output);
        let (shares, buffer) = buffer.split_at_mut(lines.columns);
        // Whole steps of an addition; outputs beyond the last column have no share.
        let shares = &mut shares[..columns.next_multiple_of(STEP).min(lines.columns)];
        shares.fill(0.0);
        let planes = planes.chunks_exact_mut(height * width);
        for (gradient, plane) in gradient.chunks_exact(rows * columns).zip(planes) {
            buffer.fill(0.0);
            for ((gradient, window), tall) in gradient.chunks_exact(columns).zip(&lines.windows).zip(tall) {
                for ((share, gradient), wide) in shares.iter_mut().zip(gradient).zip(wide) {
                    *share = gradient / (tall * wide);
                }
                for place in window {
                    add(shares, &mut buffer[place.at..][..shares.len()]);
                }
            }
            lines.collect(buffer, plane);
        }
    }
}
