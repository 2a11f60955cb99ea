//! Convolution and its gradients as matrix products over tiles of the feature maps.
//!
//! The forward pass and the input gradient are both correlations of planes with kernels. The forward pass
//! correlates the input with the weights. The input gradient correlates the output gradient with the flipped
//! weights, once for each position of an input pixel within the stride. A tile is a run of output rows, or
//! several images if the feature maps are small. The source under a tile is copied with its padding into a
//! window. The product reads patches from the window in place ([`product`](crate::flex::product)), so nothing
//! is unfolded. Where it pays, [`winograd`](super::winograd) computes the same with fewer multiplications. The weight
//! gradient ([`weight_gradient`](super::weight_gradient)) is the same product with
//! pixels and taps exchanged.
//!
//! Any number of threads gives the same bits. Threads may change the tiles of a few images, but no sum runs across
//! pixels there, and an output's terms have an order that depends only on the shapes. The weight gradient's tiles and
//! partial sums depend only on the shapes, and are added in a fixed order.

use crate::threads::*;

use super::geometry::Geometry;
use super::images::Images;
use super::packing::Strides;
use super::plan::Plan;
use super::store::Finish;
use crate::flex::par_fill::filled;
use crate::flex::scratch::scratch;
use crate::pool::flex::lines::{Lines, Pooling};

/// `input ∗ weight + bias`, with a ReLU if `relu`.
///
/// # Shapes
/// Same as [`conv2d`](crate::conv2d), flat.
pub(super) fn forward(input: &[f32], weight: &[f32], bias: &[f32], relu: bool, shape: &Geometry) -> Vec<f32> {
    shape.forward_plan(weight).new_planes(Images::Whole(input), &Finish { bias: Some(bias), relu })
}

impl Geometry {
    fn forward_plan(&self, weight: &[f32]) -> Plan {
        Plan::new(self.forward(), weight, &self.forward_strides(), self.batch, self.method)
    }
}

/// The maxima of [`forward`] and their positions. The feature maps exist only image by image.
pub(super) fn forward_pooled(
    input: &[f32],
    weight: &[f32],
    bias: &[f32],
    relu: bool,
    shape: &Geometry,
    pool: &Pooling,
) -> (Vec<f32>, Vec<u8>) {
    let plan = shape.forward_plan(weight);
    let finish = Finish { bias: Some(bias), relu };
    let [image_in, image_out] = shape.forward().sizes();
    let pooled = shape.filters * pool.output[0] * pool.output[1];
    let (length, piece) = (shape.batch * pooled, plan.images() * pooled);
    let mut argmax = vec![0; length];
    if length == 0 {
        return (Vec::new(), argmax);
    }
    let lines = Lines::new(*pool);
    let beside = argmax.par_chunks_mut(piece).zip(plan.parts());
    let maxima = filled(length, piece, beside, |(argmax, images), maxima| {
        scratch(images.len() * image_out, |planes| {
            let source = &input[images.start * image_in..images.end * image_in];
            plan.run(source, &finish, planes);
            lines.maxima(planes, maxima, argmax);
        });
    });
    (maxima, argmax)
}

/// The gradient with respect to the input.
pub(super) fn input_gradient(gradient: Images<'_>, weight: &[f32], shape: &Geometry) -> Vec<f32> {
    let mut out = match shape.stride {
        1 => Vec::new(),
        _ => vec![0.0; shape.batch * shape.channels * shape.input[0] * shape.input[1]],
    };
    // Positions beyond the kernel belong to pixels that no output reads.
    let [rows, columns] = shape.kernel.map(|side| side.min(shape.stride));
    for place in (0..rows).flat_map(|y| (0..columns).map(move |x| [y, x])) {
        let (correlation, last) = shape.backward(place);
        if correlation.kernel.contains(&0) || correlation.output.contains(&0) {
            continue; // pixels that no output sees
        }
        // Flipped: from the last tap at this position to the first, and from filters to channels.
        let wide = shape.kernel[1];
        let place = Strides {
            first: last[0] * wide + last[1],
            group: correlation.sources * shape.taps(),
            plane: shape.kernel[0] * wide,
            source: shape.taps(),
            y: -((shape.stride * wide) as isize),
            x: -(shape.stride as isize),
        };
        let plan = Plan::new(correlation, weight, &place, shape.batch, shape.method);
        let finish = Finish { bias: None, relu: false };
        if shape.stride == 1 {
            return plan.new_planes(gradient, &finish);
        }
        plan.fill_planes(gradient, &finish, &mut out);
    }
    out
}

/// The gradient with respect to the bias: the sum over images and pixels.
pub(super) fn bias_gradient(gradient: &[f32], filters: usize, pixels: usize) -> Vec<f32> {
    let images = gradient.len() / (filters * pixels).max(1);
    let map = |image: usize, filter: usize| &gradient[(image * filters + filter) * pixels..][..pixels];
    let sum = |filter| (0..images).map(|image| sum_of(map(image, filter))).sum();
    (0..filters).into_par_iter().map(sum).collect()
}

/// Sums in eight interleaved parts, which is faster and more exact than a sequential sum.
fn sum_of(values: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    let chunks = values.chunks_exact(8);
    let rest: f32 = chunks.remainder().iter().sum();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    lanes.iter().sum::<f32>() + rest
}
