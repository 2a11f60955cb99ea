//! Pooling: maxima with their positions in one byte each, and averages.

use std::array::from_fn;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::filled::filled;
use super::sweep::{add, copy};
use crate::config::Pool;

/// The side of the largest window whose positions fit in a byte.
pub(super) const LARGEST_WINDOW: usize = 16;

/// The shape of a pooling: sides of the input and output planes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Geometry {
    pub(super) input: [usize; 2],
    pub(super) output: [usize; 2],
    pub(super) pool: Pool,
}

/// Columns per step: a multiple of every processor's register width.
const LANES: usize = 16;
/// Planes per task. They share its buffers.
const PLANES: usize = 8;

/// A plane laid out row by row, with the columns split by phase of the stride. Values at the same position of
/// neighbouring windows are adjacent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines {
    shape: Geometry,
    /// Output columns, rounded up to a multiple of [`LANES`].
    columns: usize,
    /// Elements of a line: a row's columns in one phase of the stride.
    length: usize,
}

/// A position in the window, for all windows of an output row.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The index of the first window's value in the lines.
    at: usize,
    /// The position's number in the window, in row-major order.
    number: u32,
}

impl Lines {
    pub(super) fn new(shape: Geometry) -> Self {
        let columns = shape.output[1].next_multiple_of(LANES);
        Self { shape, columns, length: columns + (shape.pool.size - 1) / shape.pool.stride }
    }

    fn buffer(&self, outside: f32) -> Vec<f32> {
        vec![outside; self.shape.input[0] * self.shape.pool.stride * self.length]
    }

    /// For each phase of the stride, the index of its first element inside the plane and that element's
    /// column.
    fn phases(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let Pool { stride, padding, .. } = self.shape.pool;
        (0..stride).map(move |phase| {
            let first = padding.saturating_sub(phase).div_ceil(stride);
            (first, first * stride + phase - padding)
        })
    }

    /// Lays out a plane. Elements outside the plane are not changed.
    #[inline(always)]
    fn deal(&self, plane: &[f32], lines: &mut [f32]) {
        let ([_, width], Pool { stride, padding, .. }) = (self.shape.input, self.shape.pool);
        let rows = lines.chunks_exact_mut(stride * self.length).zip(plane.chunks_exact(width));
        if (stride, padding) == (2, 0) {
            // The common case, in a form that compiles to shuffles.
            for (line, values) in rows {
                let (even, odd) = line.split_at_mut(self.length);
                let (evens, odds) = (even.as_chunks_mut::<8>(), odd.as_chunks_mut::<8>());
                let blocks = values.as_chunks::<16>().0;
                for ((even, odd), values) in evens.0.iter_mut().zip(odds.0).zip(blocks) {
                    (*even, *odd) = (from_fn(|i| values[2 * i]), from_fn(|i| values[2 * i + 1]));
                }
                let done = blocks.len().min(self.length / 8);
                let rest = &values[16 * done..];
                let pairs = even[8 * done..].iter_mut().zip(&mut odd[8 * done..]).zip(rest.chunks_exact(2));
                for ((even, odd), pair) in pairs {
                    (*even, *odd) = (pair[0], pair[1]);
                }
                if width % 2 == 1 && width / 2 < self.length {
                    even[width / 2] = values[width - 1];
                }
            }
            return;
        }
        for (line, values) in rows {
            for (line, (first, at)) in line.chunks_exact_mut(self.length).zip(self.phases()) {
                if first < self.length && at < width {
                    for (to, value) in line[first..].iter_mut().zip(values[at..].iter().step_by(stride)) {
                        *to = *value;
                    }
                }
            }
        }
    }

    /// The inverse of [`deal`](Self::deal). Pixels that no window reads are not changed.
    #[inline(always)]
    fn collect(&self, lines: &[f32], plane: &mut [f32]) {
        let ([_, width], Pool { stride, padding, .. }) = (self.shape.input, self.shape.pool);
        let rows = lines.chunks_exact(stride * self.length).zip(plane.chunks_exact_mut(width));
        if (stride, padding) == (2, 0) {
            for (line, values) in rows {
                let (even, odd) = line.split_at(self.length);
                if width % 2 == 1 && width / 2 < self.length {
                    values[width - 1] = even[width / 2];
                }
                for (pair, (even, odd)) in values.chunks_exact_mut(2).zip(even.iter().zip(odd)) {
                    (pair[0], pair[1]) = (*even, *odd);
                }
            }
            return;
        }
        for (line, values) in rows {
            for (line, (first, at)) in line.chunks_exact(self.length).zip(self.phases()) {
                if first < self.length && at < width {
                    for (value, from) in values[at..].iter_mut().step_by(stride).zip(&line[first..]) {
                        *value = *from;
                    }
                }
            }
        }
    }

