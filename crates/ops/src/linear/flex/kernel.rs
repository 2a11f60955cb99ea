//! The fully connected layer: products by `gemm` on all threads, then one sweep for the rest. A few rows are
//! limited by the memory bandwidth of the weights and use their own loop.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::config::Finish;
use crate::flex::matmul::{columns_of, matmul, rows_of};
use crate::flex::rectify::rectified;

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

/// `features · weight + bias`, followed by `finish`.
///
/// # Shapes
/// Same as [`linear`](crate::linear), flat.
pub(super) fn forward(
    features: &[f32],
    weight: &[f32],
    bias: &[f32],
    finish: &Finish,
    shape: Shape,
) -> Vec<f32> {
    let Shape { batch, inputs, outputs } = shape;
    let mut out = if batch <= FEW_ROWS {
        few_rows(features, weight, shape)
    } else {
        let mut out = vec![0.0; batch * outputs];
        // Transposed, so that a column of the product is a row of the output.
        let (weight, features) = ((weight, columns_of(outputs)), (features, columns_of(inputs)));
        matmul([outputs, batch, inputs], &mut out, weight, features);
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

/// `features · weight` for a few rows. It streams through the weights once, line by line.
fn few_rows(features: &[f32], weight: &[f32], shape: Shape) -> Vec<f32> {
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
            for (features, sums) in features.chunks_exact(inputs).zip(sums.chunks_exact_mut(outputs)) {
                arch.dispatch(Row { features: &features[part * lines..], weight, sums });
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

/// `sums ← sums + features · weight` for one row.
struct Row<'a> {
    features: &'a [f32],
    weight: &'a [f32],
    sums: &'a mut [f32],
}

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { features, weight, sums } = self;
        let size = sums.len();
        for (features, lines) in features.chunks(LINES).zip(weight.chunks(LINES * size)) {
            if let (&[a, b, c, d], true) = (features, lines.len() == LINES * size) {
                let (first, second) = lines.split_at(2 * size);
                let (first, second) = (first.split_at(size), second.split_at(size));
                let lines = first.0.iter().zip(first.1).zip(second.0.iter().zip(second.1));
                for (sum, ((w, x), (y, z))) in sums.iter_mut().zip(lines) {
                    *sum += (a * w + b * x) + (c * y + d * z);
                }
            } else {
                for (feature, line) in features.iter().zip(lines.chunks_exact(size)) {
                    sums.iter_mut().zip(line).for_each(|(sum, weight)| *sum += feature * weight);
                }
            }
        }
    }
}

/// The gradient with respect to the features.
pub(super) fn feature_gradient(gradient: &[f32], weight: &[f32], shape: Shape) -> Vec<f32> {
    let Shape { batch, inputs, outputs } = shape;
    let mut out = vec![0.0; batch * inputs];
    let (weight, gradient) = ((weight, rows_of(outputs)), (gradient, columns_of(outputs)));
    matmul([inputs, batch, outputs], &mut out, weight, gradient);
    out
}

/// The gradient with respect to the weights.
pub(super) fn weight_gradient(gradient: &[f32], features: &[f32], shape: Shape) -> Vec<f32> {
    let Shape { batch, inputs, outputs } = shape;
    let mut out = vec![0.0; inputs * outputs];
    let (gradient, features) = ((gradient, columns_of(outputs)), (features, rows_of(inputs)));
    matmul([outputs, inputs, batch], &mut out, gradient, features);
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
