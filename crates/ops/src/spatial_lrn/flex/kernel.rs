//! Local response normalization within each feature map, and its gradient.

use crate::threads::*;
use pulp::{Simd, WithSimd};

use crate::config::Lrn;
use crate::flex::par_fill::filled;
use crate::flex::scratch::scratch;
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

impl Reach {
    /// The extent within a side of so many pixels.
    fn within(self, side: usize) -> Self {
        let most = side.saturating_sub(1);
        Self { before: self.before.min(most), after: self.after.min(most) }
    }

    fn mirrored(self) -> Self {
        Self { before: self.after, after: self.before }
    }
}

/// The sums over the square window around each pixel, clipped at the edges. They run along columns, then rows.
///
/// A plane lies in a frame of zeros. No window is clipped, and the sums of a plane are a few sweeps over the whole frame.
struct WindowSums<'a> {
    height: usize,
    width: usize,
    /// The pixels of a window beside its centre, along columns and along rows.
    beside: [usize; 2],
    /// The plane in its frame: `[height + beside, width + beside]`.
    framed: &'a mut [f32],
    /// Sums along columns: `[height, width + beside]`, and the columns that the last windows reach beyond.
    columns: &'a mut [f32],
    /// Sums along columns and rows, of which each row's first `width` count.
    sums: &'a mut [f32],
}

impl<'a> WindowSums<'a> {
    /// Elements of the three buffers.
    fn lengths(sides: [usize; 2], reach: Reach) -> [usize; 3] {
        let ([height, width], [more_rows, more_columns]) = (sides, Self::beside(sides, reach));
        let wide = width + more_columns;
        [(height + more_rows) * wide, height * wide + more_columns, height * wide]
    }

    fn beside(sides: [usize; 2], reach: Reach) -> [usize; 2] {
        sides.map(|side| reach.within(side)).map(|reach| reach.before + reach.after)
    }

    /// `memory` holds the buffers. Its content may be arbitrary: elements that are never written reach only sums that are
    /// discarded.
    fn new(sides: [usize; 2], reach: Reach, memory: &'a mut [f32]) -> Self {
        let [framed, columns, _] = Self::lengths(sides, reach);
        let (framed, rest) = memory.split_at_mut(framed);
        let (columns, sums) = rest.split_at_mut(columns);
        Self { height: sides[0], width: sides[1], beside: Self::beside(sides, reach), framed, columns, sums }
    }

    /// Begins a plane whose windows have this reach, or its mirror image. Returns the plane's rows in the frame, which
    /// the caller overwrites.
    #[inline(always)]
    fn rows(&mut self, reach: Reach) -> impl Iterator<Item = &mut [f32]> {
        let (above, before) = (reach.within(self.height).before, reach.within(self.width).before);
        let (width, wide) = (self.width, self.width + self.beside[1]);
        // A plane with the opposite reach may have been here.
        self.framed[..above * wide].fill(0.0);
        self.framed[(above + self.height) * wide..].fill(0.0);
        self.framed[above * wide..].chunks_exact_mut(wide).take(self.height).map(move |row| {
            row[..before].fill(0.0);
            row[before + width..].fill(0.0);
            &mut row[before..][..width]
        })
    }

    /// Returns the rows of the sums of the plane in the frame.
    #[inline(always)]
    fn sums(&mut self) -> impl Iterator<Item = &[f32]> {
        let (wide, length) = (self.width + self.beside[1], self.sums.len());
        add_up(self.framed, [wide, self.beside[0]], &mut self.columns[..length]);
        add_up(self.columns, [1, self.beside[1]], self.sums);
        self.sums.chunks_exact(wide).map(|row| &row[..self.width])
    }
}

