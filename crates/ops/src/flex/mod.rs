//! Custom kernels for Flex, the backend that runs on the processor.
//!
//! They use Burn's backend extension: one trait, implemented for Flex by the kernels in the modules below and
//! for automatic differentiation by hand-written gradients.

mod between;
mod conv;
mod filled;
mod gradients;
mod linear;
mod lrn;
mod lrn_pool;
mod matmul;
mod pool;
mod product;
mod spatial_lrn;
mod sweep;
mod tanh;
#[cfg(test)]
mod tests;

use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Bytes, DType, Tensor};

use self::conv::Images;
use crate::config::{Conv2d, Finish, Lrn, Pool, SgdStep};
use crate::normalize::Normalize;

/// With fewer images than this, threads share the work map by map, which separates fused operations.
pub(crate) const MANY_IMAGES: usize = 8;

/// The reason why automatic differentiation implements no gradients and no update: only its backward passes
/// and optimizers call them, on the backend below it.
const ONCE: &str = "a gradient is not differentiated again";

/// The operations with custom kernels.
#[backend_extension(Flex, Autodiff)]
trait Kernels: Backend {
    fn convolve(
        maps: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        how: Conv2d,
    ) -> FloatTensor<Self>;
    fn convolve_gradient_maps(
        gradient: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        maps: [usize; 4],
        how: Conv2d,
    ) -> FloatTensor<Self> {
        let _ = (gradient, weight, maps, how);
        unimplemented!("{ONCE}")
    }
    fn convolve_gradient_weight(
        gradient: FloatTensor<Self>,
        maps: FloatTensor<Self>,
        weight: [usize; 4],
        how: Conv2d,
    ) -> FloatTensor<Self> {
        let _ = (gradient, maps, weight, how);
        unimplemented!("{ONCE}")
    }
    fn convolve_gradient_bias(gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let _ = gradient;
        unimplemented!("{ONCE}")
    }

    /// Convolution, then max pooling. Returns the maxima and their positions.
    fn convolve_pool(
        maps: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        how: Conv2d,
        pool: Pool,
    ) -> (FloatTensor<Self>, IntTensor<Self>);
    /// The gradients of the maps and of the weights, from the gradient of the maxima.
    fn convolve_pool_gradient_maps(
        gradient: FloatTensor<Self>,
        places: IntTensor<Self>,
        weight: FloatTensor<Self>,
        maps: [usize; 4],
        how: Conv2d,
        pool: Pool,
    ) -> FloatTensor<Self> {
        let _ = (gradient, places, weight, maps, how, pool);
        unimplemented!("{ONCE}")
    }
    fn convolve_pool_gradient_weight(
        gradient: FloatTensor<Self>,
        places: IntTensor<Self>,
        maps: FloatTensor<Self>,
        weight: [usize; 4],
        how: Conv2d,
        pool: Pool,
    ) -> FloatTensor<Self> {
        let _ = (gradient, places, maps, weight, how, pool);
        unimplemented!("{ONCE}")
    }

    fn connect(
        units: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        finish: Finish,
    ) -> FloatTensor<Self>;
    fn connect_gradient_units(gradient: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let _ = (gradient, weight);
        unimplemented!("{ONCE}")
    }
    fn connect_gradient_weight(gradient: FloatTensor<Self>, units: FloatTensor<Self>) -> FloatTensor<Self> {
        let _ = (gradient, units);
        unimplemented!("{ONCE}")
    }
    fn connect_gradient_bias(gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let _ = gradient;
        unimplemented!("{ONCE}")
    }

    /// Returns the gradient before a ReLU and a multiplication by `gain`, from the gradient after them.
    fn rectify_gradient(
        gradient: FloatTensor<Self>,
        outputs: FloatTensor<Self>,
        gain: f32,
    ) -> FloatTensor<Self> {
        let _ = (gradient, outputs, gain);
        unimplemented!("{ONCE}")
    }

