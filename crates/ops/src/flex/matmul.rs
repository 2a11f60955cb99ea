//! The matrix product of fully connected layers, on the innermost loop of the convolutions.
//!
//! Each element is one sum over `k` with fused multiply-add: partial sums of [`COLUMNS`] terms in order, added in
//! order. The order depends on `k` alone, and not on the registers, the caches or the number of threads.

use crate::threads::*;

use super::product::{COLUMNS, Panel, Table, panels, product};
use super::scratch::scratch;

/// Columns of a result that a task computes, at most. The task copies as many adjacent numbers of each row of the
/// right matrix at once; single panels would read a large matrix in short pieces from many pages.
const STRIP: usize = 512;

/// Numbers below which one thread copies a matrix.
const FEW: usize = 1 << 15;

/// Rows of a result that a task computes. With one panel, their sums stay in the first-level cache.
const ROWS: usize = 64;

/// A matrix in a slice: element `(row, column)` is at `row · row stride + column · column stride`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    row: usize,
    column: usize,
}

impl<'a> Matrix<'a> {
    /// A matrix whose rows of `columns` numbers lie one after another.
    pub(crate) fn of_rows(values: &'a [f32], columns: usize) -> Self {
        Self { values, row: columns, column: 1 }
    }

    /// A matrix whose columns of `rows` numbers lie one after another.
    pub(crate) fn of_columns(values: &'a [f32], rows: usize) -> Self {
        Self { values, row: 1, column: rows }
    }

    /// Copies rows `k` and columns of a panel, `[row][lane]`, into `packed`, whose lanes beyond the panel's count are 0.
    fn pack(&self, rows: std::ops::Range<usize>, panel: Panel, packed: &mut [f32]) {
        if panel.count < panel.width {
            packed.fill(0.0);
        }
        if self.column == 1 {
            for (row, line) in rows.zip(packed.chunks_exact_mut(panel.width)) {
                line[..panel.count]
                    .copy_from_slice(&self.values[row * self.row + panel.first..][..panel.count]);
            }
            return;
        }
        for lane in 0..panel.count {
            let column = &self.values[(panel.first + lane) * self.column..];
            for (row, line) in rows.clone().zip(packed.chunks_exact_mut(panel.width)) {
                line[lane] = column[row * self.row];
            }
        }
    }
}

/// Adjacent columns of a result, `[rows, columns]` in row-major order.
pub(crate) struct Strip {
    columns: usize,
    values: Vec<f32>,
}

impl Strip {
    /// Returns the strip's part of a row.
    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.columns..][..self.columns]
    }
}

/// `left · right` of a large right matrix, as strips of adjacent columns. A task copies a part of the right matrix and
/// multiplies it with all rows of the left one, which is read in place.
///
/// # Shapes
/// `left`: `[m, k]` with contiguous rows; `right`: `[k, n]` with contiguous rows.
pub(crate) fn strips([m, n, k]: [usize; 3], left: Matrix, right: Matrix) -> Vec<Strip> {
    let (rows, columns) = (Table::new((0..m).map(|row| row * left.row)), Table::new(0..k));
    let strip = (n.div_ceil(crate::threads::current_num_threads())).clamp(1, STRIP);
    // Whole panels, except in the last strip.
    let strip = strip.next_multiple_of(panels(n.max(1)).next().map_or(1, |panel| panel.width));
    let starts: Vec<usize> = (0..n).step_by(strip).collect();
    let task = |first: usize| {
        let wide = strip.min(n - first);
        let panels: Vec<Panel> = panels(wide).collect();
        let width: usize = panels.iter().map(|panel| panel.width).sum();
        let mut values = vec![0.0; m * wide];
        scratch((m + COLUMNS) * width, |memory| {
            let (sums, packed) = memory.split_at_mut(m * width);
            sums.fill(0.0);
            for start in (0..k).step_by(COLUMNS) {
                let block = start..(start + COLUMNS).min(k);
                pack_strip(right, block.clone(), first, &panels, packed);
                let (mut sums, mut packed) = (&mut *sums, &*packed);
                for panel in &panels {
                    let (of_panel, rest) = sums.split_at_mut(m * panel.width);
                    let (lines, others) = packed.split_at(block.len() * panel.width);
                    let columns = columns.range(block.clone());
                    product(
                        left.values,
                        rows.all(),
                        columns,
                        (lines, panel.width),
                        of_panel,
                        start > 0,
                        COLUMNS,
                    );
                    (sums, packed) = (rest, others);
                }
            }
            let mut sums = &*sums;
            for panel in &panels {
                let (of_panel, rest) = sums.split_at(m * panel.width);
                for (row, lanes) in values.chunks_exact_mut(wide).zip(of_panel.chunks_exact(panel.width)) {
                    row[panel.first..][..panel.count].copy_from_slice(&lanes[..panel.count]);
                }
                sums = rest;
            }
        });
        Strip { columns: wide, values }
    };
    starts.into_par_iter().map(task).collect()
}

