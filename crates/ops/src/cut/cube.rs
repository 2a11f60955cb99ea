//! Inputs cut from images in CubeCL: one launch.

use burn::backend::TensorMetadata;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::{DType, Int, Tensor, TensorData};
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl;
use burn_cubecl::kernel::into_contiguous;
use cubecl::prelude::*;

use crate::config::ImageCut;
use crate::gpu::rows::{Rows, channels_first};
use crate::gpu::shapes::PLACES;

/// The operation.
#[backend_extension(Cube, Fusion)]
trait CutKernels: Backend {
    /// Cuts inputs from images of `height` and `width` at `places`: image, top, left, and whether it is mirrored. The `colours` are a
    /// shift and a factor for each channel of each input.
    #[fusion(meta = crate::gpu::shapes::cut)]
    fn cut_images(
        levels: IntTensor<Self>,
        places: IntTensor<Self>,
        colours: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        height: usize,
        width: usize,
    ) -> FloatTensor<Self>;
}

/// [`DeviceImages::cut`](crate::DeviceImages::cut).
pub(super) fn cut(
    levels: Tensor<1, Int>,
    [channels, height, width]: [usize; 3],
    mean: Tensor<3>,
    cuts: &[ImageCut],
) -> Tensor<4> {
    let device = mean.device();
    // Every position outside the image gives the mean, so a position that is clamped there changes nothing.
    let near = |position: isize| position.clamp(i32::MIN as isize / 2, i32::MAX as isize / 2) as i32;
    let places = cuts
        .iter()
        .flat_map(|cut| [cut.image as i32, near(cut.top), near(cut.left), i32::from(cut.mirrored)]);
    let places = TensorData::new(places.collect::<Vec<_>>(), [PLACES * cuts.len()]);
    let places = Tensor::<1, Int>::from_data(places, (&device, DType::I32));
    let colours = cuts
        .iter()
        .flat_map(|cut| (0..channels).flat_map(move |channel| [cut.shift[channel], cut.gain[channel]]));
    let colours = TensorData::new(colours.collect::<Vec<_>>(), [2 * channels * cuts.len()]);
    let colours = Tensor::<1>::from_data(colours, &device);
    Tensor::from_dispatch(<Dispatch as CutKernels>::cut_images(
        levels.into_dispatch(),
        places.into_dispatch(),
        colours.into_dispatch(),
        mean.into_dispatch(),
        height,
        width,
    ))
}

/// A unit has a value of an input. The channels come last.
#[cube(launch)]
fn cut_values(
    levels: &[u32],
    places: &[i32],
    colours: &[f32],
    mean: &[f32],
    out: &mut [f32],
    channels: usize,
    side: usize,
    height: usize,
    width: usize,
) {
    if ABSOLUTE_POS >= out.len() {
        terminate!();
    }
    let channel = ABSOLUTE_POS % channels;
    let x = ABSOLUTE_POS / channels % side;
    let y = ABSOLUTE_POS / (channels * side) % side;
    let input = ABSOLUTE_POS / (channels * side * side);
    let place = input * PLACES;
    let x = select(places[place + 3] == 1, side - 1 - x, x);
    let row = places[place + 1] + i32::cast_from(y);
    let column = places[place + 2] + i32::cast_from(x);
    let mut value = 0.0f32;
    if row >= 0 && row < i32::cast_from(height) && column >= 0 && column < i32::cast_from(width) {
        let plane = usize::cast_from(places[place]) * channels + channel;
        let at = (plane * height + usize::cast_from(row)) * width + usize::cast_from(column);
        let level = (levels[at / 4] >> u32::cast_from(at % 4 * 8)) & 255u32;
        value = f32::cast_from(level) - mean[(channel * side + y) * side + x];
    }
    let colour = (input * channels + channel) * 2;
    out[ABSOLUTE_POS] = (value + colours[colour]) * colours[colour + 1];
}

impl CutKernels for CubeBackend {
    fn cut_images(
        levels: IntTensor<Self>,
        places: IntTensor<Self>,
        colours: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        height: usize,
        width: usize,
    ) -> FloatTensor<Self> {
        let [channels, side, _] = mean.shape().dims();
        let inputs = places.shape().num_elements() / PLACES;
        let mean = Rows::of_contiguous(into_contiguous(mean));
        let out = mean.empty([inputs, side, side, channels]);
        let (count, dim) = mean.launch(out.shape().num_elements());
        cut_values::launch(
            &out.client,
            count,
            dim,
            into_contiguous(levels).into_buffer_arg(),
            into_contiguous(places).into_buffer_arg(),
            into_contiguous(colours).into_buffer_arg(),
            mean.tensor.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            channels,
            side,
            height,
            width,
        );
        channels_first(out)
    }
}
