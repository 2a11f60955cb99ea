//! The layout of planes in which neighbouring windows read neighbouring values.

use std::array::from_fn;

use crate::config::Pool;

/// The shape of a pooling: sides of the input and output planes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pooling {
    pub(crate) input: [usize; 2],
    pub(crate) output: [usize; 2],
    pub(crate) pool: Pool,
}

impl Pooling {
    /// The pooling of planes of these sides.
    ///
    /// # Panics
    /// If no window fits.
    pub(crate) fn new(input: [usize; 2], pool: Pool) -> Self {
        Self { input, output: pool.output_sides(input), pool }
    }
}

/// Columns per step: a multiple of every register width. WebAssembly has one width; more columns than it has lanes would
/// be computed in vain where planes are small.
pub(super) const LANES: usize = if cfg!(target_family = "wasm") { 4 } else { 16 };
/// Planes per task. They share its buffers.
pub(super) const PLANES: usize = 8;

/// A plane laid out row by row, with the columns split by phase of the stride. Values at the same position of
/// neighbouring windows are adjacent.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    pub(super) shape: Pooling,
    /// Output columns, rounded up to a multiple of [`LANES`].
    pub(super) columns: usize,
    /// Elements of a line: a row's columns in one phase of the stride.
    length: usize,
    /// For each output row, the window positions whose lines are inside the plane.
    pub(super) windows: Vec<Vec<Place>>,
    /// The number of the first position inside the plane, for each output: `[rows, columns]`.
    pub(super) first_places: Vec<u32>,
}

/// A position in the window, for all windows of an output row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The index of the first window's value in the lines.
    pub(super) at: usize,
    /// The position's number in the window, in row-major order.
    pub(super) number: u32,
}

impl Lines {
    pub(crate) fn new(shape: Pooling) -> Self {
        let columns = shape.output[1].next_multiple_of(LANES);
        let length = columns + (shape.pool.size - 1) / shape.pool.stride;
        let Pool { size, stride, padding, .. } = shape.pool;
        let outside = |at: usize| padding.saturating_sub(at * stride);
        let first_places = (0..shape.output[0])
            .flat_map(|row| (0..columns).map(move |column| (outside(row) * size + outside(column)) as u32));
        let first_places = first_places.collect();
        Self { shape, columns, length, windows: windows(&shape, length), first_places }
    }

    /// Elements of the lines of a plane.
    pub(super) fn size(&self) -> usize {
        self.shape.input[0] * self.shape.pool.stride * self.length
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
    pub(super) fn deal(&self, plane: &[f32], lines: &mut [f32]) {
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
    pub(super) fn collect(&self, lines: &[f32], plane: &mut [f32]) {
        let ([_, width], Pool { stride, padding, .. }) = (self.shape.input, self.shape.pool);
        let rows = lines.chunks_exact(stride * self.length).zip(plane.chunks_exact_mut(width));
        if (stride, padding) == (2, 0) {
            for (line, values) in rows {
                let (even, odd) = line.split_at(self.length);
                if width % 2 == 1 && width / 2 < self.length {
                    values[width - 1] = even[width / 2];
                }
                let done = (width / 16).min(self.length / 8);
                let (blocks, rest) = values.split_at_mut(16 * done);
                let pairs = even.as_chunks::<8>().0.iter().zip(odd.as_chunks::<8>().0);
                for (values, (even, odd)) in blocks.as_chunks_mut::<16>().0.iter_mut().zip(pairs) {
                    *values = from_fn(|i| if i % 2 == 0 { even[i / 2] } else { odd[i / 2] });
                }
                let pairs = even[8 * done..].iter().zip(&odd[8 * done..]);
                for (pair, (even, odd)) in rest.chunks_exact_mut(2).zip(pairs) {
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
}

/// Returns for each output row the window positions whose lines, of `length` elements, are inside the plane.
fn windows(shape: &Pooling, length: usize) -> Vec<Vec<Place>> {
    let Pool { size, stride, padding, .. } = shape.pool;
    let positions = |row: usize| {
        (0..size * size).filter_map(move |number| {
            let (y, x) = (number / size, number % size);
            let line = (row * stride + y).checked_sub(padding).filter(|&line| line < shape.input[0])?;
            let at = (line * stride + x % stride) * length + x / stride;
            Some(Place { at, number: number as u32 })
        })
    };
    (0..shape.output[0]).map(|row| positions(row).collect()).collect()
}
