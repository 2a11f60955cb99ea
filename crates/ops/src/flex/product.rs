//! A matrix product that reads its left matrix in place, through two tables of offsets.
//!
//! A convolution is a product with the matrix of all patches of its input. That matrix holds each input value
//! many times; this code never writes it. Its element `(row, column)` is
//! `values[rows[row] + columns[column]]`, where rows are pixels and columns are kernel taps, or the reverse.
//! The innermost loop is the usual one of a fast matrix product: it multiplies a few rows by a panel of the
//! right matrix in registers.

use std::array::from_fn;
use std::ops::Range;

use pulp::{as_arrays, as_arrays_mut};

use super::registers::{Registers, WithRegisters, on_registers};

/// Columns multiplied before moving to the next rows, whose part of a panel stays in the first-level cache.
pub(crate) const COLUMNS: usize = 256;

/// A table of offsets.
#[derive(Debug)]
pub(crate) struct Table {
    offsets: Vec<u32>,
    /// The largest offset up to each.
    largest: Vec<u32>,
}

impl Table {
    /// # Panics
    /// If an offset does not fit into 32 bits.
    pub(crate) fn new(offsets: impl Iterator<Item = usize>) -> Self {
        let offsets: Vec<u32> =
            offsets.map(|offset| u32::try_from(offset).expect("a tile is small")).collect();
        let mut largest = offsets.clone();
        (1..largest.len()).for_each(|at| largest[at] = largest[at].max(largest[at - 1]));
        Self { offsets, largest }
    }

    /// Returns the first `count` offsets.
    pub(crate) fn first(&self, count: usize) -> Offsets<'_> {
        self.range(0..count)
    }

    /// Returns the offsets at these positions.
    pub(crate) fn range(&self, positions: Range<usize>) -> Offsets<'_> {
        let largest = positions.end.checked_sub(1).map_or(0, |last| self.largest[last] as usize);
        Offsets { offsets: &self.offsets[positions], largest }
    }

    pub(crate) fn all(&self) -> Offsets<'_> {
        self.first(self.offsets.len())
    }
}

/// Some of the offsets of a [`Table`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offsets<'a> {
    offsets: &'a [u32],
    /// At least the largest offset.
    largest: usize,
}

/// Splits `count` columns of the right matrix into panels of two registers. The last one has one to three, so that few
/// lanes are idle: 48 columns fill three registers of 16.
pub(crate) fn panels(count: usize) -> impl Iterator<Item = Panel> {
    let lanes = lanes();
    let mut first = 0;
    std::iter::from_fn(move || {
        let rest = count - first;
        let registers = match rest.div_ceil(lanes) {
            0 => return None,
            few @ 1..=3 => few,
            _ => 2,
        };
        let width = registers * lanes;
        let panel = Panel { first, count: rest.min(width), width };
        first += panel.count;
        Some(panel)
    })
}

/// Adjacent columns of a right matrix, stored row by row with `width` floats per row. Only the first `count`
/// floats of a row are used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Panel {
    pub(crate) first: usize,
    pub(crate) count: usize,
    pub(crate) width: usize,
}

/// Floats per register.
fn lanes() -> usize {
    struct Lanes;
    impl WithRegisters for Lanes {
        type Output = usize;
        fn with_registers<R: Registers>(self, _: R) -> usize {
            R::LANES
        }
    }
    on_registers(Lanes)
}

/// `sums ← left · panel`, or `sums ← sums + left · panel` if `accumulate`. A partial sum has at most `terms` terms:
/// [`COLUMNS`], or fewer where the sums must round less. Another number gives other bits.
///
/// # Shapes
/// `panel`: `[columns, width]`; `sums`: `[rows, width]`.
///
/// # Panics
/// If a slice is too short for its matrix, or `width` is not a width from [`panels`].
pub(crate) fn product(
    values: &[f32],
    rows: Offsets,
    columns: Offsets,
    (panel, width): (&[f32], usize),
    sums: &mut [f32],
    accumulate: bool,
    terms: usize,
) {
    on_registers(Product { values, rows, columns, panel, width, sums, accumulate, terms });
}

struct Product<'a> {
    values: &'a [f32],
    rows: Offsets<'a>,
    columns: Offsets<'a>,
    panel: &'a [f32],
    width: usize,
    sums: &'a mut [f32],
    accumulate: bool,
    terms: usize,
}

impl WithRegisters for Product<'_> {
    type Output = ();

    // Rows per step: enough to fill the registers with sums, but leave some for a value and a line of the
    // panel.
    #[inline(always)]
    fn with_registers<R: Registers>(self, registers: R) {
        // WebAssembly names no number of registers. Its engines have 16 on x86-64 and keep some for themselves.
        let few = cfg!(target_family = "wasm");
        let many = R::COUNT >= 32 && !few;
        match self.width / R::LANES {
            3 if many => self.run::<R, 8, 3>(registers),
            3 if few => self.run::<R, 3, 3>(registers),
            3 => self.run::<R, 4, 3>(registers),
            2 if many => self.run::<R, 8, 2>(registers),
            2 if few => self.run::<R, 4, 2>(registers),
            2 => self.run::<R, 6, 2>(registers),
            1 => self.run::<R, 8, 1>(registers),
            other => panic!("a panel of {other} registers"),
        }
    }
}