    /// Returns the new weights and velocities.
    fn sgd_step(
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        velocity: FloatTensor<Self>,
        how: SgdStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let _ = (weight, gradient, velocity, how);
        unimplemented!("{ONCE}")
    }

    fn normalize_maps(maps: FloatTensor<Self>, lrn: Lrn) -> FloatTensor<Self>;
    fn normalize_maps_gradient(
        gradient: FloatTensor<Self>,
        maps: FloatTensor<Self>,
        lrn: Lrn,
    ) -> FloatTensor<Self> {
        let _ = (gradient, maps, lrn);
        unimplemented!("{ONCE}")
    }

    fn average(maps: FloatTensor<Self>, pool: Pool) -> FloatTensor<Self>;
    fn average_gradient(gradient: FloatTensor<Self>, maps: [usize; 4], pool: Pool) -> FloatTensor<Self> {
        let _ = (gradient, maps, pool);
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

    /// LRN across channels, then max pooling. Returns the maxima and their positions.
    fn normalize_pool(maps: FloatTensor<Self>, lrn: Lrn, pool: Pool) -> (FloatTensor<Self>, IntTensor<Self>);
    fn normalize_pool_gradient(
        gradient: FloatTensor<Self>,
        maps: FloatTensor<Self>,
        places: IntTensor<Self>,
        lrn: Lrn,
        pool: Pool,
    ) -> FloatTensor<Self> {
        let _ = (gradient, maps, places, lrn, pool);
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

/// [`conv2d`](crate::conv2d).
pub(crate) fn conv2d(maps: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>, how: Conv2d) -> Tensor<4> {
    let (maps, weight, bias) = (maps.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as Kernels>::convolve(maps, weight, bias, how))
}

/// [`conv_max_pool2d`](crate::conv_max_pool2d), for windows that [`pools`] accepts.
pub(crate) fn conv_max_pool2d(
    maps: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    how: Conv2d,
    pool: &Pool,
) -> Tensor<4> {
    let (maps, weight, bias) = (maps.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    let (maxima, _) = <Dispatch as Kernels>::convolve_pool(maps, weight, bias, how, *pool);
    Tensor::from_dispatch(maxima)
}

/// [`linear`](crate::linear).
pub(crate) fn linear(units: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>, finish: Finish) -> Tensor<2> {
    let (units, weight, bias) = (units.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as Kernels>::connect(units, weight, bias, finish))
}

/// [`sgd_step`](crate::sgd_step).
pub(crate) fn sgd_step<const D: usize>(
    weight: Tensor<D>,
    gradient: Tensor<D>,
    velocity: Tensor<D>,
    how: SgdStep,
) -> (Tensor<D>, Tensor<D>) {
    let (weight, gradient) = (weight.into_dispatch(), gradient.into_dispatch());
    let (weight, velocity) = <Dispatch as Kernels>::sgd_step(weight, gradient, velocity.into_dispatch(), how);
    (Tensor::from_dispatch(weight), Tensor::from_dispatch(velocity))
}

/// [`spatial_lrn`](crate::spatial_lrn).
pub(crate) fn spatial_lrn(maps: Tensor<4>, lrn: &Lrn) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Kernels>::normalize_maps(maps.into_dispatch(), *lrn))
}

/// [`avg_pool2d`](crate::avg_pool2d).
pub(crate) fn avg_pool2d(maps: Tensor<4>, pool: &Pool) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Kernels>::average(maps.into_dispatch(), *pool))
}

/// [`max_pool2d`](crate::max_pool2d), for windows that [`pools`] accepts.
pub(crate) fn max_pool2d(maps: Tensor<4>, pool: &Pool) -> Tensor<4> {
    let (maxima, _) = <Dispatch as Kernels>::pool(maps.into_dispatch(), *pool);
    Tensor::from_dispatch(maxima)
}

