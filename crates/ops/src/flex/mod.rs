//! The operations in a form of their own for Flex, the backend that runs on the processor.
//!
//! They reach Burn through its backend extension: one trait, implemented for Flex by the kernels
//! of the modules below and for automatic differentiation by gradients written by hand.

mod conv;
mod lrn;
mod matmul;
mod pool;
mod tanh;
#[cfg(test)]
mod tests;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Bytes, DType, Device, Tensor};

use crate::{Implementation, Lrn, Padding, Pool};

/// What a convolution does beyond its tensors.
#[derive(Debug, Clone, Copy)]
struct Convolution {
    stride: usize,
    padding: Padding,
}

/// Why automatic differentiation has no gradients of its own: only its backward passes ask for
/// gradients, of the backend below it.
const ONCE: &str = "a gradient is not differentiated again";

/// The operations with kernels of their own.
#[backend_extension(Flex, Autodiff)]
trait Kernels: Backend {
    fn convolve(
        maps: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        how: Convolution,
    ) -> FloatTensor<Self>;
    fn convolve_gradient_maps(
        gradient: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        maps: [usize; 4],
        how: Convolution,
    ) -> FloatTensor<Self> {
        let _ = (gradient, weight, maps, how);
        unimplemented!("{ONCE}")
    }
    fn convolve_gradient_weight(
        gradient: FloatTensor<Self>,
        maps: FloatTensor<Self>,
        weight: [usize; 4],
        how: Convolution,
    ) -> FloatTensor<Self> {
        let _ = (gradient, maps, weight, how);
        unimplemented!("{ONCE}")
    }
    fn convolve_gradient_bias(gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let _ = gradient;
        unimplemented!("{ONCE}")
    }

    fn normalize(maps: FloatTensor<Self>, lrn: Lrn) -> FloatTensor<Self>;
    fn normalize_gradient(
        gradient: FloatTensor<Self>,
        maps: FloatTensor<Self>,
        lrn: Lrn,
    ) -> FloatTensor<Self> {
        let _ = (gradient, maps, lrn);
        unimplemented!("{ONCE}")
    }

    fn pool(maps: FloatTensor<Self>, pool: Pool) -> (FloatTensor<Self>, IntTensor<Self>);
    fn pool_gradient(
        gradient: FloatTensor<Self>,
        places: IntTensor<Self>,
        maps: [usize; 4],
        pool: Pool,
    ) -> FloatTensor<Self> {
        let _ = (gradient, places, maps, pool);
        unimplemented!("{ONCE}")
    }

    fn hyperbolic_tangent(values: FloatTensor<Self>) -> FloatTensor<Self>;
    fn hyperbolic_tangent_gradient(
        gradient: FloatTensor<Self>,
        outputs: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let _ = (gradient, outputs);
        unimplemented!("{ONCE}")
    }
}

/// Whether the kernels are to work on a tensor: they are switched on, and it is one of f32 on Flex.
pub(crate) fn takes<const D: usize>(tensor: &Tensor<D>) -> bool {
    crate::implementation() == Implementation::Fast
        && tensor.dtype() == DType::F32
        && tensor.device().inner() == Device::flex()
}

/// [`conv2d`](crate::conv2d).
pub(crate) fn conv2d(
    maps: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    stride: usize,
    padding: Padding,
) -> Tensor<4> {
    let (maps, weight, bias) = (maps.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    let how = Convolution { stride, padding };
    Tensor::from_dispatch(<Dispatch as Kernels>::convolve(maps, weight, bias, how))
}

/// [`lrn`](crate::lrn).
pub(crate) fn lrn(maps: Tensor<4>, lrn: &Lrn) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Kernels>::normalize(maps.into_dispatch(), *lrn))
}

/// [`max_pool2d`](crate::max_pool2d), for windows that [`pools`] accepts.
pub(crate) fn max_pool2d(maps: Tensor<4>, pool: &Pool) -> Tensor<4> {
    let (maxima, _) = <Dispatch as Kernels>::pool(maps.into_dispatch(), *pool);
    Tensor::from_dispatch(maxima)
}

/// [`tanh`](crate::tanh).
pub(crate) fn tanh<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as Kernels>::hyperbolic_tangent(values.into_dispatch()))
}

