//! LRN with the max pooling after it, in CubeCL: one launch forward, one backward.

use burn::backend::TensorMetadata;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl;
use cubecl::prelude::*;

use crate::config::{Lrn, Pool};
use crate::gpu::rows::{Rows, channels_first};
use crate::lrn::cube::{Constants, Window, constants, inverse_power, scale};
use crate::pool::cube::{Sides, of_windows, pooled, positions, sides};

/// The operation. Returns the maxima and their positions in the window.
#[backend_extension(Autodiff, Cube, Fusion)]
trait LrnPoolKernels: Backend {
    #[fusion(meta = |maps: &TensorSpec, _: &Lrn, pool: &Pool| pooled(maps, pool))]
    fn lrn_pool(
        feature_maps: FloatTensor<Self>,
        lrn: Lrn,
        pool: Pool,
    ) -> (FloatTensor<Self>, IntTensor<Self>);
}

/// Its gradient, for the backend below automatic differentiation.
#[backend_extension(Cube, Fusion)]
trait LrnPoolGradients: Backend {
    #[fusion(dtype = feature_maps, shape = feature_maps)]
    fn lrn_pool_gradient(
        gradient: FloatTensor<Self>,
        feature_maps: FloatTensor<Self>,
        argmax: IntTensor<Self>,
        lrn: Lrn,
        pool: Pool,
    ) -> FloatTensor<Self>;
}

/// [`lrn_max_pool2d`](crate::lrn_max_pool2d).
pub(super) fn lrn_max_pool2d(feature_maps: Tensor<4>, lrn: &Lrn, pool: &Pool) -> Tensor<4> {
    let (maxima, _) = <Dispatch as LrnPoolKernels>::lrn_pool(feature_maps.into_dispatch(), *lrn, *pool);
    Tensor::from_dispatch(maxima)
}

/// A unit has one maximum. The first of equal values counts.
#[cube(launch)]
fn maxima(
    input: &[f32],
    out: &mut [f32],
    argmax: &mut [u32],
    sides: &Sides,
    pitch: usize,
    constants: &Constants,
    #[comptime] window: Window,
    #[comptime] pool: Pool,
) {
    if ABSOLUTE_POS >= out.len() {
        terminate!();
    }
    let channel = ABSOLUTE_POS % sides.channels;
    let at = ABSOLUTE_POS / sides.channels;
    let top = at / sides.columns % sides.rows * comptime!(pool.stride);
    let left = at % sides.columns * comptime!(pool.stride);
    let image = at / sides.columns / sides.rows;
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
                    let row = pixel * pitch;
                    let scale = scale(input, row, channel, sides.channels, constants, window);
                    let value = input[row + channel] * inverse_power(scale, constants, window);
                    if !found || value > best || f32::is_nan(value) {
                        best = value;
                        place = (down * comptime!(pool.size) + across) as u32;
                        found = true;
                    }
                }
            }
        }
    }
    out[ABSOLUTE_POS] = best;
    argmax[ABSOLUTE_POS] = place;
}

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
    fn lrn_pool(
        feature_maps: FloatTensor<Self>,
        lrn: Lrn,
        pool: Pool,
    ) -> (FloatTensor<Self>, IntTensor<Self>) {
        let input = Rows::of(feature_maps);
        let (sides, shape) = sides(input.dims(), &pool);
        let out = input.empty(shape);
        let argmax = positions(&out);
        let outputs = shape.iter().product();
        if outputs > 0 {
            let (count, dim) = input.launch(outputs);
            maxima::launch(
                &out.client,
                count,
                dim,
                input.tensor.clone().into_buffer_arg(),
                out.clone().into_buffer_arg(),
                argmax.clone().into_buffer_arg(),
                sides,
                input.pitch,
                constants(&lrn, lrn.coefficient()),
                Window::of(&lrn),
                pool,
            );
        }
        (channels_first(out), channels_first(argmax))
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
                sides(input.dims(), &pool).0,
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

#[derive(Debug)]
struct LrnPool;

impl<B: LrnPoolGradients> Backward<B, 1> for LrnPool {
    type State = (FloatTensor<B>, IntTensor<B>, Lrn, Pool);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        if let ([Some(node)], (input, argmax, lrn, pool)) = (ops.parents, ops.state) {
            let to_input = B::lrn_pool_gradient(gradient, input, argmax, lrn, pool);
            gradients.register::<B>(node.id, to_input);
        }
    }
}

impl<B: LrnPoolKernels + LrnPoolGradients, C: CheckpointStrategy> LrnPoolKernels for Autodiff<B, C> {
    fn lrn_pool(
        feature_maps: FloatTensor<Self>,
        lrn: Lrn,
        pool: Pool,
    ) -> (FloatTensor<Self>, IntTensor<Self>) {
        let prepared = LrnPool.prepare::<C>([feature_maps.node()]).compute_bound().stateful();
        let input = feature_maps.into_primitive();
        let (maxima, argmax) = B::lrn_pool(input.clone(), lrn, pool);
        let maxima = match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((input, argmax.clone(), lrn, pool), maxima),
            OpsKind::UnTracked(prepared) => prepared.finish(maxima),
        };
        (maxima, argmax)
    }
}
