//! CubeCL's convolution with our gradient of its weights.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::ModuleOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Tensor};
use burn_cubecl::CubeBackend;

use super::weight_gradient;
use crate::config::{Conv2d, Padding};
use crate::conv::composed::burns;

#[backend_extension(Autodiff, Cube, Fusion)]
trait ConvKernels: Backend {
    #[fusion(dtype = feature_maps, shape = convolved(feature_maps, weight, options))]
    fn convolve(
        feature_maps: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: Conv2d,
    ) -> FloatTensor<Self>;
}

/// Its gradient, for the backend below automatic differentiation.
#[backend_extension(Cube, Fusion)]
trait ConvGradients: Backend {
    #[fusion(dtype = gradient, shape = Shape::from(*weight))]
    fn convolution_weight_gradient(
        feature_maps: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        weight: [usize; 4],
        options: Conv2d,
    ) -> FloatTensor<Self>;
}

/// The convolution without bias.
pub(super) fn product(feature_maps: Tensor<4>, weight: Tensor<4>, options: Conv2d) -> Tensor<4> {
    let (feature_maps, weight) = (feature_maps.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(<Dispatch as ConvKernels>::convolve(feature_maps, weight, options))
}

/// The shape of what a convolution makes of feature maps.
fn convolved(maps: &Shape, weight: &Shape, options: &Conv2d) -> Shape {
    let [images, _, height, width] = maps.dims();
    let [filters, _, rows, columns] = weight.dims();
    let Padding { top, left, bottom, right } = options.padding;
    let side = |padded: usize, kernel: usize| (padded - kernel) / options.stride + 1;
    Shape::from([images, filters, side(height + top + bottom, rows), side(width + left + right, columns)])
}

impl ConvKernels for CubeBackend {
    fn convolve(
        feature_maps: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: Conv2d,
    ) -> FloatTensor<Self> {
        Self::conv2d(feature_maps, weight, None, burns(&options))
    }
}

impl ConvGradients for CubeBackend {
    fn convolution_weight_gradient(
        feature_maps: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        weight: [usize; 4],
        options: Conv2d,
    ) -> FloatTensor<Self> {
        weight_gradient::launch(feature_maps, gradient, weight, options)
    }
}

#[derive(Debug)]
struct Convolution;

impl<B: ConvGradients> Backward<B, 2> for Convolution {
    /// The inputs.
    type State = (FloatTensor<B>, FloatTensor<B>, Conv2d);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let ([to_maps, to_weight], (maps, weight, options)) = (ops.parents, ops.state);
        if let Some(node) = to_weight {
            let shape = weight.shape().dims();
            let of_weight = B::convolution_weight_gradient(maps.clone(), gradient.clone(), shape, options);
            gradients.register::<B>(node.id, of_weight);
        }
        if let Some(node) = to_maps {
            let of_maps = B::conv2d_x_backward(maps, weight, gradient, burns(&options));
            gradients.register::<B>(node.id, of_maps);
        }
    }
}

impl<B: ConvKernels + ConvGradients, C: CheckpointStrategy> ConvKernels for Autodiff<B, C> {
    fn convolve(
        feature_maps: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: Conv2d,
    ) -> FloatTensor<Self> {
        let prepared =
            Convolution.prepare::<C>([feature_maps.node(), weight.node()]).compute_bound().stateful();
        let (maps, weight) = (feature_maps.into_primitive(), weight.into_primitive());
        let out = B::convolve(maps.clone(), weight.clone(), options);
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((maps, weight, options), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }
}