/// `sums[i] = values[i] + values[i + step] + …`, with `more` values after the first.
#[inline(always)]
fn add_up(values: &[f32], [step, more]: [usize; 2], sums: &mut [f32]) {
    const LANES: usize = 16;
    let (blocks, rest) = sums.as_chunks_mut::<LANES>();
    let done = LANES * blocks.len();
    for (block, sums) in blocks.iter_mut().enumerate() {
        let mut sum = [0.0; LANES];
        sum.copy_from_slice(&values[block * LANES..][..LANES]);
        for at in 1..=more {
            let values = &values[block * LANES + at * step..][..LANES];
            sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
        *sums = sum;
    }
    for (at, sum) in rest.iter_mut().enumerate() {
        *sum = (1..=more).fold(values[done + at], |sum, next| sum + values[done + at + next * step]);
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
    let length = WindowSums::lengths(sides, reach(lrn)).iter().sum();
    filled(input.len(), piece, input.par_chunks(piece.max(1)), |input, out| {
        scratch(length, |memory| dispatch(Forward { input, out, sides, lrn, memory }));
    })
}

/// The normalization of some planes.
struct Forward<'a> {
    input: &'a [f32],
    out: &'a mut [f32],
    sides: [usize; 2],
    lrn: &'a Lrn,
    memory: &'a mut [f32],
}

/// Writes `k + coefficient · Σ plane²` into `scale`.
#[inline(always)]
fn scales(plane: &[f32], lrn: &Lrn, sums: &mut WindowSums, scale: &mut [f32]) {
    let width = sums.width;
    for (row, values) in sums.rows(reach(lrn)).zip(plane.chunks_exact(width)) {
        for (square, value) in row.iter_mut().zip(values) {
            *square = value * value;
        }
    }
    let (coefficient, k) = (coefficient(lrn), lrn.k as f32);
    for (scale, sums) in scale.chunks_exact_mut(width).zip(sums.sums()) {
        for (scale, sum) in scale.iter_mut().zip(sums) {
            *scale = k + coefficient * *sum;
        }
    }
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { input, out, sides, lrn, memory } = self;
        let size = sides[0] * sides[1];
        let mut sums = WindowSums::new(sides, reach(lrn), memory);
        for (plane, out) in input.chunks_exact(size).zip(out.chunks_exact_mut(size)) {
            scales(plane, lrn, &mut sums, out);
            inverse_power(out, lrn.beta as f32);
            for (out, value) in out.iter_mut().zip(plane) {
                *out *= value;
            }
        }
    }
}

/// The gradient with respect to the input, as [across channels](crate::lrn::flex::kernel::gradient), but over
/// the pixels whose window contains each pixel.
pub(super) fn gradient(input: &[f32], gradient: &[f32], sides: [usize; 2], lrn: &Lrn) -> Vec<f32> {
    let piece = PLANES * sides[0] * sides[1];
    let beside = input.par_chunks(piece.max(1)).zip(gradient.par_chunks(piece.max(1)));
    let length = WindowSums::lengths(sides, reach(lrn)).iter().sum::<usize>() + sides[0] * sides[1];
    filled(input.len(), piece, beside, |(input, gradient), out| {
        scratch(length, |memory| dispatch(Gradient { input, gradient, out, sides, lrn, memory }));
    })
}

/// The gradient of some planes.
struct Gradient<'a> {
    input: &'a [f32],
    gradient: &'a [f32],
    out: &'a mut [f32],
    sides: [usize; 2],
    lrn: &'a Lrn,
    memory: &'a mut [f32],
}

impl WithSimd for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { input, gradient, out, sides, lrn, memory } = self;
        let size = sides[0] * sides[1];
        let (scale, memory) = memory.split_at_mut(size);
        let mut sums = WindowSums::new(sides, reach(lrn), memory);
        let mirrored = reach(lrn).mirrored();
        let factor = 2.0 * coefficient(lrn) * lrn.beta as f32;
        let gradient = gradient.chunks_exact(size);
        for ((plane, gradient), out) in input.chunks_exact(size).zip(gradient).zip(out.chunks_exact_mut(size))
        {
            scales(plane, lrn, &mut sums, scale);
            out.copy_from_slice(scale);
            inverse_power(out, lrn.beta as f32);
            for (out, gradient) in out.iter_mut().zip(gradient) {
                *out *= gradient;
            }
            let width = sides[1];
            let values =
                out.chunks_exact(width).zip(plane.chunks_exact(width)).zip(scale.chunks_exact(width));
            for (row, ((out, plane), scale)) in sums.rows(mirrored).zip(values) {
                for (ratio, ((out, value), scale)) in row.iter_mut().zip(out.iter().zip(plane).zip(scale)) {
                    *ratio = out * value / scale;
                }
            }
            let rows = out.chunks_exact_mut(width).zip(plane.chunks_exact(width)).zip(sums.sums());
            for ((out, plane), others) in rows {
                for (out, (value, sum)) in out.iter_mut().zip(plane.iter().zip(others)) {
                    *out -= factor * value * sum;
                }
            }
        }
    }
}
