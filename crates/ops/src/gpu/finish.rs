//! The last steps of a layer on GPU backends, in one launch: the bias, the ReLU and dropout.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use crate::config::Finish;
use crate::dropout::DropoutMask;

/// The operations, on feature maps `[batch, channels, height, width]` or on features `[batch, features]`.
#[backend_extension(Autodiff, Cube, Fusion)]
pub(super) trait FinishKernels: Backend {
    /// Adds the bias. Then comes the ReLU, if `relu`.
    #[fusion(dtype = values, shape = values)]
    fn finish(values: FloatTensor<Self>, bias: FloatTensor<Self>, relu: bool) -> FloatTensor<Self>;

    /// Adds the bias. Then come the ReLU and dropout, whose mask is drawn on the device from `keys`, eight words a sample.
    #[fusion(dtype = values, shape = values)]
    fn finish_and_drop(
        values: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        keys: IntTensor<Self>,
        threshold: u32,
        gain: f32,
    ) -> FloatTensor<Self>;
}

/// Their gradients, for the backend below automatic differentiation.
#[backend_extension(Cube, Fusion)]
pub(crate) trait FinishGradients: Backend {
    /// Returns the gradient before the ReLU and a multiplication by `gain`, and that of the bias, from the gradient after them.
    #[fusion(meta = super::shapes::rectified)]
    fn rectify_gradient(
        gradient: FloatTensor<Self>,
        outputs: FloatTensor<Self>,
        gain: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Returns the gradient of the bias.
    #[fusion(meta = super::shapes::bias_of)]
    fn bias_gradient(gradient: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// Adds the bias to what a layer's product gives, then rectifies it if `relu`.
pub(crate) fn finish<const D: usize>(values: Tensor<D>, bias: Tensor<1>, relu: bool) -> Tensor<D> {
    let (values, bias) = (values.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as FinishKernels>::finish(values, bias, relu))
}

/// Adds the bias to what a fully connected layer's product gives, with the steps after it.
pub(crate) fn finish_features(features: Tensor<2>, bias: Tensor<1>, steps: &Finish) -> Tensor<2> {
    match steps {
        Finish::Plain => finish(features, bias, false),
        Finish::Relu => finish(features, bias, true),
        Finish::ReluDropout(mask) => {
            let (threshold, gain, keys) = (mask.threshold(), mask.gain(), keys_of(mask, &features));
            let (features, bias) = (features.into_dispatch(), bias.into_dispatch());
            let out = <Dispatch as FinishKernels>::finish_and_drop(features, bias, keys, threshold, gain);
            Tensor::from_dispatch(out)
        }
    }
}

/// The keys of the mask's rows, as words on the device.
fn keys_of(mask: &DropoutMask, features: &Tensor<2>) -> IntTensor<Dispatch> {
    use burn::tensor::{DType, Int, TensorData};
    let words: Vec<u32> = mask.keys().iter().flat_map(|key| key.halves()).collect();
    let data = TensorData::new(words, [mask.keys().len() * 8]);
    Tensor::<1, Int>::from_data(data, (&features.device().inner(), DType::U32)).into_dispatch()
}

#[derive(Debug)]
struct Finished;

impl<B: FinishGradients> Backward<B, 2> for Finished {
    /// The outputs and the gain, where there is a ReLU.
    type State = Option<(FloatTensor<B>, f32)>;

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let [to_values, to_bias] = ops.parents;
        let (of_values, of_bias) = match ops.state {
            Some((outputs, gain)) => {
                let (of_values, of_bias) = B::rectify_gradient(gradient, outputs, gain);
                (of_values, Some(of_bias))
            }
            None => {
                let of_bias = to_bias.is_some().then(|| B::bias_gradient(gradient.clone()));
                (gradient, of_bias)
            }
        };
        if let (Some(node), Some(of_bias)) = (to_bias, of_bias) {
            gradients.register::<B>(node.id, of_bias);
        }
        if let Some(node) = to_values {
            gradients.register::<B>(node.id, of_values);
        }
    }
}

impl<B: FinishKernels + FinishGradients, C: CheckpointStrategy> FinishKernels for Autodiff<B, C> {
    fn finish(values: FloatTensor<Self>, bias: FloatTensor<Self>, relu: bool) -> FloatTensor<Self> {
        let prepared = Finished.prepare::<C>([values.node(), bias.node()]).compute_bound().stateful();
        let out = B::finish(values.into_primitive(), bias.into_primitive(), relu);
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish(relu.then(|| (out.clone(), 1.0)), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }

    fn finish_and_drop(
        values: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        keys: IntTensor<Self>,
        threshold: u32,
        gain: f32,
    ) -> FloatTensor<Self> {
        let prepared = Finished.prepare::<C>([values.node(), bias.node()]).compute_bound().stateful();
        let (values, bias) = (values.into_primitive(), bias.into_primitive());
        let out = B::finish_and_drop(values, bias, keys, threshold, gain);
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish(Some((out.clone(), gain)), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }
}
