//! Kernels at the points, and outputs from the points.

use super::grid::{Band, POINTS};
use super::transforms::{self, KernelSide, LONG, SHORT, Taps, Transformation, both_ways};
use crate::flex::registers::{Registers, WithRegisters, on_registers};

/// Transforms the kernels of a panel from `[source, tap][plane]` to `[point][source][plane]`; `width` planes lie side by
/// side.
pub(super) fn transform_kernels(values: &[f32], side: KernelSide, width: usize) -> Vec<f32> {
    on_registers(Kernels { values, side, width })
}

struct Kernels<'a> {
    values: &'a [f32],
    side: KernelSide,
    width: usize,
}

impl WithRegisters for Kernels<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_registers<R: Registers>(self, registers: R) -> Vec<f32> {
        match self.side {
            KernelSide::Three => self.run::<R, 3>(registers),
            KernelSide::Five => self.run::<R, 5>(registers),
        }
    }
}

impl Kernels<'_> {
    #[inline(always)]
    fn run<R: Registers, const TAPS: usize>(self, registers: R) -> Vec<f32> {
        let wide = self.width / R::LANES;
        let values = R::slice(self.values);
        let plane = values.len() / (TAPS * TAPS);
        let mut transformed = vec![0.0; self.values.len() / (TAPS * TAPS) * POINTS];
        let out = R::slice_mut(&mut transformed);
        for at in 0..plane {
            // `at` counts the registers of a source's line of planes.
            let (source, register) = (at / wide, at % wide);
            let from = source * TAPS * TAPS * wide + register;
            let points = both_ways::<R, Taps, TAPS, LONG, TAPS, LONG>(registers, |y, x| {
                values[from + (y * TAPS + x) * wide]
            });
            for (point, value) in points.into_iter().flatten().enumerate() {
                out[point * plane + at] = value;
            }
        }
        transformed
    }
}

/// Transforms products at the points, `[point][tile][plane]`, to sums `[image][pixel][plane]`.
pub(super) fn transform_outputs(
    band: &Band,
    kernel: KernelSide,
    [rows, columns]: [usize; 2],
    products: &[f32],
    width: usize,
    sums: &mut [f32],
) {
    on_registers(Outputs { band, kernel, side: [rows, columns], products, width, sums });
}

struct Outputs<'a> {
    band: &'a Band,
    kernel: KernelSide,
    side: [usize; 2],
    products: &'a [f32],
    width: usize,
    sums: &'a mut [f32],
}

impl WithRegisters for Outputs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_registers<R: Registers>(mut self, registers: R) {
        match self.kernel {
            KernelSide::Three => {
                self.fill::<R, LONG, 4, LONG, 4>(registers);
                self.fill::<R, LONG, 4, SHORT, 3>(registers);
                self.fill::<R, SHORT, 3, LONG, 4>(registers);
                self.fill::<R, SHORT, 3, SHORT, 3>(registers);
            }
            KernelSide::Five => self.fill::<R, LONG, 2, LONG, 2>(registers),
        }
    }
}

impl Outputs<'_> {
    /// Transforms the tiles of one size.
    #[inline(always)]
    fn fill<R: Registers, const TALL: usize, const DOWN: usize, const WIDE: usize, const ACROSS: usize>(
        &mut self,
        registers: R,
    ) where
        transforms::Outputs: Transformation<TALL, DOWN> + Transformation<WIDE, ACROSS>,
    {
        let &mut Self { band, side: [rows, columns], products, width, ref mut sums, .. } = self;
        let wide = width / R::LANES;
        let (products, sums) = (R::slice(products), R::slice_mut(sums));
        let plane = products.len() / POINTS;
        for image in 0..band.images {
            for (tile, place) in band.of([TALL, WIDE]).of_image(image) {
                let [y0, x0] = band.output(place);
                for register in 0..wide {
                    let at = tile * wide + register;
                    let outputs =
                        both_ways::<R, transforms::Outputs, TALL, DOWN, WIDE, ACROSS>(registers, |y, x| {
                            products[(y * LONG + x) * plane + at]
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
}
