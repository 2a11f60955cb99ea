//! The fully connected layer: products by `gemm` on all threads, then one sweep for the rest.

use rayon::prelude::*;

use super::matmul::{columns_of, matmul_on_all_threads, rows_of};
use super::sweep::rectified;
use crate::Finish;

/// The shape of a fully connected layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) batch: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

/// `units · weight + bias`, finished.
///
/// # Shapes
/// As [`linear`](crate::linear), flat.
pub(super) fn forward(
    units: &[f32],
    weight: &[f32],
    bias: &[f32],
    finish: &Finish,
    shape: Shape,
) -> Vec<f32> {
    let Shape { batch, inputs, outputs } = shape;
    let mut out = vec![0.0; batch * outputs];
    // Transposed, so that a column of the product is a row of the output.
    let (weight, units) = ((weight, columns_of(outputs)), (units, columns_of(inputs)));
    matmul_on_all_threads([outputs, batch, inputs], &mut out, weight, units);
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

/// The gradient with respect to the units.
pub(super) fn unit_gradient(gradient: &[f32], weight: &[f32], shape: Shape) -> Vec<f32> {
    let Shape { batch, inputs, outputs } = shape;
    let mut out = vec![0.0; batch * inputs];
    let (weight, gradient) = ((weight, rows_of(outputs)), (gradient, columns_of(outputs)));
    matmul_on_all_threads([inputs, batch, outputs], &mut out, weight, gradient);
    out
}

/// The gradient with respect to the weights.
pub(super) fn weight_gradient(gradient: &[f32], units: &[f32], shape: Shape) -> Vec<f32> {
    let Shape { batch, inputs, outputs } = shape;
    let mut out = vec![0.0; inputs * outputs];
    let (gradient, units) = ((gradient, columns_of(outputs)), (units, rows_of(inputs)));
    matmul_on_all_threads([outputs, inputs, batch], &mut out, gradient, units);
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
