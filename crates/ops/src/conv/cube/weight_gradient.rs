//! The gradient of a convolution's weights in CubeCL, in one launch that reads the tensors as they lie.
//!
//! CubeCL's own, where it is not tuned, copies both tensors first.

use burn::backend::TensorMetadata;
use burn_cubecl::cubecl;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use crate::config::Conv2d;
use crate::gpu::rows::channels_first;

/// Feature maps with the distances between adjacent values.
#[derive(CubeType, CubeLaunch)]
struct Maps {
    values: Box<[f32]>,
    image: usize,
    channel: usize,
    row: usize,
    column: usize,
    height: usize,
    width: usize,
}

fn maps(tensor: CubeTensor) -> MapsLaunch {
    let [_, _, height, width] = tensor.shape().dims();
    let strides = tensor.meta.strides();
    let [image, channel, row, column] = [strides[0], strides[1], strides[2], strides[3]];
    MapsLaunch::new(tensor.into_buffer_arg(), image, channel, row, column, height, width)
}

/// The places of a filter that a cube has, side by side. A place is a pixel of the kernel and a channel.
const WIDE: usize = 32;
/// The rows of output pixels that it goes through at once.
const TALL: usize = 8;
/// The filters of a unit, if there are so many in a group.
const FILTERS: usize = 8;

/// A unit has one place of some adjacent filters. It multiplies the pixels that the place reaches by the gradients of the windows.
#[cube(launch)]
fn weight_gradient(
    input: &Maps,
    gradient: &Maps,
    out: &mut [f32],
    images: usize,
    channels: usize,
    kernel: usize,
    filters_of_group: usize,
    padding_top: usize,
    padding_left: usize,
    #[comptime] stride: usize,
    #[comptime] filters: usize,
) {
    let places = kernel * kernel * channels;
    let blocks = places.div_ceil(WIDE);
    let place = CUBE_POS % blocks * WIDE + UNIT_POS_X as usize;
    let filter = CUBE_POS / blocks * filters;
    let here = place < places && filter * places < out.len();
    let mut sums = Array::<f32>::new(filters);
    #[unroll]
    for number in 0..filters {
        sums[number] = 0.0f32;
    }
    if here {
        let channel = filter / filters_of_group * channels + place % channels;
        let (down, across) = (place / channels / kernel, place / channels % kernel);
        let mut row = UNIT_POS_Y as usize;
        while row < images * gradient.height {
            let (image, y) = (row / gradient.height, row % gradient.height);
            let input_y = y * stride + down;
            if input_y >= padding_top && input_y < input.height + padding_top {
                let mut of_gradient = image * gradient.image + filter * gradient.channel + y * gradient.row;
                let of_input =
                    image * input.image + channel * input.channel + (input_y - padding_top) * input.row;
                for x in 0..gradient.width {
                    let input_x = x * stride + across;
                    if input_x >= padding_left && input_x < input.width + padding_left {
                        let value = input.values[of_input + (input_x - padding_left) * input.column];
                        #[unroll]
                        for number in 0..filters {
                            sums[number] += value * gradient.values[of_gradient + number * gradient.channel];
                        }
                    }
                    of_gradient += gradient.column;
                }
            }
            row += TALL;
        }
    }
    let mut partial = Shared::<[f32]>::new_slice(WIDE * TALL * filters);
    #[unroll]
    for number in 0..filters {
        partial[number * WIDE * TALL + UNIT_POS as usize] = sums[number];
    }
    sync_cube();
    // Each row of units adds up the parts of some filters.
    if here {
        let mut number = UNIT_POS_Y as usize;
        while number < filters {
            let mut total = 0.0f32;
            #[unroll]
            for part in 0..TALL {
                total += partial[(number * TALL + part) * WIDE + UNIT_POS_X as usize];
            }
            out[(filter + number) * places + place] = total;
            number += TALL;
        }
    }
}

/// Returns the gradient of weights `[filters, channels / groups, kernel, kernel]`, with the channels last in memory.
pub(super) fn launch(
    input: CubeTensor,
    gradient: CubeTensor,
    [filters, channels, kernel, _]: [usize; 4],
    options: Conv2d,
) -> CubeTensor {
    let (client, device) = (input.client.clone(), input.device.clone());
    let shape = [filters, kernel, kernel, channels];
    let out = empty_device_contiguous_dtype(client, device, shape.into(), input.dtype);
    let (of_group, places) = (filters / options.groups, kernel * kernel * channels);
    let together = [FILTERS, 4, 2].into_iter().find(|number| of_group.is_multiple_of(*number)).unwrap_or(1);
    let cubes = places.div_ceil(WIDE) * (filters / together);
    if cubes > 0 {
        let [images, ..] = input.shape().dims::<4>();
        weight_gradient::launch(
            &out.client,
            cubecl::calculate_cube_count_elemwise(&out.client, cubes, CubeDim::new_1d(1)),
            CubeDim::new_2d(WIDE as u32, TALL as u32),
            maps(input),
            maps(gradient),
            out.clone().into_buffer_arg(),
            images,
            channels,
            kernel,
            of_group,
            options.padding.top,
            options.padding.left,
            options.stride,
            together,
        );
    }
    channels_first(out)
}