    /// For each output row, the window positions whose lines are inside the plane.
    fn windows(&self) -> Vec<Vec<Place>> {
        let Pool { size, stride, padding, .. } = self.shape.pool;
        let places = |row: usize| {
            (0..size * size).filter_map(move |number| {
                let (y, x) = (number / size, number % size);
                let line =
                    (row * stride + y).checked_sub(padding).filter(|&line| line < self.shape.input[0])?;
                let at = (line * stride + x % stride) * self.length + x / stride;
                Some(Place { at, number: number as u32 })
            })
        };
        (0..self.shape.output[0]).map(|row| places(row).collect()).collect()
    }

    /// The number of the first position inside the plane, for the window of an output pixel.
    fn first_place(&self, row: usize, column: usize) -> u32 {
        let Pool { size, stride, padding, .. } = self.shape.pool;
        let outside = |at: usize| padding.saturating_sub(at * stride);
        (outside(row) * size + outside(column)) as u32
    }

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

/// The maxima and their positions in the window, in row-major order. The first of equal values wins. NaN wins
/// over everything, as in PyTorch.
///
/// # Shapes
/// `maps`: `[planes, height, width]`; results: `[planes, rows, columns]`.
pub(super) fn maxima(maps: &[f32], shape: &Geometry) -> (Vec<f32>, Vec<u8>) {
    let ([height, width], [rows, columns]) = (shape.input, shape.output);
    let planes = maps.len() / (height * width).max(1);
    let (length, piece) = (planes * rows * columns, PLANES * rows * columns);
    let mut places = vec![0; length];
    if length == 0 {
        return (Vec::new(), places);
    }
    let (arch, lines) = (Arch::new(), Lines::new(*shape));
    let beside = places.par_chunks_mut(piece).zip(maps.par_chunks(PLANES * height * width));
    let maxima = filled(length, piece, beside, |(places, planes), maxima| {
        arch.dispatch(Maxima { lines, planes, maxima, places });
    });
    (maxima, places)
}

/// The maxima of some planes.
pub(super) struct Maxima<'a> {
    pub(super) lines: Lines,
    pub(super) planes: &'a [f32],
    pub(super) maxima: &'a mut [f32],
    pub(super) places: &'a mut [u8],
}

impl WithSimd for Maxima<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { lines, planes, maxima, places } = self;
        let ([height, width], [rows, columns]) = (lines.shape.input, lines.shape.output);
        // Values outside a plane are never a maximum.
        let (mut buffer, windows) = (lines.buffer(f32::NEG_INFINITY), lines.windows());
        let (mut best, mut best_at) = (vec![0.0; lines.columns], vec![0; lines.columns]);
        let planes = planes.chunks_exact(height * width);
        let out = maxima.chunks_exact_mut(rows * columns).zip(places.chunks_exact_mut(rows * columns));
        for (plane, (maxima, places)) in planes.zip(out) {
            lines.deal(plane, &mut buffer);
            let out = maxima.chunks_exact_mut(columns).zip(places.chunks_exact_mut(columns));
            for (row, ((maxima, places), window)) in out.zip(&windows).enumerate() {
                for (column, at) in best_at.iter_mut().enumerate() {
                    *at = lines.first_place(row, column);
                }
                let best_of = S::as_mut_simd_f32s(&mut best).0.iter_mut();
                for (block, (best, at)) in best_of.zip(S::as_mut_simd_u32s(&mut best_at).0).enumerate() {
                    let mut most = simd.splat_f32s(f32::NEG_INFINITY);
                    let mut most_at = *at;
                    for place in window {
                        let from = &buffer[place.at + block * S::F32_LANES..][..S::F32_LANES];
                        let value = S::as_simd_f32s(from).0[0];
                        let is_nan = simd.not_m32s(simd.equal_f32s(value, value));
                        let better = simd.or_m32s(simd.greater_than_f32s(value, most), is_nan);
                        most = simd.select_f32s(better, value, most);
                        most_at = simd.select_u32s(better, simd.splat_u32s(place.number), most_at);
                    }
                    (*best, *at) = (most, most_at);
                }
                copy(&best[..columns], maxima);
                places.iter_mut().zip(&best_at).for_each(|(place, at)| *place = *at as u8);
            }
        }
    }
}

/// The gradient of [`maxima`] with respect to the maps. Each output's gradient goes to the position of its
/// maximum.
pub(super) fn maxima_gradient(gradient: &[f32], places: &[u8], shape: &Geometry) -> Vec<f32> {
    let (plane, map) = (shape.input[0] * shape.input[1], shape.output[0] * shape.output[1]);
    if gradient.is_empty() {
        return Vec::new();
    }
    let scatter = Scatter::new(*shape);
    let beside = gradient.par_chunks(map).zip(places.par_chunks(map));
    filled(gradient.len() / map * plane, plane, beside, |(gradient, places), out| {
        scatter.planes(gradient, places, out);
    })
}

