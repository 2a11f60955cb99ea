//! The fully connected layer: products on all threads, then one sweep for the rest. A few rows are limited by the
//! memory bandwidth of the weights and use their own loop.

use crate::threads::*;
use pulp::{Simd, WithSimd};

use crate::config::Finish;
use crate::flex::matmul::{Matrix, RowBlock, by_rows, strips};
use crate::flex::par_fill::filled;
use crate::flex::rectify::rectified;
use crate::level::dispatch;

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
    let (width, rows) = (outputs.max(1), 0..batch);
    if batch <= FEW_ROWS {
        let mut out = few_rows(features, weight, shape);
        out.chunks_exact_mut(width).enumerate().for_each(|(row, out)| finish_row(out, bias, finish, row));
        return out;
    }
    let (features, weight) = (Matrix::of_rows(features, inputs), Matrix::of_rows(weight, outputs));
    let strips = strips([batch, outputs, inputs], features, weight);
    filled(batch * outputs, width, rows.into_par_iter(), |row, out| {
        let mut rest = &mut *out;
        for strip in &strips {
            let (part, others) = rest.split_at_mut(strip.row(row).len());
            part.copy_from_slice(strip.row(row));
            rest = others;
        }
        finish_row(out, bias, finish, row);
    })
}

/// Adds the bias and applies `finish` to a row.
fn finish_row(out: &mut [f32], bias: &[f32], finish: &Finish, row: usize) {
    let sums = out.iter_mut().zip(bias);
    match finish {
        Finish::Plain => sums.for_each(|(out, bias)| *out += bias),
        Finish::Relu => sums.for_each(|(out, bias)| *out = rectified(*out + bias)),
        Finish::ReluDropout(mask) => sums.zip(mask.factors(row)).for_each(|((out, bias), factor)| {
            *out = rectified(*out + bias) * factor;
        }),
    }
}

/// `features · weight` for a few rows. It streams through the weights once, line by line.
fn few_rows(features: &[f32], weight: &[f32], shape: Shape) -> Vec<f32> {
    let Shape { batch, inputs, outputs } = shape;
    let mut out = vec![0.0; batch * outputs];
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
                dispatch(Row { features: &features[part * lines..], weight, sums });
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
    if batch * inputs == 0 {
        return Vec::new();
    }
    // Transposed, so that the weights are read in place: a row of the product is an input of all samples.
    let (weight, gradient) = (Matrix::of_rows(weight, outputs), Matrix::of_columns(gradient, outputs));
    let mut transposed: Vec<Vec<f32>> = vec![Vec::new(); inputs.div_ceil(RowBlock::ROWS)];
    by_rows([inputs, batch, outputs], weight, gradient, transposed.par_iter_mut(), |samples, block| {
        samples.resize(batch * block.count, 0.0);
        block.for_each_panel(|panel, sums| {
            for (input, sums) in sums.chunks_exact(panel.width).enumerate() {
                for (lane, sum) in sums[..panel.count].iter().enumerate() {
                    samples[(panel.first + lane) * block.count + input] = *sum;
                }
            }
        });
    });
    filled(batch * inputs, inputs, (0..batch).into_par_iter(), |row, mut out| {
        for samples in &transposed {
            let count = samples.len() / batch;
            let (part, rest) = out.split_at_mut(count);
            part.copy_from_slice(&samples[row * count..][..count]);
            out = rest;
        }
    })
}

/// The gradient with respect to the weights.
pub(super) fn weight_gradient(gradient: &[f32], features: &[f32], shape: Shape) -> Vec<f32> {
    let Shape { batch, inputs, outputs } = shape;
    if inputs * outputs == 0 {
        return Vec::new();
    }
    let (features, gradient) = (Matrix::of_columns(features, inputs), Matrix::of_rows(gradient, outputs));
    let mut out = vec![0.0; inputs * outputs];
    let blocks = out.par_chunks_mut(RowBlock::ROWS * outputs);
    by_rows([inputs, outputs, batch], features, gradient, blocks, |out, block| {
        block.for_each_panel(|panel, sums| {
            for (out, sums) in out.chunks_exact_mut(outputs).zip(sums.chunks_exact(panel.width)) {
                out[panel.first..][..panel.count].copy_from_slice(&sums[..panel.count]);
            }
        });
    });
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
