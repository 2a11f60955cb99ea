//! Max pooling in CubeCL, alone or after a bias and a ReLU.

use burn::backend::TensorMetadata;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::{DType, Tensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use cubecl::prelude::*;

use super::extension::{MaxPoolGradients, MaxPoolKernels};
use crate::config::{Lrn, Pool};
use crate::gpu::finish::FinishGradients;
use crate::gpu::rows::{Rows, channels_first};
use crate::lrn::cube::{Constants, Window, constants, inverse_power, scale};

/// Max pooling with the steps before it. Returns the maxima and their positions in the window.
#[backend_extension(Autodiff, Cube, Fusion)]
trait FinishedPoolKernels: Backend {
    #[fusion(meta = crate::gpu::shapes::finished_and_pooled)]
    fn finish_and_pool(
        feature_maps: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        relu: bool,
        pool: Pool,
    ) -> (FloatTensor<Self>, IntTensor<Self>);
}

/// Adds the bias to what a convolution gives, then rectifies it if `relu`, then pools it.
pub(crate) fn finish_and_pool(
    feature_maps: Tensor<4>,
    bias: Tensor<1>,
    relu: bool,
    pool: &Pool,
) -> Tensor<4> {
    let (feature_maps, bias) = (feature_maps.into_dispatch(), bias.into_dispatch());
    let (maxima, _) = <Dispatch as FinishedPoolKernels>::finish_and_pool(feature_maps, bias, relu, *pool);
    Tensor::from_dispatch(maxima)
}

/// The sides of feature maps and of what pooling makes of them.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(crate) struct Sides {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) channels: usize,
}

/// Returns the sides as arguments of a launch.
pub(crate) fn sides([_, height, width, channels]: [usize; 4], pool: &Pool) -> SidesLaunch {
    let [rows, columns] = pool.output_sides([height, width]);
    SidesLaunch::new(height, width, rows, columns, channels)
}

/// A unit has one maximum. The first of equal values counts.
#[cube(launch)]
fn maxima(
    input: &[f32],
    bias: &[f32],
    out: &mut [f32],
    argmax: &mut [u32],
    sides: &Sides,
    pitch: usize,
    constants: &Constants,
    #[comptime] lrn: Option<Window>,
    #[comptime] finish: bool,
    #[comptime] relu: bool,
    #[comptime] pool: Pool,
) {
    if ABSOLUTE_POS >= out.len() {
        terminate!();
    }
    let channel = ABSOLUTE_POS % sides.channels;
    let window = ABSOLUTE_POS / sides.channels;
    let top = window / sides.columns % sides.rows * comptime!(pool.stride);
    let left = window % sides.columns * comptime!(pool.stride);
    let image = window / sides.columns / sides.rows;
    let mut best = 0.0f32;
    let mut place = 0u32;
    let mut found = false;
    for down in 0..comptime!(pool.size) {
        let y = top + down;
        if y >= comptime!(pool.padding) && y < sides.height + comptime!(pool.padding) {
            for across in 0..comptime!(pool.size) {
                let x = left + across;
                if x >= comptime!(pool.padding) && x < sides.width + comptime!(pool.padding) {
                    let pixel = (image * sides.height + y - comptime!(pool.padding)) * sides.width + x
                        - comptime!(pool.padding);
                    let mut value = input[pixel * pitch + channel];
                    if comptime!(lrn.is_some()) {
                        let window = comptime!(lrn.unwrap_or_default());
                        let scale = scale(input, pixel * pitch, channel, sides.channels, constants, window);
                        value *= inverse_power(scale, constants, window);
                    }
                    if !found || value > best || f32::is_nan(value) {
                        best = value;
                        place = (down * comptime!(pool.size) + across) as u32;
                        found = true;
                    }
                }
            }
        }
    }
    if comptime!(finish) {
        best += bias[channel];
        if comptime!(relu) && best <= 0.0f32 {
            best = 0.0f32;
        }
    }
    out[ABSOLUTE_POS] = best;
    argmax[ABSOLUTE_POS] = place;
}

/// The sum of the gradients of the windows whose maximum is this pixel.
#[cube]
pub(crate) fn of_windows(
    gradient: &[f32],
    argmax: &[u32],
    sides: &Sides,
    pitch: usize,
    at: usize,
    #[comptime] pool: Pool,
) -> f32 {
    let channel = at % sides.channels;
    let pixel = at / sides.channels;
    let y = pixel / sides.width % sides.height + comptime!(pool.padding);
    let x = pixel % sides.width + comptime!(pool.padding);
    let image = pixel / sides.width / sides.height;
    let mut sum = 0.0f32;
    // The windows that contain the pixel, from the last.
    for above in 0..comptime!(pool.size.div_ceil(pool.stride)) {
        let last = y / comptime!(pool.stride);
        if above <= last && last - above < sides.rows {
            let row = last - above;
            let down = y - row * comptime!(pool.stride);
            for before in 0..comptime!(pool.size.div_ceil(pool.stride)) {
                let last = x / comptime!(pool.stride);
                if before <= last && last - before < sides.columns {
                    let column = last - before;
                    let across = x - column * comptime!(pool.stride);
                    let window = (image * sides.rows + row) * sides.columns + column;
                    let inside = down < comptime!(pool.size) && across < comptime!(pool.size);
                    let place = (down * comptime!(pool.size) + across) as u32;
                    if inside && argmax[window * sides.channels + channel] == place {
                        sum += gradient[window * pitch + channel];
                    }
                }
            }
        }
    }
    sum
}

