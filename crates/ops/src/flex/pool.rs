//! Max pooling that remembers its choices in one byte each.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::Pool;

/// The side of the largest window whose places a byte can number.
pub(super) const LARGEST_WINDOW: usize = 16;

/// The shape of a pooling: sides of the planes that go in and come out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Geometry {
    pub(super) input: [usize; 2],
    pub(super) output: [usize; 2],
    pub(super) pool: Pool,
}

/// Columns worked on at once.
const LANES: usize = 8;

impl Geometry {
    /// The first place inside the plane of the window at an output pixel.
    fn first_place(&self, row: usize, column: usize) -> u32 {
        let Pool { size, stride, padding, .. } = self.pool;
        let outside = |at: usize| padding.saturating_sub(at * stride);
        (outside(row) * size + outside(column)) as u32
    }
}

/// Maxima, and which place of its window each was at: row by row, the first of equals. NaN wins
/// over everything, as in PyTorch.
///
/// # Shapes
/// `maps`: `[planes, height, width]`; the results: `[planes, rows, columns]`.
pub(super) fn forward(maps: &[f32], shape: &Geometry) -> (Vec<f32>, Vec<u8>) {
    let ([height, width], [rows, columns]) = (shape.input, shape.output);
    let planes = maps.len() / (height * width).max(1);
    let mut maxima = vec![0.0; planes * rows * columns];
    let mut places = vec![0; maxima.len()];
    if maxima.is_empty() {
        return (maxima, places);
    }
    let arch = Arch::new();
    maxima
        .par_chunks_mut(rows * columns)
        .zip(places.par_chunks_mut(rows * columns))
        .zip(maps.par_chunks(height * width))
        .for_each(|((maxima, places), plane)| arch.dispatch(Forward { plane, maxima, places, shape }));
    (maxima, places)
}

/// The pooling of one plane.
struct Forward<'a> {
    plane: &'a [f32],
    maxima: &'a mut [f32],
    places: &'a mut [u8],
    shape: &'a Geometry,
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { plane, maxima, places, shape } = self;
        let ([height, width], [_, columns]) = (shape.input, shape.output);
        let Pool { size, stride, padding, .. } = shape.pool;
        // Each line with its columns dealt out by `stride`, so that the values of neighbouring
        // windows at one place are neighbours; what is outside the plane is never a maximum.
        let lanes = columns.next_multiple_of(LANES);
        let length = lanes + (size - 1) / stride;
        let mut lines = vec![f32::NEG_INFINITY; height * stride * length];
        for (line, values) in lines.chunks_exact_mut(stride * length).zip(plane.chunks_exact(width)) {
            for (phase, line) in line.chunks_exact_mut(length).enumerate() {
                let first = padding.saturating_sub(phase).div_ceil(stride);
                let at = first * stride + phase - padding;
                if first < length && at < width {
                    for (to, value) in line[first..].iter_mut().zip(values[at..].iter().step_by(stride)) {
                        *to = *value;
                    }
                }
            }
        }
        let mut best = vec![0.0; lanes];
        let mut best_at = vec![0; lanes];
        let out = maxima.chunks_exact_mut(columns).zip(places.chunks_exact_mut(columns));
        for (row, (maxima, places)) in out.enumerate() {
            best.fill(f32::NEG_INFINITY);
            for (column, place) in best_at.iter_mut().enumerate() {
                *place = shape.first_place(row, column);
            }
            for y in 0..size {
                let Some(line) = (row * stride + y).checked_sub(padding).filter(|&line| line < height) else {
                    continue;
                };
                for x in 0..size {
                    let from = &lines[(line * stride + x % stride) * length + x / stride..][..lanes];
                    let best = best.chunks_exact_mut(LANES).zip(best_at.chunks_exact_mut(LANES));
                    for ((best, at), from) in best.zip(from.chunks_exact(LANES)) {
                        for lane in 0..LANES {
                            let better = from[lane] > best[lane] || from[lane].is_nan();
                            best[lane] = if better { from[lane] } else { best[lane] };
                            at[lane] = if better { (y * size + x) as u32 } else { at[lane] };
                        }
                    }
                }
            }
            maxima.copy_from_slice(&best[..columns]);
            for (place, at) in places.iter_mut().zip(&best_at) {
                *place = *at as u8;
            }
        }
    }
}

/// The gradient with respect to the maps: each output's goes to the place it was at.
pub(super) fn gradient(gradient: &[f32], places: &[u8], shape: &Geometry) -> Vec<f32> {
    let ([height, width], [rows, columns]) = (shape.input, shape.output);
    let Pool { size, stride, padding, .. } = shape.pool;
    let planes = gradient.len() / (rows * columns).max(1);
    let mut out = vec![0.0; planes * height * width];
    if out.is_empty() {
        return out;
    }
    // From a window's first pixel to each of its places.
    let offsets: Vec<usize> = (0..size * size).map(|place| place / size * width + place % size).collect();
    let corner = padding * width + padding;
    out.par_chunks_mut(height * width)
        .zip(gradient.par_chunks(rows * columns))
        .zip(places.par_chunks(rows * columns))
        .for_each(|((out, gradient), places)| {
            let lines = gradient.chunks_exact(columns).zip(places.chunks_exact(columns));
            for (row, (gradient, places)) in lines.enumerate() {
                let first = row * stride * width;
                for (column, (gradient, place)) in gradient.iter().zip(places).enumerate() {
                    out[first + column * stride + offsets[usize::from(*place)] - corner] += gradient;
                }
            }
        });
    out
}
