//! Max pooling that remembers its choices in one byte each.

use std::ops::Range;

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

impl Geometry {
    /// Output columns whose window has column `x` inside the plane, and where the first has it.
    fn seen(&self, x: usize) -> (Range<usize>, usize) {
        let Pool { stride, padding, .. } = self.pool;
        let first = padding.saturating_sub(x).div_ceil(stride).min(self.output[1]);
        let end = (self.input[1] + padding).saturating_sub(x).div_ceil(stride).clamp(first, self.output[1]);
        (first..end, (first * stride + x).saturating_sub(padding))
    }

    /// The first place inside the plane of the window at an output pixel.
    fn first_place(&self, row: usize, column: usize) -> u8 {
        let Pool { size, stride, padding, .. } = self.pool;
        let outside = |at: usize| padding.saturating_sub(at * stride);
        (outside(row) * size + outside(column)) as u8
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
    let mut maxima = vec![f32::NEG_INFINITY; planes * rows * columns];
    let mut places = vec![0; maxima.len()];
    if maxima.is_empty() {
        return (maxima, places);
    }
    let seen: Vec<_> = (0..shape.pool.size).map(|x| shape.seen(x)).collect();
    let line_of = |plane: &[f32], row: usize, maxima: &mut [f32], places: &mut [u8]| {
        for (column, place) in places.iter_mut().enumerate() {
            *place = shape.first_place(row, column);
        }
        for y in 0..shape.pool.size {
            let line = (row * shape.pool.stride + y).checked_sub(shape.pool.padding);
            let Some(line) = line.filter(|&line| line < height) else { continue };
            let line = &plane[line * width..][..width];
            for (x, (seen, start)) in seen.iter().enumerate().filter(|(_, (seen, _))| !seen.is_empty()) {
                let place = (y * shape.pool.size + x) as u8;
                let values = line[*start..].iter().step_by(shape.pool.stride);
                let best = maxima[seen.clone()].iter_mut().zip(&mut places[seen.clone()]);
                for ((maximum, at), &value) in best.zip(values) {
                    let better = value > *maximum || value.is_nan();
                    *maximum = if better { value } else { *maximum };
                    *at = if better { place } else { *at };
                }
            }
        }
    };
    maxima
        .par_chunks_mut(rows * columns)
        .zip(places.par_chunks_mut(rows * columns))
        .zip(maps.par_chunks(height * width))
        .for_each(|((maxima, places), plane)| {
            let lines = maxima.chunks_exact_mut(columns).zip(places.chunks_exact_mut(columns));
            lines.enumerate().for_each(|(row, (maxima, places))| line_of(plane, row, maxima, places));
        });
    (maxima, places)
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
    out.par_chunks_mut(height * width)
        .zip(gradient.par_chunks(rows * columns))
        .zip(places.par_chunks(rows * columns))
        .for_each(|((out, gradient), places)| {
            for (pixel, (gradient, place)) in gradient.iter().zip(places).enumerate() {
                let (y, x) = (usize::from(*place) / size, usize::from(*place) % size);
                let (row, column) = (pixel / columns * stride + y, pixel % columns * stride + x);
                out[(row - padding) * width + column - padding] += gradient;
            }
        });
    out
}