/// Whether the places of a window fit into a byte.
pub(crate) fn pools(pool: &Pool) -> bool {
    pool.size <= pool::LARGEST_WINDOW
}

/// A tensor's values in order, whatever view of its storage it is.
fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.layout().is_contiguous() { tensor } else { tensor.to_contiguous() }
}

fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("a contiguous tensor of f32")
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape.into()), DType::F32)
}

fn elementwise(values: Vec<f32>, like: &FlexTensor) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(like.shape()), DType::F32)
}

impl Convolution {
    fn geometry(self, maps: [usize; 4], weight: [usize; 4]) -> conv::Geometry {
        assert_eq!(maps[1], weight[1], "the maps' channels are not the kernels'");
        conv::Geometry::new(maps, weight, self.stride, self.padding).expect("the kernel fits into the maps")
    }
}

fn pooling([height, width]: [usize; 2], pool: Pool) -> pool::Geometry {
    let side = |input| pool.output_side(input).expect("the window fits into the maps");
    pool::Geometry { input: [height, width], output: [side(height), side(width)], pool }
}

impl Kernels for Flex {
    fn convolve(maps: FlexTensor, weight: FlexTensor, bias: FlexTensor, how: Convolution) -> FlexTensor {
        let (maps, weight, bias) = (contiguous(maps), contiguous(weight), contiguous(bias));
        let shape = how.geometry(maps.shape().dims(), weight.shape().dims());
        let out = conv::forward(values(&maps), values(&weight), values(&bias), &shape);
        tensor(out, [shape.batch, shape.filters, shape.output[0], shape.output[1]])
    }

    fn convolve_gradient_maps(
        gradient: FlexTensor,
        weight: FlexTensor,
        maps: [usize; 4],
        how: Convolution,
    ) -> FlexTensor {
        let (gradient, weight) = (contiguous(gradient), contiguous(weight));
        let shape = how.geometry(maps, weight.shape().dims());
        tensor(conv::input_gradient(values(&gradient), values(&weight), &shape), maps)
    }

    fn convolve_gradient_weight(
        gradient: FlexTensor,
        maps: FlexTensor,
        weight: [usize; 4],
        how: Convolution,
    ) -> FlexTensor {
        let (gradient, maps) = (contiguous(gradient), contiguous(maps));
        let shape = how.geometry(maps.shape().dims(), weight);
        tensor(conv::weight_gradient(values(&maps), values(&gradient), &shape), weight)
    }

    fn convolve_gradient_bias(gradient: FlexTensor) -> FlexTensor {
        let gradient = contiguous(gradient);
        let [_, filters, height, width] = gradient.shape().dims();
        tensor(conv::bias_gradient(values(&gradient), filters, height * width), [filters])
    }

    fn normalize(maps: FlexTensor, lrn: Lrn) -> FlexTensor {
        let maps = contiguous(maps);
        let [batch, channels, height, width] = maps.shape().dims();
        let out = lrn::forward(values(&maps), [channels, height * width], &lrn);
        tensor(out, [batch, channels, height, width])
    }

    fn normalize_gradient(gradient: FlexTensor, maps: FlexTensor, lrn: Lrn) -> FlexTensor {
        let (gradient, maps) = (contiguous(gradient), contiguous(maps));
        let [batch, channels, height, width] = maps.shape().dims();
        let out = lrn::gradient(values(&maps), values(&gradient), [channels, height * width], &lrn);
        tensor(out, [batch, channels, height, width])
    }

    fn pool(maps: FlexTensor, pool: Pool) -> (FlexTensor, FlexTensor) {
        let maps = contiguous(maps);
        let [batch, channels, height, width] = maps.shape().dims();
        let shape = pooling([height, width], pool);
        let (maxima, places) = pool::forward(values(&maps), &shape);
        let out = [batch, channels, shape.output[0], shape.output[1]];
        let layout = Layout::contiguous(out.into());
        (tensor(maxima, out), FlexTensor::new(Bytes::from_elems(places), layout, DType::U8))
    }

    fn pool_gradient(gradient: FlexTensor, places: FlexTensor, maps: [usize; 4], pool: Pool) -> FlexTensor {
        let gradient = contiguous(gradient);
        let places: &[u8] = places.as_slice().expect("the places as they were made");
        let shape = pooling([maps[2], maps[3]], pool);
        tensor(pool::gradient(values(&gradient), places, &shape), maps)
    }

