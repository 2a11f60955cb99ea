//! The patches of feature maps that a convolution's kernels see, as the rows of matrices, on GPU backends.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use crate::config::Conv2d;
use crate::gpu::rows::{Rows, channels_first};
use crate::pool::cube::{Sides, SidesLaunch};

/// The windows of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Window {
    kernel: usize,
    stride: usize,
    top: usize,
    left: usize,
    groups: usize,
    /// The number of windows above each other.
    pub(super) rows: usize,
    /// The number of windows side by side.
    pub(super) columns: usize,
}

impl Window {
    /// Returns the windows of a convolution on maps of these sides.
    pub(super) fn of(options: &Conv2d, kernel: usize, [height, width]: [usize; 2]) -> Self {
        let Conv2d { stride, padding, groups, .. } = *options;
        let rows = (height + padding.top + padding.bottom - kernel) / stride + 1;
        let columns = (width + padding.left + padding.right - kernel) / stride + 1;
        Self { kernel, stride, top: padding.top, left: padding.left, groups, rows, columns }
    }

    fn sides(&self, [_, height, width, channels]: [usize; 4]) -> SidesLaunch {
        SidesLaunch::new(height, width, self.rows, self.columns, channels)
    }
}

#[backend_extension(Autodiff, Cube, Fusion)]
trait PatchKernels: Backend {
    /// Returns the patches of maps `[batch, channels, height, width]`: `[groups, batch · rows · columns, kernel² · channels of
    /// a group]`, with the channels last.
    #[fusion(meta = shape)]
    fn patches(feature_maps: FloatTensor<Self>, window: Window) -> FloatTensor<Self>;
}

/// Its gradient, for the backend below automatic differentiation.
#[backend_extension(Cube, Fusion)]
trait PatchGradients: Backend {
    /// Returns the gradient of maps of shape `input`: at each pixel the sum over the patches that hold it.
    #[fusion(meta = shape_of_maps)]
    fn patches_gradient(gradient: FloatTensor<Self>, input: [usize; 4], window: Window) -> FloatTensor<Self>;
}

fn shape(maps: &TensorSpec, window: &Window) -> TensorSpec {
    let [batch, channels, _, _] = maps.shape.dims();
    TensorSpec::new(shape_of([batch, channels], window).into(), maps.dtype)
}

fn shape_of([batch, channels]: [usize; 2], window: &Window) -> [usize; 3] {
    let Window { kernel, groups, rows, columns, .. } = *window;
    [groups, batch * rows * columns, kernel * kernel * (channels / groups)]
}

fn shape_of_maps(gradient: &TensorSpec, input: &[usize; 4], _: &Window) -> TensorSpec {
    TensorSpec::new((*input).into(), gradient.dtype)
}

/// Returns the patches of maps `[batch, channels, height, width]`: `[groups, batch · rows · columns, kernel² · channels of a group]`,
/// with the channels last.
pub(super) fn patches(feature_maps: Tensor<4>, window: Window) -> Tensor<3> {
    Tensor::from_dispatch(<Dispatch as PatchKernels>::patches(feature_maps.into_dispatch(), window))
}

/// A unit has one value of a patch.
#[cube(launch)]
fn unfold(input: &[f32], out: &mut [f32], sides: &Sides, pitch: usize, #[comptime] window: Window) {
    if ABSOLUTE_POS >= out.len() {
        terminate!();
    }
    let channels = sides.channels / comptime!(window.groups);
    let channel = ABSOLUTE_POS % channels;
    let tap = ABSOLUTE_POS / channels % comptime!(window.kernel * window.kernel);
    let place = ABSOLUTE_POS / channels / comptime!(window.kernel * window.kernel);
    let places = out.len() / comptime!(window.groups * window.kernel * window.kernel) / channels;
    let group = place / places;
    let x = place % sides.columns * comptime!(window.stride) + tap % comptime!(window.kernel);
    let y = place / sides.columns % sides.rows * comptime!(window.stride) + tap / comptime!(window.kernel);
    let image = place % places / sides.columns / sides.rows;
    let inside = y >= comptime!(window.top)
        && y < sides.height + comptime!(window.top)
        && x >= comptime!(window.left)
        && x < sides.width + comptime!(window.left);
    let mut value = 0.0f32;
    if inside {
        let pixel =
            (image * sides.height + y - comptime!(window.top)) * sides.width + x - comptime!(window.left);
        value = input[pixel * pitch + group * channels + channel];
    }
    out[ABSOLUTE_POS] = value;
}

