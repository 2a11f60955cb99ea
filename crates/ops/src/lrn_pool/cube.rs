//! LRN with the max pooling after it, in CubeCL: one launch forward, one backward.

use burn::backend::TensorMetadata;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl;
use cubecl::prelude::*;

use super::extension::{LrnPoolGradients, LrnPoolKernels};
use crate::config::{Lrn, Pool};
use crate::gpu::rows::{Rows, channels_first};
use crate::lrn::cube::{Constants, Window, constants, inverse_power, scale};
use crate::pool::cube::{Sides, launch_maxima, of_windows, sides};

/// The gradient of LRN (see `lrn/cube.rs`), where the gradient of each of its outputs is that of the windows whose maximum it is.
#[cube(launch)]
fn gradient(
    input: &[f32],
    gradient: &[f32],
    argmax: &[u32],
    out: &mut [f32],
    sides: &Sides,
    pitch: usize,
    gradient_pitch: usize,
    constants: &Constants,
    #[comptime] window: Window,
    #[comptime] pool: Pool,
) {
    if ABSOLUTE_POS >= out.len() {
        terminate!();
    }
    let channels = sides.channels;
    let channel = ABSOLUTE_POS % channels;
    let row = ABSOLUTE_POS / channels * pitch;
    let above = comptime!(window.size - 1 - window.below);
    let mut sum = 0.0f32;
    for offset in 0..comptime!(window.size) {
        if channel + offset >= above && channel + offset < channels + above {
            let at = ABSOLUTE_POS + offset - above;
            let reached = of_windows(gradient, argmax, sides, gradient_pitch, at, pool);
            // Most pixels are no window's maximum.
            if reached != 0.0f32 {
                let other = channel + offset - above;
                let scale = scale(input, row, other, channels, constants, window);
                let power = inverse_power(scale, constants, window);
                sum += reached * input[row + other] * power / scale;
            }
        }
    }
    let own = scale(input, row, channel, channels, constants, window);
    let reached = of_windows(gradient, argmax, sides, gradient_pitch, ABSOLUTE_POS, pool);
    let straight = reached * inverse_power(own, constants, window);
    out[ABSOLUTE_POS] =
        straight - 2.0f32 * constants.coefficient * constants.beta * input[row + channel] * sum;
}

impl LrnPoolKernels for CubeBackend {
    fn lrn_pool_forward(
        feature_maps: FloatTensor<Self>,
        lrn: Lrn,
        pool: Pool,
    ) -> (FloatTensor<Self>, IntTensor<Self>) {
        launch_maxima(feature_maps, Some(lrn), None, pool)
    }
}

impl LrnPoolGradients for CubeBackend {
    fn lrn_pool_gradient(
        to_out: FloatTensor<Self>,
        feature_maps: FloatTensor<Self>,
        argmax: IntTensor<Self>,
        lrn: Lrn,
        pool: Pool,
    ) -> FloatTensor<Self> {
        let (to_out, input, argmax) = (Rows::of(to_out), Rows::of(feature_maps), Rows::of(argmax));
        let out = input.empty(input.tensor.shape());
        if input.len() > 0 {
            let (count, dim) = input.launch(input.len());
            gradient::launch(
                &out.client,
                count,
                dim,
                input.tensor.clone().into_buffer_arg(),
                to_out.tensor.into_buffer_arg(),
                argmax.tensor.into_buffer_arg(),
                out.clone().into_buffer_arg(),
                sides(input.dims(), &pool),
                input.pitch,
                to_out.pitch,
                constants(&lrn, lrn.coefficient()),
                Window::of(&lrn),
                pool,
            );
        }
        channels_first(out)
    }
}
