//! Max pooling, with the position of each maximum in one byte, and its gradient.

use std::slice::from_ref;

use crate::threads::*;
use pulp::bytemuck::cast_slice;
use pulp::{Simd, WithSimd};

use super::lines::{Lines, PLANES, Pooling};
use crate::config::Pool;
use crate::flex::par_fill::filled;
use crate::flex::scratch::scratch;
use crate::flex::sweep::copy;
use crate::level::dispatch;

/// The maxima and their positions in the window, in row-major order. The first of equal values wins. NaN wins
/// over everything, as in PyTorch.
///
/// # Shapes
/// `input`: `[planes, height, width]`; results: `[planes, rows, columns]`.
pub(crate) fn maxima(input: &[f32], shape: &Pooling) -> (Vec<f32>, Vec<u8>) {
    let ([height, width], [rows, columns]) = (shape.input, shape.output);
    let planes = input.len() / (height * width).max(1);
    let (length, piece) = (planes * rows * columns, PLANES * rows * columns);
    let mut argmax = vec![0; length];
    if length == 0 {
        return (Vec::new(), argmax);
    }
    let lines = Lines::new(*shape);
    let beside = argmax.par_chunks_mut(piece).zip(input.par_chunks(PLANES * height * width));
    let maxima = filled(length, piece, beside, |(argmax, planes), maxima| {
        lines.maxima(planes, maxima, argmax);
    });
    (maxima, argmax)
}

impl Lines {
    /// Writes the maxima of some planes and their positions.
    pub(crate) fn maxima(&self, planes: &[f32], maxima: &mut [f32], argmax: &mut [u8]) {
        scratch(self.size(), |buffer| dispatch(Maxima { lines: self, planes, maxima, argmax, buffer }));
    }
}

struct Maxima<'a> {
    lines: &'a Lines,
    planes: &'a [f32],
    maxima: &'a mut [f32],
    argmax: &'a mut [u8],
    /// The lines of a plane, of arbitrary content.
    buffer: &'a mut [f32],
}

impl WithSimd for Maxima<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { lines, planes, maxima, argmax, buffer } = self;
        let ([height, width], [rows, columns]) = (lines.shape.input, lines.shape.output);
        // Values outside a plane are never a maximum.
        buffer.fill(f32::NEG_INFINITY);
        let planes = planes.chunks_exact(height * width);
        let out = maxima.chunks_exact_mut(rows * columns).zip(argmax.chunks_exact_mut(rows * columns));
        for (plane, (maxima, argmax)) in planes.zip(out) {
            lines.deal(plane, buffer);
            let out = maxima.chunks_exact_mut(columns).zip(argmax.chunks_exact_mut(columns));
            let rows = out.zip(&lines.windows).zip(lines.first_places.chunks_exact(lines.columns));
            for (((maxima, argmax), window), first_places) in rows {
                let out = maxima.chunks_mut(S::F32_LANES).zip(argmax.chunks_mut(S::F32_LANES));
                let blocks = out.zip(S::as_simd_u32s(first_places).0).enumerate();
                for (block, ((maxima, argmax), first_place)) in blocks {
                    let (mut most, mut most_at) = (simd.splat_f32s(f32::NEG_INFINITY), *first_place);
                    for place in window {
                        let from = &buffer[place.at + block * S::F32_LANES..][..S::F32_LANES];
                        let value = S::as_simd_f32s(from).0[0];
                        let is_nan = simd.not_m32s(simd.equal_f32s(value, value));
                        let better = simd.or_m32s(simd.greater_than_f32s(value, most), is_nan);
                        most = simd.select_f32s(better, value, most);
                        most_at = simd.select_u32s(better, simd.splat_u32s(place.number), most_at);
                    }
                    copy(cast_slice(from_ref(&most)), maxima);
                    let places: &[u32] = cast_slice(from_ref(&most_at));
                    argmax.iter_mut().zip(places).for_each(|(place, at)| *place = *at as u8);
                }
            }
        }
    }
}

/// The gradient of [`maxima`] with respect to the input. Each output's gradient goes to the position of its
/// maximum.
pub(crate) fn maxima_gradient(gradient: &[f32], argmax: &[u8], shape: &Pooling) -> Vec<f32> {
    let (plane, map) = (shape.input[0] * shape.input[1], shape.output[0] * shape.output[1]);
    if gradient.is_empty() {
        return Vec::new();
    }
    let scatter = Scatter::new(*shape);
    let beside = gradient.par_chunks(map).zip(argmax.par_chunks(map));
    filled(gradient.len() / map * plane, plane, beside, |(gradient, argmax), out| {
        scatter.planes(gradient, argmax, out);
    })
}

/// Adds each window's value at the position of its maximum.
pub(crate) struct Scatter {
    shape: Pooling,
    /// Offsets from a window's first pixel, including padding, to each of its positions.
    offsets: Vec<usize>,
}

impl Scatter {
    pub(crate) fn new(shape: Pooling) -> Self {
        let (size, width) = (shape.pool.size, shape.input[1]);
        let offsets = (0..size * size).map(|place| place / size * width + place % size);
        Self { shape, offsets: offsets.collect() }
    }

    /// Adds the values of some planes into `out`.
    pub(crate) fn planes(&self, values: &[f32], argmax: &[u8], out: &mut [f32]) {
        let ([height, width], [rows, columns]) = (self.shape.input, self.shape.output);
        let Pool { stride, padding, .. } = self.shape.pool;
        let corner = padding * width + padding;
        let pooled = values.chunks_exact(rows * columns).zip(argmax.chunks_exact(rows * columns));
        for ((values, argmax), out) in pooled.zip(out.chunks_exact_mut(height * width)) {
            let lines = values.chunks_exact(columns).zip(argmax.chunks_exact(columns));
            for (row, (values, argmax)) in lines.enumerate() {
                let first = row * stride * width;
                for (column, (value, place)) in values.iter().zip(argmax).enumerate() {
                    out[first + column * stride + self.offsets[usize::from(*place)] - corner] += value;
                }
            }
        }
    }
}