impl Product<'_> {
    #[inline(always)]
    fn run<R: Registers, const ROWS: usize, const REGISTERS: usize>(self, registers: R) {
        let Self { values, rows, columns, panel, width, sums, mut accumulate, terms } = self;
        assert_eq!(width, REGISTERS * R::LANES);
        assert_eq!(panel.len(), columns.offsets.len() * width);
        assert_eq!(sums.len(), rows.offsets.len() * width);
        let panel = as_arrays::<REGISTERS, _>(R::slice(panel)).0;
        let sums = as_arrays_mut::<REGISTERS, _>(R::slice_mut(sums)).0;
        if columns.offsets.is_empty() && !accumulate {
            sums.fill([registers.splat(0.0); REGISTERS]);
        }
        if rows.offsets.is_empty() || columns.offsets.is_empty() {
            return;
        }
        let last = rows.largest.checked_add(columns.largest);
        assert!(last.is_some_and(|last| last < values.len()));
        for (columns, panel) in columns.offsets.chunks(COLUMNS).zip(panel.chunks(COLUMNS)) {
            for (rows, sums) in rows.offsets.chunks(ROWS).zip(sums.chunks_mut(ROWS)) {
                // A short last group repeats its first row and discards the repeated results.
                let starts: [*const f32; ROWS] = from_fn(|row| {
                    let start = rows.get(row).unwrap_or(&rows[0]);
                    values.as_ptr().wrapping_add(*start as usize)
                });
                let mut accumulate = accumulate;
                for (columns, panel) in columns.chunks(terms).zip(panel.chunks(terms)) {
                    let mut products = [[registers.splat(0.0); REGISTERS]; ROWS];
                    for (column, right) in columns.iter().zip(panel) {
                        for (start, products) in starts.iter().zip(&mut products) {
                            // SAFETY: a row's offset and a column's offset are at most the largest of theirs, and
                            // the assertion above puts the sum of the largest inside `values`.
                            #[allow(unsafe_code)]
                            let left = unsafe { *start.add(*column as usize) };
                            let left = registers.splat(left);
                            for (product, right) in products.iter_mut().zip(right) {
                                *product = registers.multiply_add(left, *right, *product);
                            }
                        }
                    }
                    for (sums, products) in sums.iter_mut().zip(products) {
                        for (sum, product) in sums.iter_mut().zip(products) {
                            *sum = if accumulate { registers.add(*sum, product) } else { product };
                        }
                    }
                    accumulate = true;
                }
            }
            accumulate = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiplies_what_the_tables_point_at() {
        let values: Vec<f32> = (0..400).map(|i| ((i * 37 % 19) as f32) - 9.0).collect();
        let three = 3 * lanes();
        for (rows, columns, count) in
            [(1, 1, 1), (7, 5, 3), (13, 300, 37), (11, 270, three), (6, 0, 4), (0, 3, 2)]
        {
            let left_rows = Table::new((0..rows).map(|row| row * 5 % 90));
            let left_columns = Table::new((0..columns).map(|column| column * 7 % 300));
            for panel in panels(count) {
                let right: Vec<f32> =
                    (0..columns * panel.width).map(|i| ((i * 11 % 7) as f32) - 3.0).collect();
                for accumulate in [false, true] {
                    let mut sums = vec![2.0; rows * panel.width];
                    let right_panel = (right.as_slice(), panel.width);
                    product(
                        &values,
                        left_rows.all(),
                        left_columns.all(),
                        right_panel,
                        &mut sums,
                        accumulate,
                        COLUMNS,
                    );
                    for (at, sum) in sums.iter().enumerate() {
                        let (row, lane) = (at / panel.width, at % panel.width);
                        let product = |column: usize| {
                            values[row * 5 % 90 + column * 7 % 300] * right[column * panel.width + lane]
                        };
                        // Small integers make the sums exact.
                        let expected =
                            (0..columns).map(product).sum::<f32>() + if accumulate { 2.0 } else { 0.0 };
                        assert_eq!(*sum, expected);
                    }
                }
            }
        }
    }

    #[test]
    fn panels_cover_all_columns_with_few_idle_lanes() {
        let lanes = lanes();
        for count in 0..9 * lanes {
            let panels: Vec<Panel> = panels(count).collect();
            assert_eq!(panels.iter().map(|panel| panel.count).sum::<usize>(), count);
            let width: usize = panels.iter().map(|panel| panel.width).sum();
            assert_eq!(width, count.next_multiple_of(lanes), "{count}");
            assert!(panels.iter().rev().skip(1).all(|panel| panel.count == 2 * lanes), "{panels:?}");
        }
    }

    #[test]
    #[should_panic(expected = "values.len()")]
    fn an_offset_outside_is_refused() {
        let (rows, columns) = (Table::new([0, 3].into_iter()), Table::new([0, 2].into_iter()));
        let panel = panels(1).next().expect("one column");
        let (right, mut sums) = (vec![1.0; 2 * panel.width], vec![0.0; 2 * panel.width]);
        product(&[0.0; 5], rows.all(), columns.all(), (&right, panel.width), &mut sums, false, COLUMNS);
    }
}
