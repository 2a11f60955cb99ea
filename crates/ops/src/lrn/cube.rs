//! LRN in CubeCL, compiled for every GPU backend: one launch forward, one backward.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use super::extension::{LrnGradients, LrnKernels};
use crate::config::Lrn;

/// `k + coefficient · Σ input²` over the window around the channel of `at`.
#[cube]
fn scale(
    input: &[f32],
    at: usize,
    channels: usize,
    pixels: usize,
    coefficient: f32,
    k: f32,
    #[comptime] below: usize,
    #[comptime] size: usize,
) -> f32 {
    let channel = at / pixels % channels;
    let mut sum = 0.0f32;
    #[unroll]
    for offset in 0..size {
        if channel + offset >= below && channel + offset < channels + below {
            let value = input[at + offset * pixels - below * pixels];
            sum += value * value;
        }
    }
    k + coefficient * sum
}

/// `scale^-beta`; the paper's exponent uses square roots.
#[cube]
fn inverse_power(scale: f32, beta: f32, #[comptime] three_quarters: bool) -> f32 {
    if comptime!(three_quarters) {
        let root = f32::sqrt(scale);
        1.0f32 / (root * f32::sqrt(root))
    } else {
        f32::powf(scale, -beta)
    }
}

#[cube(launch)]
fn forward(
    input: &[f32],
    out: &mut [f32],
    channels: usize,
    pixels: usize,
    coefficient: f32,
    k: f32,
    beta: f32,
    #[comptime] below: usize,
    #[comptime] size: usize,
    #[comptime] three_quarters: bool,
) {
    if ABSOLUTE_POS >= out.len() {
        terminate!();
    }
    let scale = scale(input, ABSOLUTE_POS, channels, pixels, coefficient, k, below, size);
    out[ABSOLUTE_POS] = input[ABSOLUTE_POS] * inverse_power(scale, beta, three_quarters);
}

/// The gradient of the Flex kernel with the same name. It recomputes the neighbouring channels' denominators,
/// so the forward pass keeps nothing.
#[cube(launch)]
fn gradient(
    input: &[f32],
    gradient: &[f32],
    out: &mut [f32],
    channels: usize,
    pixels: usize,
    coefficient: f32,
    k: f32,
    beta: f32,
    #[comptime] below: usize,
    #[comptime] size: usize,
    #[comptime] three_quarters: bool,
) {
    if ABSOLUTE_POS >= out.len() {
        terminate!();
    }
    let at = ABSOLUTE_POS;
    let channel = at / pixels % channels;
    let above = comptime!(size - 1 - below);
    // The windows that contain this channel are those of channels from `above` below it to `below` above it.
    let mut sum = 0.0f32;
    #[unroll]
    for offset in 0..size {
        if channel + offset >= above && channel + offset < channels + above {
            let other = at + offset * pixels - above * pixels;
            let scale = scale(input, other, channels, pixels, coefficient, k, below, size);
            sum += gradient[other] * input[other] * inverse_power(scale, beta, three_quarters) / scale;
        }
    }
    let own = scale(input, at, channels, pixels, coefficient, k, below, size);
    let straight = gradient[at] * inverse_power(own, beta, three_quarters);
    out[at] = straight - 2.0f32 * coefficient * beta * input[at] * sum;
}

/// The size of a launch with one unit per element, and the output tensor.
fn launch(input: &CubeTensor) -> (CubeCount, CubeDim, CubeTensor) {
    let (client, shape) = (input.client.clone(), input.shape());
    let count = shape.num_elements();
    let dim = CubeDim::new(&client, count);
    let out = empty_device_contiguous_dtype(client, input.device.clone(), shape, input.dtype);
    (calculate_cube_count_elemwise(&out.client, count, dim), dim, out)
}

impl LrnKernels for CubeBackend {
    fn lrn_forward(input: FloatTensor<Self>, lrn: Lrn) -> FloatTensor<Self> {
        let input = into_contiguous(input);
        let [_, channels, height, width] = input.shape().dims();
        let (count, dim, out) = launch(&input);
        if input.shape().num_elements() > 0 {
            forward::launch(
                &out.client,
                count,
                dim,
                input.into_buffer_arg(),
                out.clone().into_buffer_arg(),
                channels,
                height * width,
                lrn.coefficient() as f32,
                lrn.k as f32,
                lrn.beta as f32,
                lrn.size / 2,
                lrn.size,
                lrn.beta == 0.75,
            );
        }
        out
    }
}

impl LrnGradients for CubeBackend {
    fn lrn_gradient(to_out: FloatTensor<Self>, input: FloatTensor<Self>, lrn: Lrn) -> FloatTensor<Self> {
        let (to_out, input) = (into_contiguous(to_out), into_contiguous(input));
        let [_, channels, height, width] = input.shape().dims();
        let (count, dim, out) = launch(&input);
        if input.shape().num_elements() > 0 {
            gradient::launch(
                &out.client,
                count,
                dim,
                input.into_buffer_arg(),
                to_out.into_buffer_arg(),
                out.clone().into_buffer_arg(),
                channels,
                height * width,
                lrn.coefficient() as f32,
                lrn.k as f32,
                lrn.beta as f32,
                lrn.size / 2,
                lrn.size,
                lrn.beta == 0.75,
            );
        }
        out
    }
}
