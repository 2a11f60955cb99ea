//! LRN in CubeCL, compiled for every GPU backend: one launch forward, one backward.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl;
use cubecl::prelude::*;

use super::extension::{LrnGradients, LrnKernels};
use crate::config::Lrn;
use crate::gpu::rows::{Rows, channels_first};

/// The constants of a normalization.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(crate) struct Constants {
    pub(crate) coefficient: f32,
    pub(crate) k: f32,
    pub(crate) beta: f32,
}

impl Constants {
    /// Returns arguments for a launch without a normalization.
    pub(crate) fn none() -> ConstantsLaunch {
        ConstantsLaunch::new(0.0, 0.0, 0.0)
    }
}

/// The window around a channel or a pixel, and whether the exponent is the paper's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Window {
    pub(crate) below: usize,
    pub(crate) size: usize,
    three_quarters: bool,
}

impl Window {
    pub(crate) fn of(lrn: &Lrn) -> Self {
        Self { below: lrn.size / 2, size: lrn.size, three_quarters: lrn.beta == 0.75 }
    }
}

/// Returns the constants as arguments of a launch, with the coefficient of the sum of squares.
pub(crate) fn constants(lrn: &Lrn, coefficient: f64) -> ConstantsLaunch {
    ConstantsLaunch::new(coefficient as f32, lrn.k as f32, lrn.beta as f32)
}

/// `k + coefficient · Σ input²` over the window around a channel of the row at `row`.
#[cube]
pub(crate) fn scale(
    input: &[f32],
    row: usize,
    channel: usize,
    channels: usize,
    constants: &Constants,
    #[comptime] window: Window,
) -> f32 {
    let mut sum = 0.0f32;
    #[unroll]
    for offset in 0..comptime!(window.size) {
        if channel + offset >= comptime!(window.below)
            && channel + offset < channels + comptime!(window.below)
        {
            let value = input[row + channel + offset - comptime!(window.below)];
            sum += value * value;
        }
    }
    constants.k + constants.coefficient * sum
}

/// `scale^-beta`; the paper's exponent uses square roots.
#[cube]
pub(crate) fn inverse_power(scale: f32, constants: &Constants, #[comptime] window: Window) -> f32 {
    if comptime!(window.three_quarters) {
        let root = f32::sqrt(scale);
        1.0f32 / (root * f32::sqrt(root))
    } else {
        f32::powf(scale, -constants.beta)
    }
}

#[cube(launch)]
fn forward(
    input: &[f32],
    out: &mut [f32],
    channels: usize,
    pitch: usize,
    constants: &Constants,
    #[comptime] window: Window,
) {
    if ABSOLUTE_POS >= out.len() {
        terminate!();
    }
    let (channel, row) = (ABSOLUTE_POS % channels, ABSOLUTE_POS / channels * pitch);
    let scale = scale(input, row, channel, channels, constants, window);
    out[ABSOLUTE_POS] = input[row + channel] * inverse_power(scale, constants, window);
}

/// The gradient of the Flex kernel with the same name. It recomputes the neighbouring channels' denominators,
/// so the forward pass keeps nothing.
#[cube(launch)]
fn gradient(
    input: &[f32],
    gradient: &[f32],
    out: &mut [f32],
    channels: usize,
    pitch: usize,
    gradient_pitch: usize,
    constants: &Constants,
    #[comptime] window: Window,
) {
    if ABSOLUTE_POS >= out.len() {
        terminate!();
    }
    let (channel, pixel) = (ABSOLUTE_POS % channels, ABSOLUTE_POS / channels);
    let (row, gradients) = (pixel * pitch, pixel * gradient_pitch);
    let above = comptime!(window.size - 1 - window.below);
    // The windows that contain this channel are those of channels from `above` below it to `below` above it.
    let mut sum = 0.0f32;
    #[unroll]
    for offset in 0..comptime!(window.size) {
        if channel + offset >= above && channel + offset < channels + above {
            let other = channel + offset - above;
            let scale = scale(input, row, other, channels, constants, window);
            let power = inverse_power(scale, constants, window);
            sum += gradient[gradients + other] * input[row + other] * power / scale;
        }
    }
    let own = scale(input, row, channel, channels, constants, window);
    let straight = gradient[gradients + channel] * inverse_power(own, constants, window);
    out[ABSOLUTE_POS] =
        straight - 2.0f32 * constants.coefficient * constants.beta * input[row + channel] * sum;
}

impl LrnKernels for CubeBackend {
    fn lrn_forward(input: FloatTensor<Self>, lrn: Lrn) -> FloatTensor<Self> {
        let input = Rows::of(input);
        let out = input.empty(input.tensor.shape());
        if input.len() > 0 {
            let (count, dim) = input.launch(input.len());
            forward::launch(
                &out.client,
                count,
                dim,
                input.tensor.clone().into_buffer_arg(),
                out.clone().into_buffer_arg(),
                input.columns(),
                input.pitch,
                constants(&lrn, lrn.coefficient()),
                Window::of(&lrn),
            );
        }
        channels_first(out)
    }
}

impl LrnGradients for CubeBackend {
    fn lrn_gradient(to_out: FloatTensor<Self>, input: FloatTensor<Self>, lrn: Lrn) -> FloatTensor<Self> {
        let (to_out, input) = (Rows::of(to_out), Rows::of(input));
        let out = input.empty(input.tensor.shape());
        if input.len() > 0 {
            let (count, dim) = input.launch(input.len());
            gradient::launch(
                &out.client,
                count,
                dim,
                input.tensor.clone().into_buffer_arg(),
                to_out.tensor.into_buffer_arg(),
                out.clone().into_buffer_arg(),
                input.columns(),
                input.pitch,
                to_out.pitch,
                constants(&lrn, lrn.coefficient()),
                Window::of(&lrn),
            );
        }
        channels_first(out)
    }
}