#[cube(launch)]
fn maxima_gradient(
    gradient: &[f32],
    argmax: &[u32],
    out: &mut [f32],
    sides: &Sides,
    pitch: usize,
    #[comptime] pool: Pool,
) {
    if ABSOLUTE_POS >= out.len() {
        terminate!();
    }
    out[ABSOLUTE_POS] = of_windows(gradient, argmax, sides, pitch, ABSOLUTE_POS, pool);
}

/// Makes the maxima of the windows and their positions, of what LRN makes of the input if there is `lrn`. `finish` has a bias, and
/// whether a ReLU follows; both may as well come after the maximum, since they keep the order of values.
pub(crate) fn launch_maxima(
    input: FloatTensor<CubeBackend>,
    lrn: Option<Lrn>,
    finish: Option<(FloatTensor<CubeBackend>, bool)>,
    pool: Pool,
) -> (FloatTensor<CubeBackend>, IntTensor<CubeBackend>) {
    let input = Rows::of(input);
    let [batch, height, width, channels] = input.dims();
    let [rows, columns] = pool.output_sides([height, width]);
    let shape = [batch, rows, columns, channels];
    let out = input.empty(shape);
    let (client, device) = (out.client.clone(), out.device.clone());
    let argmax = empty_device_contiguous_dtype(client, device, shape.into(), DType::U32);
    let outputs = shape.iter().product();
    if outputs > 0 {
        let (count, dim) = input.launch(outputs);
        let (finished, relu) = (finish.is_some(), matches!(finish, Some((_, true))));
        // Without a bias it is not read.
        let bias = finish.map_or_else(|| input.tensor.clone(), |(bias, _)| into_contiguous(bias));
        maxima::launch(
            &out.client,
            count,
            dim,
            input.tensor.clone().into_buffer_arg(),
            bias.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            argmax.clone().into_buffer_arg(),
            sides(input.dims(), &pool),
            input.pitch,
            lrn.map_or_else(Constants::none, |lrn| constants(&lrn, lrn.coefficient())),
            lrn.as_ref().map(Window::of),
            finished,
            relu,
            pool,
        );
    }
    (channels_first(out), channels_first(argmax))
}

impl MaxPoolKernels for CubeBackend {
    fn max_pool_forward(feature_maps: FloatTensor<Self>, pool: Pool) -> (FloatTensor<Self>, IntTensor<Self>) {
        launch_maxima(feature_maps, None, None, pool)
    }
}

impl FinishedPoolKernels for CubeBackend {
    fn finish_and_pool(
        feature_maps: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        relu: bool,
        pool: Pool,
    ) -> (FloatTensor<Self>, IntTensor<Self>) {
        launch_maxima(feature_maps, None, Some((bias, relu)), pool)
    }
}

impl MaxPoolGradients for CubeBackend {
    fn max_pool_gradient(
        gradient: FloatTensor<Self>,
        argmax: IntTensor<Self>,
        [batch, channels, height, width]: [usize; 4],
        pool: Pool,
    ) -> FloatTensor<Self> {
        let (gradient, argmax) = (Rows::of(gradient), Rows::of(argmax));
        let input = [batch, height, width, channels];
        let out = gradient.empty(input);
        let values = input.iter().product();
        if values > 0 {
            let (count, dim) = gradient.launch(values);
            maxima_gradient::launch(
                &out.client,
                count,
                dim,
                gradient.tensor.clone().into_buffer_arg(),
                argmax.tensor.into_buffer_arg(),
                out.clone().into_buffer_arg(),
                sides(input, &pool),
                gradient.pitch,
                pool,
            );
        }
        channels_first(out)
    }
}

#[derive(Debug)]
struct FinishedMaxPool;

impl<B: MaxPoolGradients + FinishGradients> Backward<B, 2> for FinishedMaxPool {
    /// The positions of the maxima, where there is a ReLU the maxima, and the shape of the input.
    type State = (IntTensor<B>, Option<FloatTensor<B>>, [usize; 4], Pool);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let ([to_maps, to_bias], (argmax, maxima, shape, pool)) = (ops.parents, ops.state);
        // Each maximum's gradient goes to one pixel, so the sums over maxima and over pixels are equal. Where the ReLU cut a
        // window's maximum to zero, it also cut every pixel the gradient could reach.
        let (gradient, of_bias) = match maxima {
            Some(maxima) => B::rectify_gradient(gradient, maxima, 1.0),
            None => (gradient.clone(), B::bias_gradient(gradient)),
        };
        if let Some(node) = to_bias {
            gradients.register::<B>(node.id, of_bias);
        }
        if let Some(node) = to_maps {
            gradients.register::<B>(node.id, B::max_pool_gradient(gradient, argmax, shape, pool));
        }
    }
}

impl<B: FinishedPoolKernels + MaxPoolGradients + FinishGradients, C: CheckpointStrategy> FinishedPoolKernels
    for Autodiff<B, C>
{
    fn finish_and_pool(
        feature_maps: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        relu: bool,
        pool: Pool,
    ) -> (FloatTensor<Self>, IntTensor<Self>) {
        let nodes = [feature_maps.node(), bias.node()];
        let prepared = FinishedMaxPool.prepare::<C>(nodes).compute_bound().stateful();
        let input = feature_maps.into_primitive();
        let shape = input.shape().dims();
        let (maxima, argmax) = B::finish_and_pool(input, bias.into_primitive(), relu, pool);
        let maxima = match prepared {
            OpsKind::Tracked(prepared) => {
                let kept = relu.then(|| maxima.clone());
                prepared.finish((argmax.clone(), kept, shape, pool), maxima)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(maxima),
        };
        (maxima, argmax)
    }
}
