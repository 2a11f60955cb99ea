//! The source under tiles, and its transformation to the points.

use super::super::correlation::Correlation;
use super::grid::{Band, Grid, LANES};
use super::transforms::{Inputs, LONG, SHORT, Transformation, both_ways};
use crate::flex::registers::{Registers, WithRegisters, on_registers};

impl Grid {
    /// Transforms the source planes of a group under a band: `out` is `[point][source / 16][tile][source % 16]`. `window`
    /// is of arbitrary content.
    pub(super) fn transform(
        &self,
        correlation: &Correlation,
        source: &[f32],
        group: usize,
        band: &Band,
        window: &mut [f32],
        out: &mut [f32],
    ) {
        on_registers(Transform { grid: self, correlation, source, group, band, window, out });
    }
}

struct Transform<'a> {
    grid: &'a Grid,
    correlation: &'a Correlation,
    source: &'a [f32],
    group: usize,
    band: &'a Band,
    window: &'a mut [f32],
    out: &'a mut [f32],
}

impl WithRegisters for Transform<'_> {
    type Output = ();

    #[inline(always)]
    fn with_registers<R: Registers>(self, registers: R) {
        let Self { grid, correlation, source, group, band, window, out } = self;
        let (sources, [height, width]) = (correlation.sources, correlation.source);
        let at_point = grid.at_point(sources);
        // Zero padding: the copies below do not touch it.
        window.fill(0.0);
        for block in 0..sources.div_ceil(LANES) {
            for image in 0..band.images {
                let first = (image * correlation.groups + group) * sources + block * LANES;
                let planes = &source[first * height * width..];
                let count = LANES.min(sources - block * LANES);
                interleave(correlation, band, &planes[..count * height * width], window);
                let mut to = Points { window, band, image, first: block * grid.capacity, at_point, out };
                to.fill::<R, LONG, LONG>(registers);
                to.fill::<R, LONG, SHORT>(registers);
                to.fill::<R, SHORT, LONG>(registers);
                to.fill::<R, SHORT, SHORT>(registers);
            }
        }
    }
}

/// Copies what a band reads of some source planes to `[row][column][plane]`.
#[inline(always)]
fn interleave(correlation: &Correlation, band: &Band, planes: &[f32], window: &mut [f32]) {
    let [height, width] = correlation.source;
    let length = band.columns.inputs();
    // The first row and column in the source and in the window, and their number.
    let inside = |from: isize, count: usize, side: usize| {
        let (source, window) = (from.max(0) as usize, (-from).max(0) as usize);
        (source, window, side.saturating_sub(source).min(count.saturating_sub(window)))
    };
    let (from_row, to_row, rows) =
        inside(correlation.first[0] + band.first as isize, band.rows.inputs(), height);
    let (from_column, to_column, columns) = inside(correlation.first[1], length, width);
    for (lane, plane) in planes.chunks_exact(height * width).enumerate() {
        for row in 0..rows {
            let line = &plane[(from_row + row) * width + from_column..][..columns];
            let to = &mut window[((to_row + row) * length + to_column) * LANES..][..columns * LANES];
            for (value, to) in line.iter().zip(to.as_chunks_mut::<LANES>().0) {
                to[lane] = *value;
            }
        }
    }
}

/// The source under a band of one image, and its points.
struct Points<'a> {
    window: &'a [f32],
    band: &'a Band,
    image: usize,
    /// The first tile's place among those of all source planes at a point.
    first: usize,
    at_point: usize,
    out: &'a mut [f32],
}

impl Points<'_> {
    /// Transforms the tiles of one size.
    #[inline(always)]
    fn fill<R: Registers, const TALL: usize, const WIDE: usize>(&mut self, registers: R)
    where
        Inputs: Transformation<TALL, TALL> + Transformation<WIDE, WIDE>,
    {
        let registers_of_lanes = LANES / R::LANES;
        let (window, out) = (R::slice(self.window), R::slice_mut(self.out));
        let (length, at_point) = (self.band.columns.inputs(), self.at_point / R::LANES);
        for (tile, place) in self.band.of([TALL, WIDE]).of_image(self.image) {
            let [y0, x0] = self.band.output(place);
            for register in 0..registers_of_lanes {
                let points = both_ways::<R, Inputs, TALL, TALL, WIDE, WIDE>(registers, |y, x| {
                    window[((y0 + y) * length + x0 + x) * registers_of_lanes + register]
                });
                let to = (self.first + tile) * registers_of_lanes + register;
                for (y, line) in points.into_iter().enumerate() {
                    for (x, value) in line.into_iter().enumerate() {
                        out[(y * LONG + x) * at_point + to] = value;
                    }
                }
            }
        }
    }
}