    fn hyperbolic_tangent(input: FlexTensor) -> FlexTensor {
        let input = contiguous(input);
        elementwise(tanh::forward(values(&input)), &input)
    }

    fn hyperbolic_tangent_gradient(gradient: FlexTensor, outputs: FlexTensor) -> FlexTensor {
        let (gradient, outputs) = (contiguous(gradient), contiguous(outputs));
        elementwise(tanh::gradient(values(&outputs), values(&gradient)), &outputs)
    }
}

#[derive(Debug)]
struct Convolve;

impl<B: Kernels> Backward<B, 3> for Convolve {
    type State = (FloatTensor<B>, FloatTensor<B>, Convolution);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [to_maps, to_weight, to_bias] = ops.parents;
        let (maps, weight, how) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        if let Some(node) = to_bias {
            gradients.register::<B>(node.id, B::convolve_gradient_bias(gradient.clone()));
        }
        // The images themselves need no gradient, and the first layer's would be its dearest part.
        if let Some(node) = to_maps {
            let (shape, weight) = (maps.shape().dims(), weight.clone());
            let to_maps = B::convolve_gradient_maps(gradient.clone(), weight, shape, how);
            gradients.register::<B>(node.id, to_maps);
        }
        if let Some(node) = to_weight {
            let shape = weight.shape().dims();
            gradients.register::<B>(node.id, B::convolve_gradient_weight(gradient, maps, shape, how));
        }
    }
}

#[derive(Debug)]
struct Normalize;

impl<B: Kernels> Backward<B, 1> for Normalize {
    type State = (FloatTensor<B>, Lrn);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let ([to_maps], (maps, lrn)) = (ops.parents, ops.state);
        if let Some(node) = to_maps {
            gradients.register::<B>(node.id, B::normalize_gradient(gradient, maps, lrn));
        }
    }
}

#[derive(Debug)]
struct MaxPool;

impl<B: Kernels> Backward<B, 1> for MaxPool {
    type State = (IntTensor<B>, [usize; 4], Pool);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let ([to_maps], (places, shape, pool)) = (ops.parents, ops.state);
        if let Some(node) = to_maps {
            gradients.register::<B>(node.id, B::pool_gradient(gradient, places, shape, pool));
        }
    }
}

#[derive(Debug)]
struct Tanh;

impl<B: Kernels> Backward<B, 1> for Tanh {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            gradients.register::<B>(node.id, B::hyperbolic_tangent_gradient(gradient, ops.state));
        }
    }
}

impl<B: Kernels, C: CheckpointStrategy> Kernels for Autodiff<B, C> {
    fn convolve(
        maps: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        how: Convolution,
    ) -> FloatTensor<Self> {
        let nodes = [maps.node(), weight.node(), bias.node()];
        let prepared = Convolve.prepare::<C>(nodes).compute_bound().stateful();
        let (maps, weight) = (maps.into_primitive(), weight.into_primitive());
        let out = B::convolve(maps.clone(), weight.clone(), bias.into_primitive(), how);
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((maps, weight, how), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }

    fn normalize(maps: FloatTensor<Self>, lrn: Lrn) -> FloatTensor<Self> {
        let prepared = Normalize.prepare::<C>([maps.node()]).compute_bound().stateful();
        let maps = maps.into_primitive();
        let out = B::normalize(maps.clone(), lrn);
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((maps, lrn), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }

    fn pool(maps: FloatTensor<Self>, pool: Pool) -> (FloatTensor<Self>, IntTensor<Self>) {
        let prepared = MaxPool.prepare::<C>([maps.node()]).compute_bound().stateful();
        let maps = maps.into_primitive();
        let shape = maps.shape().dims();
        let (maxima, places) = B::pool(maps, pool);
        let maxima = match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((places.clone(), shape, pool), maxima),
            OpsKind::UnTracked(prepared) => prepared.finish(maxima),
        };
        (maxima, places)
    }

    fn hyperbolic_tangent(values: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = Tanh.prepare::<C>([values.node()]).compute_bound().stateful();
        let out = B::hyperbolic_tangent(values.into_primitive());
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish(out.clone(), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }
}