/// [`lrn_max_pool2d`](crate::lrn_max_pool2d), for windows that [`pools`] accepts.
pub(crate) fn lrn_max_pool2d(maps: Tensor<4>, lrn: &Lrn, pool: &Pool) -> Tensor<4> {
    let (maxima, _) = <Dispatch as Kernels>::normalize_pool(maps.into_dispatch(), *lrn, *pool);
    Tensor::from_dispatch(maxima)
}

/// [`tanh`](crate::tanh).
pub(crate) fn tanh<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as Kernels>::hyperbolic_tangent(values.into_dispatch()))
}

/// Returns whether the positions in a window fit in a byte.
pub(crate) fn pools(pool: &Pool) -> bool {
    pool.size <= pool::LARGEST_WINDOW
}

/// Returns a tensor with contiguous values, whatever its view of the storage.
fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.layout().is_contiguous() { tensor } else { tensor.to_contiguous() }
}

/// Returns a tensor that covers all of its storage in order, so that the storage can be written to. It is
/// copied only if it is a view or someone else also holds it.
fn owned(tensor: FlexTensor) -> FlexTensor {
    if tensor.layout().is_contiguous() && tensor.bytes().len() == 4 * tensor.layout().num_elements() {
        tensor
    } else {
        tensor.to_contiguous()
    }
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

/// Makes tensors of the maxima and their positions.
fn with_places(maxima: Vec<f32>, places: Vec<u8>, shape: [usize; 4]) -> (FlexTensor, FlexTensor) {
    let layout = Layout::contiguous(shape.into());
    (tensor(maxima, shape), FlexTensor::new(Bytes::from_elems(places), layout, DType::U8))
}

fn bytes(places: &FlexTensor) -> &[u8] {
    places.as_slice().expect("the places as they were made")
}

impl Conv2d {
    fn geometry(self, maps: [usize; 4], weight: [usize; 4]) -> conv::Geometry {
        assert_eq!(maps[1], weight[1] * self.groups, "the maps' channels are not the kernels'");
        assert_eq!(weight[0] % self.groups, 0, "the filters are not cut evenly");
        let shape = conv::Geometry::new(maps, weight, self.stride, self.padding, self.groups);
        shape.expect("the kernel fits into the maps")
    }
}

fn pooling([height, width]: [usize; 2], pool: Pool) -> pool::Geometry {
    let side = |input| pool.output_side(input).expect("the window fits into the maps");
    pool::Geometry { input: [height, width], output: [side(height), side(width)], pool }
}

impl Normalize for Flex {
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
}

impl Kernels for Flex {
    fn convolve(maps: FlexTensor, weight: FlexTensor, bias: FlexTensor, how: Conv2d) -> FlexTensor {
        let (maps, weight, bias) = (contiguous(maps), contiguous(weight), contiguous(bias));
        let shape = how.geometry(maps.shape().dims(), weight.shape().dims());
        let out = conv::forward(values(&maps), values(&weight), values(&bias), how.relu, &shape);
        tensor(out, [shape.batch, shape.filters, shape.output[0], shape.output[1]])
    }

    fn convolve_gradient_maps(
        gradient: FlexTensor,
        weight: FlexTensor,
        maps: [usize; 4],
        how: Conv2d,
    ) -> FlexTensor {
        let (gradient, weight) = (contiguous(gradient), contiguous(weight));
        let shape = how.geometry(maps, weight.shape().dims());
        tensor(conv::input_gradient(Images::Whole(values(&gradient)), values(&weight), &shape), maps)
    }

    fn convolve_gradient_weight(
        gradient: FlexTensor,
        maps: FlexTensor,
        weight: [usize; 4],
        how: Conv2d,
    ) -> FlexTensor {
        let (gradient, maps) = (contiguous(gradient), contiguous(maps));
        let shape = how.geometry(maps.shape().dims(), weight);
        tensor(conv::weight_gradient(values(&maps), Images::Whole(values(&gradient)), &shape), weight)
    }

    fn convolve_gradient_bias(gradient: FlexTensor) -> FlexTensor {
        let gradient = contiguous(gradient);
        let [_, filters, height, width] = gradient.shape().dims();
        tensor(conv::bias_gradient(values(&gradient), filters, height * width), [filters])
    }

    fn convolve_pool(
        maps: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        how: Conv2d,
        pool: Pool,
    ) -> (FlexTensor, FlexTensor) {
        let (maps, weight, bias) = (contiguous(maps), contiguous(weight), contiguous(bias));
        let shape = how.geometry(maps.shape().dims(), weight.shape().dims());
        let pool = pooling(shape.output, pool);
        let (maxima, places) =
            conv::forward_pooled(values(&maps), values(&weight), values(&bias), how.relu, &shape, &pool);
        with_places(maxima, places, [shape.batch, shape.filters, pool.output[0], pool.output[1]])
    }

    fn convolve_pool_gradient_maps(
        gradient: FlexTensor,
        places: FlexTensor,
        weight: FlexTensor,
        maps: [usize; 4],
        how: Conv2d,
        pool: Pool,
    ) -> FlexTensor {
        let (gradient, weight) = (contiguous(gradient), contiguous(weight));
        let shape = how.geometry(maps, weight.shape().dims());
        let scatter = pool::Scatter::new(pooling(shape.output, pool));
        let images =
            Images::Pooled { gradient: values(&gradient), places: bytes(&places), scatter: &scatter };
        tensor(conv::input_gradient(images, values(&weight), &shape), maps)
    }

    fn convolve_pool_gradient_weight(
        gradient: FlexTensor,
        places: FlexTensor,
        maps: FlexTensor,
        weight: [usize; 4],
        how: Conv2d,
        pool: Pool,
    ) -> FlexTensor {
        let (gradient, maps) = (contiguous(gradient), contiguous(maps));
        let shape = how.geometry(maps.shape().dims(), weight);
        let scatter = pool::Scatter::new(pooling(shape.output, pool));
        let images =
            Images::Pooled { gradient: values(&gradient), places: bytes(&places), scatter: &scatter };
        tensor(conv::weight_gradient(values(&maps), images, &shape), weight)
    }

    fn connect(units: FlexTensor, weight: FlexTensor, bias: FlexTensor, finish: Finish) -> FlexTensor {
        let (units, weight, bias) = (contiguous(units), contiguous(weight), contiguous(bias));
        let ([batch, inputs], [rows, outputs]) = (units.shape().dims(), weight.shape().dims());
        assert_eq!(inputs, rows, "the units are not those that the weights are for");
        let shape = linear::Shape { batch, inputs, outputs };
        let out = linear::forward(values(&units), values(&weight), values(&bias), &finish, shape);
        tensor(out, [batch, outputs])
    }

    fn connect_gradient_units(gradient: FlexTensor, weight: FlexTensor) -> FlexTensor {
        let (gradient, weight) = (contiguous(gradient), contiguous(weight));
        let ([batch, outputs], [inputs, _]) = (gradient.shape().dims(), weight.shape().dims());
        let shape = linear::Shape { batch, inputs, outputs };
        tensor(linear::unit_gradient(values(&gradient), values(&weight), shape), [batch, inputs])
    }

    fn connect_gradient_weight(gradient: FlexTensor, units: FlexTensor) -> FlexTensor {
        let (gradient, units) = (contiguous(gradient), contiguous(units));
        let ([batch, outputs], [_, inputs]) = (gradient.shape().dims(), units.shape().dims());
        let shape = linear::Shape { batch, inputs, outputs };
        tensor(linear::weight_gradient(values(&gradient), values(&units), shape), [inputs, outputs])
    }

    fn connect_gradient_bias(gradient: FlexTensor) -> FlexTensor {
        let gradient = contiguous(gradient);
        let [_, outputs] = gradient.shape().dims();
        tensor(linear::bias_gradient(values(&gradient), outputs), [outputs])
    }

    fn rectify_gradient(gradient: FlexTensor, outputs: FlexTensor, gain: f32) -> FlexTensor {
        let (mut gradient, outputs) = (owned(gradient), contiguous(outputs));
        sweep::rectify_gradient(gradient.storage_mut(), values(&outputs), gain);
        gradient
    }

    fn sgd_step(
        weight: FlexTensor,
        gradient: FlexTensor,
        velocity: FlexTensor,
        how: SgdStep,
    ) -> (FlexTensor, FlexTensor) {
        let weight = contiguous(weight);
        // The gradient is no longer needed: its memory takes the new weights.
        let (mut gradient, mut velocity) = (owned(gradient), owned(velocity));
        sweep::sgd_step(values(&weight), gradient.storage_mut(), velocity.storage_mut(), &how);
        (gradient, velocity)
    }

    fn normalize_maps(maps: FlexTensor, lrn: Lrn) -> FlexTensor {
        let maps = contiguous(maps);
        let [_, _, height, width] = maps.shape().dims();
        elementwise(spatial_lrn::forward(values(&maps), [height, width], &lrn), &maps)
    }

    fn normalize_maps_gradient(gradient: FlexTensor, maps: FlexTensor, lrn: Lrn) -> FlexTensor {
        let (gradient, maps) = (contiguous(gradient), contiguous(maps));
        let [_, _, height, width] = maps.shape().dims();
        elementwise(spatial_lrn::gradient(values(&maps), values(&gradient), [height, width], &lrn), &maps)
    }

    fn average(maps: FlexTensor, pool: Pool) -> FlexTensor {
        let maps = contiguous(maps);
        let [batch, channels, height, width] = maps.shape().dims();
        let shape = pooling([height, width], pool);
        tensor(pool::averages(values(&maps), &shape), [batch, channels, shape.output[0], shape.output[1]])
    }

    fn average_gradient(gradient: FlexTensor, maps: [usize; 4], pool: Pool) -> FlexTensor {
        let gradient = contiguous(gradient);
        tensor(pool::averages_gradient(values(&gradient), &pooling([maps[2], maps[3]], pool)), maps)
    }

    fn pool(maps: FlexTensor, pool: Pool) -> (FlexTensor, FlexTensor) {
        let maps = contiguous(maps);
        let [batch, channels, height, width] = maps.shape().dims();
        let shape = pooling([height, width], pool);
        let (maxima, places) = pool::maxima(values(&maps), &shape);
        with_places(maxima, places, [batch, channels, shape.output[0], shape.output[1]])
    }

    fn pool_gradient(gradient: FlexTensor, places: FlexTensor, maps: [usize; 4], pool: Pool) -> FlexTensor {
        let gradient = contiguous(gradient);
        let shape = pooling([maps[2], maps[3]], pool);
        tensor(pool::maxima_gradient(values(&gradient), bytes(&places), &shape), maps)
    }

    fn normalize_pool(maps: FlexTensor, lrn: Lrn, pool: Pool) -> (FlexTensor, FlexTensor) {
        let maps = contiguous(maps);
        let [batch, channels, height, width] = maps.shape().dims();
        let shape = pooling([height, width], pool);
        let (maxima, places) = lrn_pool::forward(values(&maps), channels, &lrn, &shape);
        with_places(maxima, places, [batch, channels, shape.output[0], shape.output[1]])
    }

    fn normalize_pool_gradient(
        gradient: FlexTensor,
        maps: FlexTensor,
        places: FlexTensor,
        lrn: Lrn,
        pool: Pool,
    ) -> FlexTensor {
        let (gradient, maps) = (contiguous(gradient), contiguous(maps));
        let [_, channels, height, width] = maps.shape().dims();
        let shape = pooling([height, width], pool);
        let out =
            lrn_pool::gradient(values(&maps), values(&gradient), bytes(&places), channels, &lrn, &shape);
        elementwise(out, &maps)
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
