//! Local response normalization within each feature map, and its gradient.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::config::Lrn;
use crate::flex::par_fill::filled;
use crate::flex::sweep::{add, copy};
use crate::level::dispatch;
use crate::lrn::flex::kernel::inverse_power;

/// Planes per task. They share its buffers.
const PLANES: usize = 8;

/// The extent of a window before and after its centre.
#[derive(Debug, Clone, Copy)]
struct Reach {
    before: usize,
    after: usize,
}

/// The sums over the square window around each pixel, clipped at the edges. They run along columns, then
/// rows.
struct WindowSums {
    height: usize,
    width: usize,
    /// Sums along columns, with zeros before and after each row.
    line: Vec<f32>,
}

impl WindowSums {
    fn new([height, width]: [usize; 2], size: usize) -> Self {
        Self { height, width, line: vec![0.0; width + size - 1] }
    }

    #[inline(always)]
    fn of(&mut self, plane: &[f32], reach: Reach, sums: &mut [f32]) {
        let Self { height, width, line } = self;
        for (row, sums) in sums.chunks_exact_mut(*width).enumerate() {
            let (first, end) = (row.saturating_sub(reach.before), (row + reach.after + 1).min(*height));
            let middle = &mut line[reach.before..][..*width];
            copy(&plane[first * *width..][..*width], middle);
            for values in plane[(first + 1) * *width..end * *width].chunks_exact(*width) {
                add(values, middle);
            }
            copy(&line[..*width], sums);
            for offset in 1..=reach.before + reach.after {
                add(&line[offset..], sums);
            }
            // A gradient's windows extend the other way, so leave only zeros around the next row.
            line.fill(0.0);
        }
    }
}

/// The coefficient of the plain sum of squares over a window.
fn coefficient(lrn: &Lrn) -> f32 {
    lrn.spatial_coefficient() as f32
}

fn reach(lrn: &Lrn) -> Reach {
    Reach { before: lrn.size / 2, after: lrn.size - 1 - lrn.size / 2 }
}

/// `input` divided by `(k + coefficient · Σ input²)^beta`.
///
/// # Shapes
/// `input` and the result: `[planes, height, width]`.
pub(super) fn forward(input: &[f32], sides: [usize; 2], lrn: &Lrn) -> Vec<f32> {
    let piece = PLANES * sides[0] * sides[1];
    filled(input.len(), piece, input.par_chunks(piece.max(1)), |input, out| {
        dispatch(Forward { input, out, sides, lrn });
    })
}

/// The normalization of some planes.
struct Forward<'a> {
    input: &'a [f32],
    out: &'a mut [f32],
    sides: [usize; 2],
    lrn: &'a Lrn,
}

/// Writes `k + coefficient · Σ plane²` into `scale`.
#[inline(always)]
fn scales(plane: &[f32], lrn: &Lrn, sums: &mut WindowSums, squares: &mut [f32], scale: &mut [f32]) {
    squares.iter_mut().zip(plane).for_each(|(square, value)| *square = value * value);
    sums.of(squares, reach(lrn), scale);
    let (coefficient, k) = (coefficient(lrn), lrn.k as f32);
    scale.iter_mut().for_each(|scale| *scale = k + coefficient * *scale);
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { input, out, sides, lrn } = self;
        let size = sides[0] * sides[1];
        let mut sums = WindowSums::new(sides, lrn.size);
        let mut squares = vec![0.0; size];
        for (plane, out) in input.chunks_exact(size).zip(out.chunks_exact_mut(size)) {
            scales(plane, lrn, &mut sums, &mut squares, out);
            inverse_power(out, lrn.beta as f32);
            out.iter_mut().zip(plane).for_each(|(out, value)| *out *= value);
        }
    }
}

/// The gradient with respect to the input, as [across channels](crate::lrn::flex::kernel::gradient), but over
/// the pixels whose window contains each pixel.
pub(super) fn gradient(input: &[f32], gradient: &[f32], sides: [usize; 2], lrn: &Lrn) -> Vec<f32> {
    let piece = PLANES * sides[0] * sides[1];
    let beside = input.par_chunks(piece.max(1)).zip(gradient.par_chunks(piece.max(1)));
    filled(input.len(), piece, beside, |(input, gradient), out| {
        dispatch(Gradient { input, gradient, out, sides, lrn });
    })
}

/// The gradient of some planes.
struct Gradient<'a> {
    input: &'a [f32],
    gradient: &'a [f32],
    out: &'a mut [f32],
    sides: [usize; 2],
    lrn: &'a Lrn,
}

impl WithSimd for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { input, gradient, out, sides, lrn } = self;
        let size = sides[0] * sides[1];
        let mut sums = WindowSums::new(sides, lrn.size);
        let (mut ratios, mut scale, mut others) = (vec![0.0; size], vec![0.0; size], vec![0.0; size]);
        let Reach { before, after } = reach(lrn);
        let factor = 2.0 * coefficient(lrn) * lrn.beta as f32;
        let gradient = gradient.chunks_exact(size);
        for ((plane, gradient), out) in input.chunks_exact(size).zip(gradient).zip(out.chunks_exact_mut(size))
        {
            scales(plane, lrn, &mut sums, &mut ratios, &mut scale);
            out.copy_from_slice(&scale);
            inverse_power(out, lrn.beta as f32);
            let values = plane.iter().zip(gradient).zip(&scale);
            for ((out, ratio), ((value, gradient), scale)) in out.iter_mut().zip(&mut ratios).zip(values) {
                *out *= gradient;
                *ratio = *out * value / scale;
            }
            sums.of(&ratios, Reach { before: after, after: before }, &mut others);
            for (out, (value, sum)) in out.iter_mut().zip(plane.iter().zip(&others)) {
                *out -= factor * value * sum;
            }
        }
    }
}
