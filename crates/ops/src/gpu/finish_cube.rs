//! The kernels of a layer's last steps, in CubeCL.

use burn::backend::TensorMetadata;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::chacha::block;
use super::finish::{FinishGradients, FinishKernels};
use super::rows::{Rows, channels_first};

#[cube(launch)]
fn add_bias(
    values: &[f32],
    bias: &[f32],
    out: &mut [f32],
    columns: usize,
    pitch: usize,
    #[comptime] relu: bool,
) {
    if ABSOLUTE_POS >= out.len() {
        terminate!();
    }
    let column = ABSOLUTE_POS % columns;
    let mut value = values[ABSOLUTE_POS / columns * pitch + column] + bias[column];
    if comptime!(relu) && value <= 0.0f32 {
        value = 0.0f32;
    }
    out[ABSOLUTE_POS] = value;
}

/// Each unit has the sixteen features of one block of its sample's ChaCha8 stream.
#[cube(launch)]
fn add_bias_and_drop(
    values: &[f32],
    bias: &[f32],
    keys: &[u32],
    out: &mut [f32],
    columns: usize,
    pitch: usize,
    threshold: u32,
    gain: f32,
) {
    let blocks = columns.div_ceil(16);
    let row = ABSOLUTE_POS / blocks;
    if row * columns >= out.len() {
        terminate!();
    }
    let first = ABSOLUTE_POS % blocks;
    let words = block(keys, row * 8, u32::cast_from(first));
    for at in 0..16usize {
        let column = first * 16 + at;
        if column < columns {
            let value = values[row * pitch + column] + bias[column];
            let dropped = value <= 0.0f32 || words[at] < threshold;
            out[row * columns + column] = select(dropped, 0.0f32, value * gain);
        }
    }
}

/// The columns that the units of a cube go through side by side.
const WIDE: usize = 32;
/// The rows that they go through at once.
const TALL: usize = 8;
/// The rows of one cube, if there are many.
const CHUNK: usize = 1024;

/// Rows wherever their values lie, one a pixel or one a sample. What a fully connected layer passes back to maps has the channels
/// first.
struct Scattered {
    tensor: CubeTensor,
    rows: usize,
    columns: usize,
    steps: Steps,
}

/// The distances between values of [`Scattered`] rows.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Steps {
    /// The rows of an image.
    pixels: usize,
    image: usize,
    pixel: usize,
    column: usize,
}

impl Scattered {
    fn of(tensor: CubeTensor) -> Self {
        if tensor.shape().num_dims() == 4 {
            let [images, columns, height, width] = tensor.shape().dims();
            let strides = tensor.meta.strides();
            let (image, column, row, pixel) = (strides[0], strides[1], strides[2], strides[3]);
            if row == width * pixel {
                let pixels = height * width;
                let steps = Steps { pixels, image, pixel, column };
                return Self { tensor, rows: images * pixels, columns, steps };
            }
        }
        let rows = Rows::of(tensor);
        let steps = Steps { pixels: 1, image: rows.pitch, pixel: 0, column: 1 };
        Self { rows: rows.count(), columns: rows.columns(), steps, tensor: rows.tensor }
    }
}

/// Adds up the columns of a chunk of rows. With `rectify`, a value whose output is zero counts as zero, others `gain` times, and
/// `masked` receives them.
#[cube(launch)]
fn column_sums(
    gradient: &[f32],
    outputs: &[f32],
    masked: &mut [f32],
    sums: &mut [f32],
    rows: usize,
    columns: usize,
    steps: &Steps,
    outputs_pitch: usize,
    chunk: usize,
    gain: f32,
    #[comptime] rectify: bool,
) {
    let column = CUBE_POS_X as usize * WIDE + UNIT_POS_X as usize;
    let first = CUBE_POS_Y as usize * chunk;
    let mut end = first + chunk;
    if end > rows {
        end = rows;
    }
    let mut sum = 0.0f32;
    if column < columns {
        let mut row = first + UNIT_POS_Y as usize;
        while row < end {
            let (image, pixel) = (row / steps.pixels, row % steps.pixels);
            let mut value = gradient[image * steps.image + pixel * steps.pixel + column * steps.column];
            if comptime!(rectify) {
                if outputs[row * outputs_pitch + column] <= 0.0f32 {
                    value = 0.0f32;
                } else {
                    value *= gain;
                }
                masked[row * columns + column] = value;
            }
            sum += value;
            row += TALL;
        }
    }
    let mut partial = Shared::<[f32]>::new_slice(WIDE * TALL);
    partial[UNIT_POS as usize] = sum;
    sync_cube();
    if UNIT_POS_Y == 0 && column < columns {
        let mut total = 0.0f32;
        #[unroll]
        for at in 0..TALL {
            total += partial[at * WIDE + UNIT_POS_X as usize];
        }
        sums[CUBE_POS_Y as usize * columns + column] = total;
    }
}

