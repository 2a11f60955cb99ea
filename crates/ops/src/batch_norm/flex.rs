//! Batch normalization on Flex. Sums are in f64, in eight interleaved parts of each feature map, image by image.

use crate::threads::*;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use super::BatchNormalized;
use crate::flex::par_fill::filled;
use crate::flex::{contiguous, elementwise, tensor, values};

/// The operation.
#[backend_extension(Flex, Autodiff)]
trait BatchNormKernels: Backend {
    /// Returns the output, the means and the biased variances.
    fn batch_norm_forward(
        input: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// Its gradients, for the backend below automatic differentiation.
trait BatchNormGradients: Backend {
    /// Returns the gradients of input, gain and shift.
    fn batch_norm_gradients(
        gradient: FloatTensor<Self>,
        input: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        statistics: [FloatTensor<Self>; 2],
        epsilon: f64,
    ) -> [FloatTensor<Self>; 3];
}

/// [`batch_norm`](crate::batch_norm).
pub(super) fn batch_norm(
    feature_maps: Tensor<4>,
    gain: Tensor<1>,
    shift: Tensor<1>,
    epsilon: f64,
) -> BatchNormalized {
    let (input, gain, shift) = (feature_maps.into_dispatch(), gain.into_dispatch(), shift.into_dispatch());
    let (output, mean, variance) =
        <Dispatch as BatchNormKernels>::batch_norm_forward(input, gain, shift, epsilon);
    BatchNormalized {
        output: Tensor::from_dispatch(output),
        mean: Tensor::from_dispatch(mean),
        variance: Tensor::from_dispatch(variance),
    }
}

/// The sum of `term` over the pixels of one channel, image by image.
fn sum_over([images, channels, pixels]: [usize; 3], channel: usize, term: impl Fn(usize) -> f64) -> f64 {
    const LANES: usize = 8;
    let mut lanes = [0.0; LANES];
    for image in 0..images {
        let first = (image * channels + channel) * pixels;
        for start in (0..pixels).step_by(LANES) {
            for (lane, sum) in lanes.iter_mut().enumerate().take(pixels - start) {
                *sum += term(first + start + lane);
            }
        }
    }
    lanes.iter().sum()
}

/// `[images, channels, pixels]` of feature maps.
fn extents(input: &FlexTensor) -> [usize; 3] {
    let [batch, channels, height, width] = input.shape().dims();
    [batch, channels, height * width]
}

/// `1 / √(variance + epsilon)`.
fn inverse_deviation(variance: f32, epsilon: f64) -> f64 {
    1.0 / (f64::from(variance) + epsilon).sqrt()
}

impl BatchNormKernels for Flex {
    fn batch_norm_forward(
        input: FlexTensor,
        gain: FlexTensor,
        shift: FlexTensor,
        epsilon: f64,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let (input, gain, shift) = (contiguous(input), contiguous(gain), contiguous(shift));
        let (extents, x) = (extents(&input), values(&input));
        let [images, channels, pixels] = extents;
        let count = (images * pixels) as f64;
        let statistics = |channel: usize| {
            let mean = sum_over(extents, channel, |at| f64::from(x[at])) / count;
            let square = |at: usize| (f64::from(x[at]) - mean) * (f64::from(x[at]) - mean);
            (mean as f32, (sum_over(extents, channel, square) / count) as f32)
        };
        let (means, variances): (Vec<f32>, Vec<f32>) = (0..channels).into_par_iter().map(statistics).unzip();
        let planes = (0..images * channels).into_par_iter();
        let out = filled(x.len(), pixels, planes, |plane, out| {
            let channel = plane % channels;
            let factor = f64::from(values(&gain)[channel]) * inverse_deviation(variances[channel], epsilon);
            let (mean, factor, shift) = (means[channel], factor as f32, values(&shift)[channel]);
            for (out, x) in out.iter_mut().zip(&x[plane * pixels..]) {
                *out = (x - mean) * factor + shift;
            }
        });
        (elementwise(out, &input), tensor(means, [channels]), tensor(variances, [channels]))
    }
}

impl BatchNormGradients for Flex {
    fn batch_norm_gradients(
        gradient: FlexTensor,
        input: FlexTensor,
        gain: FlexTensor,
        statistics: [FlexTensor; 2],
        epsilon: f64,
    ) -> [FlexTensor; 3] {
        let (gradient, input, gain) = (contiguous(gradient), contiguous(input), contiguous(gain));
        let [means, variances] = statistics.map(contiguous);
        let (extents, g, x) = (extents(&input), values(&gradient), values(&input));
        let [images, channels, pixels] = extents;
        let count = (images * pixels) as f64;
        let (means, variances) = (values(&means), values(&variances));
        let sums = |channel: usize| {
            let mean = f64::from(means[channel]);
            let straight = sum_over(extents, channel, |at| f64::from(g[at]));
            let across = sum_over(extents, channel, |at| f64::from(g[at]) * (f64::from(x[at]) - mean));
            (straight, across * inverse_deviation(variances[channel], epsilon))
        };
        let sums: Vec<(f64, f64)> = (0..channels).into_par_iter().map(sums).collect();
        let planes = (0..images * channels).into_par_iter();
        let out = filled(x.len(), pixels, planes, |plane, out| {
            let channel = plane % channels;
            let (straight, across) = sums[channel];
            let inverse = inverse_deviation(variances[channel], epsilon);
            let factor = (f64::from(values(&gain)[channel]) * inverse) as f32;
            let (mean, straight) = (means[channel], (straight / count) as f32);
            let slope = (across / count * inverse) as f32;
            let both = g[plane * pixels..].iter().zip(&x[plane * pixels..]);
            for (out, (g, x)) in out.iter_mut().zip(both) {
                *out = factor * ((g - straight) - (x - mean) * slope);
            }
        });
        let of_gain = sums.iter().map(|(_, across)| *across as f32).collect();
        let of_shift = sums.iter().map(|(straight, _)| *straight as f32).collect();
        [elementwise(out, &input), tensor(of_gain, [channels]), tensor(of_shift, [channels])]
    }
}

#[derive(Debug)]
struct BatchNorm;

impl<B: BatchNormGradients> Backward<B, 3> for BatchNorm {
    /// The input, the gain, the statistics and epsilon.
    type State = (FloatTensor<B>, FloatTensor<B>, [FloatTensor<B>; 2], f64);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (input, gain, statistics, epsilon) = ops.state;
        let found = B::batch_norm_gradients(gradient, input, gain, statistics, epsilon);
        for (node, found) in ops.parents.into_iter().zip(found) {
            if let Some(node) = node {
                gradients.register::<B>(node.id, found);
            }
        }
    }
}

impl<B: BatchNormKernels + BatchNormGradients, C: CheckpointStrategy> BatchNormKernels for Autodiff<B, C> {
    fn batch_norm_forward(
        input: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [input.node(), gain.node(), shift.node()];
        let prepared = BatchNorm.prepare::<C>(nodes).compute_bound().stateful();
        let (input, gain) = (input.into_primitive(), gain.into_primitive());
        let (out, mean, variance) =
            B::batch_norm_forward(input.clone(), gain.clone(), shift.into_primitive(), epsilon);
        let statistics = [mean.clone(), variance.clone()];
        let out = match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((input, gain, statistics, epsilon), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        };
        (out, Self::from_inner(mean), Self::from_inner(variance))
    }
}