/// Copies rows of some panels side by side, reading each row in one piece.
fn pack_strip(
    right: Matrix,
    rows: std::ops::Range<usize>,
    first: usize,
    panels: &[Panel],
    packed: &mut [f32],
) {
    let count = rows.len();
    for (place, row) in rows.enumerate() {
        let line = &right.values[row * right.row + first..];
        let mut start = 0;
        for panel in panels {
            let to = &mut packed[start + place * panel.width..][..panel.width];
            to[..panel.count].copy_from_slice(&line[panel.first..][..panel.count]);
            to[panel.count..].fill(0.0);
            start += count * panel.width;
        }
    }
}

/// `left · right` of a large left matrix, row block by row block. The right matrix is packed once. `put` receives each
/// row block's first row and its panels with their sums, `[rows, panel width]` one after another; it runs on any
/// thread.
///
/// # Shapes
/// `left`: `[m, k]`; `right`: `[k, n]`.
pub(crate) fn by_rows<T: Send>(
    [m, n, k]: [usize; 3],
    left: Matrix,
    right: Matrix,
    beside: impl IndexedParallelIterator<Item = T>,
    put: impl Fn(T, RowBlock) + Sync,
) {
    let panels: Vec<Panel> = panels(n).collect();
    let width: usize = panels.iter().map(|panel| panel.width).sum();
    let mut packed = vec![0.0; k * width];
    let mut rest = packed.as_mut_slice();
    let parts = panels.iter().map(|panel| {
        let (part, others) = std::mem::take(&mut rest).split_at_mut(k * panel.width);
        rest = others;
        (*panel, part)
    });
    let parts: Vec<(Panel, &mut [f32])> = parts.collect();
    let pack = |(panel, packed): (Panel, &mut [f32])| right.pack(0..k, panel, packed);
    match k * width {
        0 => {}
        FEW.. => parts.into_par_iter().for_each(pack),
        _ => parts.into_iter().for_each(pack),
    }
    // A left matrix with contiguous columns is copied block by block.
    let in_place = left.column == 1;
    let stride = if in_place { left.row } else { k };
    let rows = Table::new((0..ROWS.min(m)).map(|row| row * stride));
    let columns = Table::new(0..k);
    let starts: Vec<usize> = (0..m).step_by(ROWS).collect();
    starts.into_par_iter().zip(beside).for_each(|(first, beside)| {
        let count = ROWS.min(m - first);
        let copy = if in_place { 0 } else { count * k };
        scratch(count * width + copy, |memory| {
            let (sums, copied) = memory.split_at_mut(count * width);
            if k == 0 {
                sums.fill(0.0);
            }
            let values = if in_place {
                &left.values[first * left.row..]
            } else {
                for column in 0..k {
                    let line = &left.values[column * left.column + first * left.row..];
                    for row in 0..count {
                        copied[row * k + column] = line[row * left.row];
                    }
                }
                &*copied
            };
            for start in (0..k).step_by(COLUMNS) {
                let block = start..(start + COLUMNS).min(k);
                let mut rest = &mut *sums;
                let mut start_of_panel = 0;
                for panel in &panels {
                    let (of_panel, others) = rest.split_at_mut(count * panel.width);
                    let lines =
                        &packed[start_of_panel + block.start * panel.width..][..block.len() * panel.width];
                    start_of_panel += k * panel.width;
                    let columns = columns.range(block.clone());
                    product(
                        values,
                        rows.first(count),
                        columns,
                        (lines, panel.width),
                        of_panel,
                        start > 0,
                        COLUMNS,
                    );
                    rest = others;
                }
            }
            put(beside, RowBlock { count, panels: &panels, sums });
        });
    });
}

