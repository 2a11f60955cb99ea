//! LRN within each map in CubeCL: one launch forward, one backward.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl;
use cubecl::prelude::*;

use super::extension::{SpatialLrnGradients, SpatialLrnKernels};
use crate::config::Lrn;
use crate::gpu::rows::{Rows, channels_first};
use crate::lrn::cube::{Constants, Window, constants, inverse_power};

/// The sides of the maps, and the distance between the values of neighbouring pixels.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Maps {
    height: usize,
    width: usize,
    channels: usize,
    pitch: usize,
}

/// `k + coefficient · Σ input²` over the window around a pixel. `at` is the place of the image's first value of the channel.
#[cube]
fn scale(
    input: &[f32],
    at: usize,
    y: usize,
    x: usize,
    maps: &Maps,
    constants: &Constants,
    #[comptime] window: Window,
) -> f32 {
    let below = comptime!(window.below);
    let mut sum = 0.0f32;
    for down in 0..comptime!(window.size) {
        if y + down >= below && y + down < maps.height + below {
            for across in 0..comptime!(window.size) {
                if x + across >= below && x + across < maps.width + below {
                    let pixel = (y + down - below) * maps.width + x + across - below;
                    let value = input[at + pixel * maps.pitch];
                    sum += value * value;
                }
            }
        }
    }
    constants.k + constants.coefficient * sum
}

#[cube(launch)]
fn forward(input: &[f32], out: &mut [f32], maps: &Maps, constants: &Constants, #[comptime] window: Window) {
    if ABSOLUTE_POS >= out.len() {
        terminate!();
    }
    let pixel = ABSOLUTE_POS / maps.channels;
    let (x, y) = (pixel % maps.width, pixel / maps.width % maps.height);
    let inside = y * maps.width + x;
    let at = (pixel - inside) * maps.pitch + ABSOLUTE_POS % maps.channels;
    let scale = scale(input, at, y, x, maps, constants, window);
    out[ABSOLUTE_POS] = input[at + inside * maps.pitch] * inverse_power(scale, constants, window);
}

/// The gradient. It recomputes the neighbouring pixels' denominators, so the forward pass keeps nothing.
#[cube(launch)]
fn gradient(
    input: &[f32],
    gradient: &[f32],
    out: &mut [f32],
    maps: &Maps,
    gradient_pitch: usize,
    constants: &Constants,
    #[comptime] window: Window,
) {
    if ABSOLUTE_POS >= out.len() {
        terminate!();
    }
    let (channel, pixel) = (ABSOLUTE_POS % maps.channels, ABSOLUTE_POS / maps.channels);
    let (x, y) = (pixel % maps.width, pixel / maps.width % maps.height);
    let inside = y * maps.width + x;
    let first = pixel - inside;
    let at = first * maps.pitch + channel;
    let above = comptime!(window.size - 1 - window.below);
    // The windows that contain this pixel are those of pixels from `above` before it to `below` after it.
    let mut sum = 0.0f32;
    for down in 0..comptime!(window.size) {
        if y + down >= above && y + down < maps.height + above {
            for across in 0..comptime!(window.size) {
                if x + across >= above && x + across < maps.width + above {
                    let (row, column) = (y + down - above, x + across - above);
                    let other = row * maps.width + column;
                    let scale = scale(input, at, row, column, maps, constants, window);
                    let power = inverse_power(scale, constants, window);
                    let of_other = gradient[(first + other) * gradient_pitch + channel];
                    sum += of_other * input[at + other * maps.pitch] * power / scale;
                }
            }
        }
    }
    let own = scale(input, at, y, x, maps, constants, window);
    let straight = gradient[pixel * gradient_pitch + channel] * inverse_power(own, constants, window);
    let value = input[at + inside * maps.pitch];
    out[ABSOLUTE_POS] = straight - 2.0f32 * constants.coefficient * constants.beta * value * sum;
}

fn maps(input: &Rows) -> MapsLaunch {
    let [_, height, width, channels] = input.dims();
    MapsLaunch::new(height, width, channels, input.pitch)
}

impl SpatialLrnKernels for CubeBackend {
    fn spatial_lrn_forward(feature_maps: FloatTensor<Self>, lrn: Lrn) -> FloatTensor<Self> {
        let input = Rows::of(feature_maps);
        let out = input.empty(input.tensor.shape());
        if input.len() > 0 {
            let (count, dim) = input.launch(input.len());
            forward::launch(
                &out.client,
                count,
                dim,
                input.tensor.clone().into_buffer_arg(),
                out.clone().into_buffer_arg(),
                maps(&input),
                constants(&lrn, lrn.spatial_coefficient()),
                Window::of(&lrn),
            );
        }
        channels_first(out)
    }
}

impl SpatialLrnGradients for CubeBackend {
    fn spatial_lrn_gradient(
        to_out: FloatTensor<Self>,
        feature_maps: FloatTensor<Self>,
        lrn: Lrn,
    ) -> FloatTensor<Self> {
        let (to_out, input) = (Rows::of(to_out), Rows::of(feature_maps));
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
                maps(&input),
                to_out.pitch,
                constants(&lrn, lrn.spatial_coefficient()),
                Window::of(&lrn),
            );
        }
        channels_first(out)
    }
}
