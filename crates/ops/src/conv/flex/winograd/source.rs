//! The source under tiles, and its transformation to the points.

use super::super::correlation::Correlation;
use super::grid::{Band, Grid, LANES};
use super::transforms::{Inputs, LONG, SHORT, Transformation};
use crate::flex::registers::{Registers, WithRegisters, on_registers};
use crate::flex::transpose::to_lines;

impl Grid {
    /// Transforms the source planes of a group under a band: `out` is `[point][source / 16][tile][source % 16]`. `work`
    /// is of arbitrary content.
    pub(super) fn transform(
        &self,
        correlation: &Correlation,
        source: &[f32],
        group: usize,
        band: &Band,
        work: &mut [f32],
        out: &mut [f32],
    ) {
        on_registers(Transform { grid: self, correlation, source, group, band, work, out });
    }
}

struct Transform<'a> {
    grid: &'a Grid,
    correlation: &'a Correlation,
    source: &'a [f32],
    group: usize,
    band: &'a Band,
    work: &'a mut [f32],
    out: &'a mut [f32],
}

impl WithRegisters for Transform<'_> {
    type Output = ();

    #[inline(always)]
    fn with_registers<R: Registers>(self, registers: R) {
        let Self { grid, correlation, source, group, band, work, out } = self;
        let (sources, [height, width]) = (correlation.sources, correlation.source);
        let at_point = grid.at_point(sources);
        let (window, lines) = work.split_at_mut(grid.window());
        // Zero padding: the copies below do not touch it.
        window.fill(0.0);
        for block in 0..sources.div_ceil(LANES) {
            for image in 0..band.images {
                let first = (image * correlation.groups + group) * sources + block * LANES;
                let planes = &source[first * height * width..];
                let count = LANES.min(sources - block * LANES);
                let inputs = [band.rows.inputs(), band.columns.inputs()];
                interleave(correlation, band.first, inputs, &planes[..count * height * width], window);
                let first = block * grid.capacity;
                let mut points = Points { window, lines, band, image, first, at_point, out };
                points.fill::<R, LONG>(registers);
                points.fill::<R, SHORT>(registers);
            }
        }
    }
}

/// Copies the source under a row of outputs and those below it, `[height, width]` pixels of some source planes, to
/// `[row][column][plane]`.
#[inline(always)]
pub(super) fn interleave(
    correlation: &Correlation,
    first: usize,
    [rows, length]: [usize; 2],
    planes: &[f32],
    window: &mut [f32],
) {
    let [height, width] = correlation.source;
    // The first row and column in the source and in the window, and their number.
    let inside = |from: isize, count: usize, side: usize| {
        let (source, window) = (from.max(0) as usize, (-from).max(0) as usize);
        (source, window, side.saturating_sub(source).min(count.saturating_sub(window)))
    };
    let (from_row, to_row, rows) = inside(correlation.first[0] + first as isize, rows, height);
    let (from_column, to_column, columns) = inside(correlation.first[1], length, width);
    let (size, count) = (height * width, planes.len() / (height * width));
    for row in 0..rows {
        let from = &planes[(from_row + row) * width + from_column..];
        let to = &mut window[((to_row + row) * length + to_column) * LANES..][..columns * LANES];
        to_lines(from, [count, size], to, [columns, LANES]);
    }
}

/// The source under a band of one image, and its points.
struct Points<'a> {
    window: &'a [f32],
    /// A row of tiles whose columns are transformed: `[point][column][plane]`, of arbitrary content.
    lines: &'a mut [f32],
    band: &'a Band,
    image: usize,
    /// The first tile's place among those of all source planes at a point.
    first: usize,
    at_point: usize,
    out: &'a mut [f32],
}

impl Points<'_> {
    /// Transforms the rows of tiles of one height. Adjacent tiles overlap, so columns are transformed once for all tiles of
    /// a row.
    #[inline(always)]
    fn fill<R: Registers, const TALL: usize>(&mut self, registers: R)
    where
        Inputs: Transformation<TALL, TALL>,
    {
        let length = self.band.columns.inputs() * LANES / R::LANES;
        for row in self.band.rows.of(TALL) {
            let source = &R::slice(self.window)[self.band.rows.first(row) * length..][..TALL * length];
            let lines = &mut R::slice_mut(self.lines)[..TALL * length];
            for at in 0..length {
                let mut column = [registers.splat(0.0); TALL];
                for (y, value) in column.iter_mut().enumerate() {
                    *value = source[y * length + at];
                }
                for (y, value) in Inputs::apply(registers, column).into_iter().enumerate() {
                    lines[y * length + at] = value;
                }
            }
            self.fill_row::<R, TALL, LONG>(registers, row);
            self.fill_row::<R, TALL, SHORT>(registers, row);
        }
    }

    /// Transforms, in one row of tiles, the lines of the tiles of one width.
    #[inline(always)]
    fn fill_row<R: Registers, const TALL: usize, const WIDE: usize>(&mut self, registers: R, row: usize)
    where
        Inputs: Transformation<WIDE, WIDE>,
    {
        let wide = LANES / R::LANES;
        let (lines, out) = (R::slice(self.lines), R::slice_mut(self.out));
        let (length, at_point) = (self.band.columns.inputs() * wide, self.at_point / R::LANES);
        for (tile, column) in self.band.of([TALL, WIDE]).of_row(self.image, row) {
            let (from, to) = (self.band.columns.first(column) * wide, (self.first + tile) * wide);
            for y in 0..TALL {
                for register in 0..wide {
                    let mut line = [registers.splat(0.0); WIDE];
                    for (x, value) in line.iter_mut().enumerate() {
                        *value = lines[y * length + from + x * wide + register];
                    }
                    for (x, value) in Inputs::apply(registers, line).into_iter().enumerate() {
                        out[(y * LONG + x) * at_point + to + register] = value;
                    }
                }
            }
        }
    }
}
