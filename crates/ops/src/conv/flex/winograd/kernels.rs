//! Kernels at the points, and outputs from the points.

use super::grid::{Grid, POINTS};
use super::transforms::{self, SIDE, Taps, both_ways};
use crate::flex::registers::{Registers, WithRegisters, on_registers};

/// Transforms the kernels of a panel from `[source, tap][plane]` to `[point][source][plane]`; `width` planes lie side by
/// side, and a kernel has `side · side` taps.
pub(super) fn transform_kernels(values: &[f32], side: usize, width: usize) -> Vec<f32> {
    let mut out = vec![0.0; values.len() / (side * side) * POINTS];
    on_registers(Kernels { values, side, width, out: &mut out });
    out
}

struct Kernels<'a> {
    values: &'a [f32],
    side: usize,
    width: usize,
    out: &'a mut [f32],
}

impl WithRegisters for Kernels<'_> {
    type Output = ();

    #[inline(always)]
    fn with_registers<R: Registers>(self, registers: R) {
        match self.side {
            3 => self.run::<R, 3>(registers),
            5 => self.run::<R, 5>(registers),
            other => panic!("kernels of {other} taps"),
        }
    }
}

impl Kernels<'_> {
    #[inline(always)]
    fn run<R: Registers, const TAPS: usize>(self, registers: R) {
        let wide = self.width / R::LANES;
        let values = R::slice(self.values);
        let plane = values.len() / (TAPS * TAPS);
        let out = R::slice_mut(self.out);
        for at in 0..plane {
            // `at` counts the registers of a source's line of planes.
            let (source, register) = (at / wide, at % wide);
            let from = source * TAPS * TAPS * wide + register;
            let points =
                both_ways::<R, Taps, TAPS, SIDE>(registers, |y, x| values[from + (y * TAPS + x) * wide]);
            for (point, value) in points.into_iter().flatten().enumerate() {
                out[point * plane + at] = value;
            }
        }
    }
}

/// Transforms products at the points, `[point][tile][plane]`, to sums `[image][pixel][plane]`.
pub(super) fn transform_outputs(
    grid: &Grid,
    [rows, columns]: [usize; 2],
    products: &[f32],
    width: usize,
    sums: &mut [f32],
) {
    on_registers(Outputs { grid, side: [rows, columns], products, width, sums });
}

struct Outputs<'a> {
    grid: &'a Grid,
    side: [usize; 2],
    products: &'a [f32],
    width: usize,
    sums: &'a mut [f32],
}

impl WithRegisters for Outputs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_registers<R: Registers>(self, registers: R) {
        match self.grid.step {
            2 => self.run::<R, 2>(registers),
            4 => self.run::<R, 4>(registers),
            other => panic!("tiles of {other} outputs"),
        }
    }
}

impl Outputs<'_> {
    #[inline(always)]
    fn run<R: Registers, const STEP: usize>(self, registers: R) {
        let Self { grid, side: [rows, columns], products, width, sums } = self;
        let wide = width / R::LANES;
        let (products, sums) = (R::slice(products), R::slice_mut(sums));
        let plane = products.len() / POINTS;
        let [down, across] = grid.tiles;
        for tile in 0..plane / wide {
            let (image, y0, x0) = (tile / (down * across), tile / across % down * STEP, tile % across * STEP);
            for register in 0..wide {
                let at = tile * wide + register;
                let outputs = both_ways::<R, transforms::Outputs, SIDE, STEP>(registers, |y, x| {
                    products[(y * SIDE + x) * plane + at]
                });
                for (y, line) in outputs.into_iter().enumerate().take(rows - y0) {
                    for (x, value) in line.into_iter().enumerate().take(columns - x0) {
                        sums[((image * rows + y0 + y) * columns + x0 + x) * wide + register] = value;
                    }
                }
            }
        }
    }
}
