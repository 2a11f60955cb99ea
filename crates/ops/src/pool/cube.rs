//! Max pooling in CubeCL, alone or after a bias and a ReLU.

use burn::backend::TensorMetadata;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::{DType, Tensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use crate::config::Pool;
use crate::gpu::finish::FinishGradients;
use crate::gpu::rows::{Rows, channels_first};

/// The operations. Each returns the maxima and their positions in the window.
#[backend_extension(Autodiff, Cube, Fusion)]
trait MaxPoolKernels: Backend {
    #[fusion(meta = |maps: &TensorSpec, pool: &Pool| pooled(maps, pool))]
    fn max_pool(feature_maps: FloatTensor<Self>, pool: Pool) -> (FloatTensor<Self>, IntTensor<Self>);

    #[fusion(meta = |maps: &TensorSpec, _: &TensorSpec, _: &bool, pool: &Pool| pooled(maps, pool))]
    fn finish_and_pool(
        feature_maps: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        relu: bool,
        pool: Pool,
    ) -> (FloatTensor<Self>, IntTensor<Self>);
}

/// Their gradient for feature maps of shape `input`, for the backend below automatic differentiation.
#[backend_extension(Cube, Fusion)]
trait MaxPoolGradients: Backend {
    #[fusion(meta = |gradient: &TensorSpec, _: &TensorSpec, input: &[usize; 4], _: &Pool| {
        TensorSpec::new((*input).into(), gradient.dtype)
    })]
    fn max_pool_gradient(
        gradient: FloatTensor<Self>,
        argmax: IntTensor<Self>,
        input: [usize; 4],
        pool: Pool,
    ) -> FloatTensor<Self>;
}

pub(crate) fn pooled(maps: &TensorSpec, pool: &Pool) -> (TensorSpec, TensorSpec) {
    let [batch, channels, height, width] = maps.shape.dims();
    let side = |input| pool.output_side(input).expect("the window fits into the maps");
    let shape = [batch, channels, side(height), side(width)];
    (TensorSpec::new(shape.into(), maps.dtype), TensorSpec::new(shape.into(), DType::U32))
}

/// [`max_pool2d`](crate::max_pool2d).
pub(super) fn max_pool2d(feature_maps: Tensor<4>, pool: &Pool) -> Tensor<4> {
    let (maxima, _) = <Dispatch as MaxPoolKernels>::max_pool(feature_maps.into_dispatch(), *pool);
    Tensor::from_dispatch(maxima)
}

/// Adds the bias to what a convolution gives, then rectifies it if `relu`, then pools it.
pub(crate) fn finish_and_pool(
    feature_maps: Tensor<4>,
    bias: Tensor<1>,
    relu: bool,
    pool: &Pool,
) -> Tensor<4> {
    let (feature_maps, bias) = (feature_maps.into_dispatch(), bias.into_dispatch());
    let (maxima, _) = <Dispatch as MaxPoolKernels>::finish_and_pool(feature_maps, bias, relu, *pool);
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
pub(crate) fn sides(input: [usize; 4], pool: &Pool) -> (SidesLaunch, [usize; 4]) {
    let [batch, height, width, channels] = input;
    let side = |input| pool.output_side(input).expect("the window fits into the maps");
    let (rows, columns) = (side(height), side(width));
    (SidesLaunch::new(height, width, rows, columns, channels), [batch, rows, columns, channels])
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
                    let value = input[pixel * pitch + channel];
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

/// Makes the tensor of the positions of maxima.
pub(crate) fn positions(maxima: &CubeTensor) -> CubeTensor {
    let (client, device) = (maxima.client.clone(), maxima.device.clone());
    let shape = maxima.shape();
    burn_cubecl::ops::numeric::empty_device_contiguous_dtype(client, device, shape, DType::U32)
}

fn launch_maxima(
    input: FloatTensor<CubeBackend>,
    bias: Option<FloatTensor<CubeBackend>>,
    relu: bool,
    pool: Pool,
) -> (FloatTensor<CubeBackend>, IntTensor<CubeBackend>) {
    let input = Rows::of(input);
    let (sides, shape) = sides(input.dims(), &pool);
    let out = input.empty(shape);
    let argmax = positions(&out);
    let outputs = shape.iter().product();
    if outputs > 0 {
        let (count, dim) = input.launch(outputs);
        let finish = bias.is_some();
        let bias = bias.map_or_else(|| input.tensor.clone(), into_contiguous);
        maxima::launch(
            &out.client,
            count,
            dim,
            input.tensor.clone().into_buffer_arg(),
            bias.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            argmax.clone().into_buffer_arg(),
            sides,
            input.pitch,
            finish,
            relu,
            pool,
        );
    }
    (channels_first(out), channels_first(argmax))
}

impl MaxPoolKernels for CubeBackend {
    fn max_pool(feature_maps: FloatTensor<Self>, pool: Pool) -> (FloatTensor<Self>, IntTensor<Self>) {
        launch_maxima(feature_maps, None, false, pool)
    }

    fn finish_and_pool(
        feature_maps: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        relu: bool,
        pool: Pool,
    ) -> (FloatTensor<Self>, IntTensor<Self>) {
        launch_maxima(feature_maps, Some(bias), relu, pool)
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
                sides(input, &pool).0,
                gradient.pitch,
                pool,
            );
        }
        channels_first(out)
    }
}

#[derive(Debug)]
struct MaxPool;

impl<B: MaxPoolGradients> Backward<B, 1> for MaxPool {
    /// The positions of the maxima and the shape of the input.
    type State = (IntTensor<B>, [usize; 4], Pool);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        if let ([Some(node)], (argmax, shape, pool)) = (ops.parents, ops.state) {
            gradients.register::<B>(node.id, B::max_pool_gradient(gradient, argmax, shape, pool));
        }
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

impl<B: MaxPoolKernels + MaxPoolGradients + FinishGradients, C: CheckpointStrategy> MaxPoolKernels
    for Autodiff<B, C>
{
    fn max_pool(feature_maps: FloatTensor<Self>, pool: Pool) -> (FloatTensor<Self>, IntTensor<Self>) {
        let prepared = MaxPool.prepare::<C>([feature_maps.node()]).compute_bound().stateful();
        let input = feature_maps.into_primitive();
        let shape = input.shape().dims();
        let (maxima, argmax) = B::max_pool(input, pool);
        let maxima = match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((argmax.clone(), shape, pool), maxima),
            OpsKind::UnTracked(prepared) => prepared.finish(maxima),
        };
        (maxima, argmax)
    }

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