/// A unit has one value of the maps, and adds up its copies in patches.
#[cube(launch)]
fn fold(gradient: &[f32], out: &mut [f32], sides: &Sides, pitch: usize, #[comptime] window: Window) {
    if ABSOLUTE_POS >= out.len() {
        terminate!();
    }
    let channels = sides.channels / comptime!(window.groups);
    let group = ABSOLUTE_POS % sides.channels / channels;
    let channel = ABSOLUTE_POS % channels;
    let pixel = ABSOLUTE_POS / sides.channels;
    let x = pixel % sides.width + comptime!(window.left);
    let y = pixel / sides.width % sides.height + comptime!(window.top);
    let image = pixel / sides.width / sides.height;
    let images = out.len() / sides.channels / sides.height / sides.width;
    let mut sum = 0.0f32;
    for down in 0..comptime!(window.kernel) {
        if y >= down {
            let row = (y - down) / comptime!(window.stride);
            if row * comptime!(window.stride) + down == y && row < sides.rows {
                for across in 0..comptime!(window.kernel) {
                    if x >= across {
                        let column = (x - across) / comptime!(window.stride);
                        if column * comptime!(window.stride) + across == x && column < sides.columns {
                            let place =
                                ((group * images + image) * sides.rows + row) * sides.columns + column;
                            let tap = down * comptime!(window.kernel) + across;
                            sum += gradient[place * pitch + tap * channels + channel];
                        }
                    }
                }
            }
        }
    }
    out[ABSOLUTE_POS] = sum;
}

impl PatchKernels for CubeBackend {
    fn patches(feature_maps: CubeTensor, window: Window) -> CubeTensor {
        let input = Rows::of(feature_maps);
        let [batch, _, _, channels] = input.dims();
        let shape = shape_of([batch, channels], &window);
        let out = input.empty(shape);
        let values = shape.iter().product();
        if values > 0 {
            let (count, dim) = input.launch(values);
            unfold::launch(
                &out.client,
                count,
                dim,
                input.tensor.clone().into_buffer_arg(),
                out.clone().into_buffer_arg(),
                window.sides(input.dims()),
                input.pitch,
                window,
            );
        }
        out
    }
}

impl PatchGradients for CubeBackend {
    fn patches_gradient(
        gradient: CubeTensor,
        [batch, channels, height, width]: [usize; 4],
        window: Window,
    ) -> CubeTensor {
        let gradient = Rows::of(gradient);
        let input = [batch, height, width, channels];
        let out = gradient.empty(input);
        let values = input.iter().product();
        if values > 0 {
            let (count, dim) = gradient.launch(values);
            fold::launch(
                &out.client,
                count,
                dim,
                gradient.tensor.clone().into_buffer_arg(),
                out.clone().into_buffer_arg(),
                window.sides(input),
                gradient.pitch,
                window,
            );
        }
        channels_first(out)
    }
}

#[derive(Debug)]
struct Patches;

impl<B: PatchGradients> Backward<B, 1> for Patches {
    /// The shape of the maps.
    type State = ([usize; 4], Window);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let ([to_maps], (input, window)) = (ops.parents, ops.state);
        if let Some(node) = to_maps {
            gradients.register::<B>(node.id, B::patches_gradient(gradient, input, window));
        }
    }
}

impl<B: PatchKernels + PatchGradients, C: CheckpointStrategy> PatchKernels for Autodiff<B, C> {
    fn patches(feature_maps: FloatTensor<Self>, window: Window) -> FloatTensor<Self> {
        let prepared = Patches.prepare::<C>([feature_maps.node()]).compute_bound().stateful();
        let input = feature_maps.into_primitive();
        let shape = input.shape().dims();
        let out = B::patches(input, window);
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((shape, window), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }
}