/// Adds each window's value at the position of its maximum.
pub(super) struct Scatter {
    shape: Geometry,
    /// Offsets from a window's first pixel, including padding, to each of its positions.
    offsets: Vec<usize>,
}

impl Scatter {
    pub(super) fn new(shape: Geometry) -> Self {
        let (size, width) = (shape.pool.size, shape.input[1]);
        let offsets = (0..size * size).map(|place| place / size * width + place % size);
        Self { shape, offsets: offsets.collect() }
    }

    /// Adds the values of some planes into `out`.
    pub(super) fn planes(&self, values: &[f32], places: &[u8], out: &mut [f32]) {
        let ([height, width], [rows, columns]) = (self.shape.input, self.shape.output);
        let Pool { stride, padding, .. } = self.shape.pool;
        let corner = padding * width + padding;
        let maps = values.chunks_exact(rows * columns).zip(places.chunks_exact(rows * columns));
        for ((values, places), out) in maps.zip(out.chunks_exact_mut(height * width)) {
            let lines = values.chunks_exact(columns).zip(places.chunks_exact(columns));
            for (row, (values, places)) in lines.enumerate() {
                let first = row * stride * width;
                for (column, (value, place)) in values.iter().zip(places).enumerate() {
                    out[first + column * stride + self.offsets[usize::from(*place)] - corner] += value;
                }
            }
        }
    }
}

/// Averages over the pixels of each window that are inside the plane.
///
/// # Shapes
/// Same as [`maxima`].
pub(super) fn averages(maps: &[f32], shape: &Geometry) -> Vec<f32> {
    let ([height, width], [rows, columns]) = (shape.input, shape.output);
    let planes = maps.len() / (height * width).max(1);
    if maps.is_empty() {
        return Vec::new();
    }
    let (arch, lines) = (Arch::new(), Lines::new(*shape));
    let maps = maps.par_chunks(PLANES * height * width);
    filled(planes * rows * columns, PLANES * rows * columns, maps, |planes, averages| {
        arch.dispatch(Averages { lines, planes, averages });
    })
}

/// The averages of some planes.
struct Averages<'a> {
    lines: Lines,
    planes: &'a [f32],
    averages: &'a mut [f32],
}

impl WithSimd for Averages<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { lines, planes, averages } = self;
        let ([height, width], [rows, columns]) = (lines.shape.input, lines.shape.output);
        let (mut buffer, windows) = (lines.buffer(0.0), lines.windows());
        let (tall, wide) = (lines.counts(0), lines.counts(1));
        let out = averages.chunks_exact_mut(rows * columns);
        for (plane, averages) in planes.chunks_exact(height * width).zip(out) {
            lines.deal(plane, &mut buffer);
            let rows = averages.chunks_exact_mut(columns).zip(&windows).zip(&tall);
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

/// The gradient of [`averages`] with respect to the maps. Each output's gradient is shared equally by its
/// window's pixels.
pub(super) fn averages_gradient(gradient: &[f32], shape: &Geometry) -> Vec<f32> {
    let ([height, width], [rows, columns]) = (shape.input, shape.output);
    let planes = gradient.len() / (rows * columns).max(1);
    if gradient.is_empty() {
        return vec![0.0; planes * height * width];
    }
    let (arch, lines) = (Arch::new(), Lines::new(*shape));
    let gradient = gradient.par_chunks(PLANES * rows * columns);
    filled(planes * height * width, PLANES * height * width, gradient, |gradient, planes| {
        arch.dispatch(AveragesGradient { lines, gradient, planes });
    })
}

/// The gradient of the averages of some planes.
struct AveragesGradient<'a> {
    lines: Lines,
    gradient: &'a [f32],
    planes: &'a mut [f32],
}

impl WithSimd for AveragesGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { lines, gradient, planes } = self;
        let ([height, width], [rows, columns]) = (lines.shape.input, lines.shape.output);
        let (mut buffer, windows) = (lines.buffer(0.0), lines.windows());
        let (tall, wide) = (lines.counts(0), lines.counts(1));
        let mut shares = vec![0.0; lines.columns];
        let planes = planes.chunks_exact_mut(height * width);
        for (gradient, plane) in gradient.chunks_exact(rows * columns).zip(planes) {
            buffer.fill(0.0);
            for ((gradient, window), tall) in gradient.chunks_exact(columns).zip(&windows).zip(&tall) {
                for ((share, gradient), wide) in shares.iter_mut().zip(gradient).zip(&wide) {
                    *share = gradient / (tall * wide);
                }
                for place in window {
                    add(&shares, &mut buffer[place.at..][..lines.columns]);
                }
            }
            lines.collect(&buffer, plane);
        }
    }
}
