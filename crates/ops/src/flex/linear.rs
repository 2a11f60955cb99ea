//! The fully connected layer: products by `gemm` on all threads, then one sweep for the rest. A few rows are
//! limited by the memory bandwidth of the weights and use their own loop.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::matmul::{columns_of, matmul, rows_of};
use super::sweep::rectified;
use crate::config::Finish;

/// The shape of a fully connected layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) batch: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

/// The largest number of rows that counts as few.
const FEW_ROWS: usize = 4;
/// The largest number of partial sums per output.
const PARTS: usize = 32;

/// `units · weight + bias`, followed by `finish`.
///
/// # Shapes
/// Same as [`linear`](crate::linear), flat.
pub(super) fn forward(
    units: &[f32],
    weight: &[f32],
    bias: &[f32],
    finish: &Finish,
    shape: Shape,
) -> Vec<f32> {
    let Shape { batch, inputs, outputs } = shape;
    let mut out = if batch <= FEW_ROWS {
        few_rows(units, weight, shape)
    } else {
        let mut out = vec![0.0; batch * outputs];
        // Transposed, so that a column of the product is a row of the output.
        let (weight, units) = ((weight, columns_of(outputs)), (units, columns_of(inputs)));
        matmul([outputs, batch, inputs], &mut out, weight, units);
        out
    };
    out.par_chunks_mut(outputs.max(1)).enumerate().for_each(|(row, out)| {
        let sums = out.iter_mut().zip(bias);
        match finish {
            Finish::Plain => sums.for_each(|(out, bias)| *out += bias),
            Finish::Relu => sums.for_each(|(out, bias)| *out = rectified(*out + bias)),
            Finish::ReluDropout(mask) => sums.zip(mask.factors(row)).for_each(|((out, bias), factor)| {
                *out = rectified(*out + bias) * factor;
            }),
        }
    });
    out
}

/// `units · weight` for a few rows. It streams through the weights once, line by line.
fn few_rows(units: &[f32], weight: &[f32], shape: Shape) -> Vec<f32> {
    let Shape { batch, inputs, outputs } = shape;
    let (arch, mut out) = (Arch::new(), vec![0.0; batch * outputs]);
    let lines = inputs.div_ceil(PARTS).next_multiple_of(LINES);
    if out.is_empty() || lines == 0 {
        return out;
    }
    let parts: Vec<Vec<f32>> = weight
        .par_chunks(lines * outputs)
        .enumerate()
        .map(|(part, weight)| {
            let mut sums = vec![0.0; batch * outputs];
            for (units, sums) in units.chunks_exact(inputs).zip(sums.chunks_exact_mut(outputs)) {
                arch.dispatch(Row { units: &units[part * lines..], weight, sums });
            }
            sums
        })
        .collect();
    for part in parts {
        out.iter_mut().zip(part).for_each(|(out, sum)| *out += sum);
    }
    out
}

/// Lines of the weights that are added to a row of sums together.
const LINES: usize = 4;

/// `sums ← sums + units · weight` for one row.
struct Row<'a> {
    units: &'a [f32],
    weight: &'a [f32],
    sums: &'a mut [f32],
}

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { units, weight, sums } = self;
        let size = sums.len();
        for (units, lines) in units.chunks(LINES).zip(weight.chunks(LINES * size)) {
            if let (&[a, b, c, d], true) = (units, lines.len() == LINES * size) {
                let (first, second) = lines.split_at(2 * size);
                let (first, second) = (first.split_at(size), second.split_at(size));
                let lines = first.0.iter().zip(first.1).zip(second.0.iter().zip(second.1));
                for (sum, ((w, x), (y, z))) in sums.iter_mut().zip(lines) {
                    *sum += (a * w + b * x) + (c * y + d * z);
                }
            } else {
                for (unit, line) in units.iter().zip(lines.chunks_exact(size)) {
                    sums.iter_mut().zip(line).for_each(|(sum, weight)| *sum += unit * weight);
                }
            }
        }
    }
}

/// The gradient with respect to the units.
pub(super) fn unit_gradient(gradient: &[f32], weight: &[f32], shape: Shape) -> Vec<f32> {
    let Shape { batch, inputs, outputs } = shape;
    let mut out = vec![0.0; batch * inputs];
    let (weight, gradient) = ((weight, rows_of(outputs)), (gradient, columns_of(outputs)));
    matmul([inputs, batch, outputs], &mut out, weight, gradient);
    out
}

/// The gradient with respect to the weights.
pub(super) fn weight_gradient(gradient: &[f32], units: &[f32], shape: Shape) -> Vec<f32> {
    let Shape { batch, inputs, outputs } = shape;
    let mut out = vec![0.0; inputs * outputs];
    let (gradient, units) = ((gradient, columns_of(outputs)), (units, rows_of(inputs)));
    matmul([outputs, inputs, batch], &mut out, gradient, units);
    out
}

/// The gradient with respect to the bias: the sum over the batch.
pub(super) fn bias_gradient(gradient: &[f32], outputs: usize) -> Vec<f32> {
    let mut sum = vec![0.0; outputs];
    for row in gradient.chunks_exact(outputs.max(1)) {
        for (sum, value) in sum.iter_mut().zip(row) {
            *sum += value;
        }
    }
    sum
}