/// Adjacent rows of a result.
pub(crate) struct RowBlock<'a> {
    /// The number of rows.
    pub(crate) count: usize,
    panels: &'a [Panel],
    sums: &'a [f32],
}

impl RowBlock<'_> {
    /// The rows in a block of `m`, except the last.
    pub(crate) const ROWS: usize = ROWS;

    /// Calls `put` with each panel and its sums, `[rows, panel width]`.
    pub(crate) fn for_each_panel(&self, mut put: impl FnMut(Panel, &[f32])) {
        let mut rest = self.sums;
        for panel in self.panels {
            let (sums, others) = rest.split_at(self.count * panel.width);
            put(*panel, sums);
            rest = others;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small integers, whose sums are exact.
    fn value(i: usize) -> f32 {
        ((i * 37 % 19) as f32) - 9.0
    }

    const SHAPES: [[usize; 3]; 7] =
        [[1, 1, 1], [5, 3, 7], [40, 33, 50], [70, 1030, 300], [2, 0, 3], [3, 2, 0], [0, 3, 2]];

    #[test]
    fn strips_are_the_product() {
        for [m, n, k] in SHAPES {
            let (left, right): (Vec<f32>, Vec<f32>) =
                ((0..m * k).map(value).collect(), (0..k * n).map(|i| value(i + 5)).collect());
            let strips = strips([m, n, k], Matrix::of_rows(&left, k), Matrix::of_rows(&right, n));
            for row in 0..m {
                let found: Vec<f32> = strips.iter().flat_map(|strip| strip.row(row).to_vec()).collect();
                let expected: Vec<f32> = (0..n)
                    .map(|column| (0..k).map(|i| left[row * k + i] * right[i * n + column]).sum())
                    .collect();
                assert_eq!(found, expected, "{m} {n} {k}");
            }
        }
    }

    #[test]
    fn row_blocks_are_the_product_in_every_layout() {
        for [m, n, k] in SHAPES {
            let (left, right): (Vec<f32>, Vec<f32>) =
                ((0..m * k).map(value).collect(), (0..k * n).map(|i| value(i + 5)).collect());
            for left_at in [Matrix::of_rows(&left, k), Matrix::of_columns(&left, m)] {
                for right_at in [Matrix::of_rows(&right, n), Matrix::of_columns(&right, k)] {
                    let mut out = vec![7.0; m * n];
                    let blocks = out.par_chunks_mut((ROWS * n).max(1));
                    if n > 0 {
                        by_rows([m, n, k], left_at, right_at, blocks, |out, block| {
                            block.for_each_panel(|panel, sums| {
                                for (row, sums) in sums.chunks_exact(panel.width).enumerate() {
                                    out[row * n + panel.first..][..panel.count]
                                        .copy_from_slice(&sums[..panel.count]);
                                }
                            });
                        });
                    }
                    for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
                        let product = |i: usize| {
                            left[row * left_at.row + i * left_at.column]
                                * right[i * right_at.row + column * right_at.column]
                        };
                        assert_eq!(out[row * n + column], (0..k).map(product).sum::<f32>(), "{m} {n} {k}");
                    }
                }
            }
        }
    }
}