/// The rectification within a launch of [`column_sums`], and the tensor that takes its result.
struct Masking {
    outputs: Rows,
    gain: f32,
    masked: CubeTensor,
}

/// Launches [`column_sums`] and returns the sums.
fn sums(gradient: Scattered, masking: Option<&Masking>) -> CubeTensor {
    let Scattered { tensor, rows, columns, steps } = gradient;
    let chunk = if rows > 4 * CHUNK { CHUNK } else { rows.max(1) };
    let chunks = rows.div_ceil(chunk).max(1);
    let sums = Rows::of_contiguous(tensor.clone()).empty([chunks, columns]);
    column_sums::launch(
        &sums.client,
        CubeCount::Static(columns.div_ceil(WIDE) as u32, chunks as u32, 1),
        CubeDim::new_2d(WIDE as u32, TALL as u32),
        tensor.clone().into_buffer_arg(),
        // Without a ReLU neither is read or written.
        masking.map_or(&tensor, |masking| &masking.outputs.tensor).clone().into_buffer_arg(),
        masking.map_or(&sums, |masking| &masking.masked).clone().into_buffer_arg(),
        sums.clone().into_buffer_arg(),
        rows,
        columns,
        StepsLaunch::new(steps.pixels, steps.image, steps.pixel, steps.column),
        masking.map_or(0, |masking| masking.outputs.pitch),
        chunk,
        masking.map_or(1.0, |masking| masking.gain),
        masking.is_some(),
    );
    match chunks {
        1 => burn_cubecl::ops::reshape(sums, [columns].into()),
        _ => self::sums(Scattered::of(sums), None),
    }
}

impl FinishKernels for CubeBackend {
    fn finish(values: FloatTensor<Self>, bias: FloatTensor<Self>, relu: bool) -> FloatTensor<Self> {
        let (values, bias) = (Rows::of(values), into_contiguous(bias));
        let out = values.empty(values.tensor.shape());
        if values.len() > 0 {
            let (count, dim) = values.launch(values.len());
            add_bias::launch(
                &out.client,
                count,
                dim,
                values.tensor.clone().into_buffer_arg(),
                bias.into_buffer_arg(),
                out.clone().into_buffer_arg(),
                values.columns(),
                values.pitch,
                relu,
            );
        }
        channels_first(out)
    }

    fn finish_and_drop(
        values: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        keys: IntTensor<Self>,
        threshold: u32,
        gain: f32,
    ) -> FloatTensor<Self> {
        let (values, bias) = (Rows::of(values), into_contiguous(bias));
        let out = values.empty(values.tensor.shape());
        if values.len() > 0 {
            let (count, dim) = values.launch(values.count() * values.columns().div_ceil(16));
            add_bias_and_drop::launch(
                &out.client,
                count,
                dim,
                values.tensor.clone().into_buffer_arg(),
                bias.into_buffer_arg(),
                into_contiguous(keys).into_buffer_arg(),
                out.clone().into_buffer_arg(),
                values.columns(),
                values.pitch,
                threshold,
                gain,
            );
        }
        channels_first(out)
    }
}

impl FinishGradients for CubeBackend {
    fn rectify_gradient(
        gradient: FloatTensor<Self>,
        outputs: FloatTensor<Self>,
        gain: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let outputs = Rows::of(outputs);
        let masked = outputs.empty(outputs.tensor.shape());
        let masking = Masking { outputs, gain, masked: masked.clone() };
        let of_bias = sums(Scattered::of(gradient), Some(&masking));
        (channels_first(masked), of_bias)
    }

    fn bias_gradient(gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        sums(Scattered::of(gradient), None)
    }
}
