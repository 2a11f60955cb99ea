use burn::tensor::Tensor;

use crate::DropoutMask;

/// What is done to a fully connected layer's sums, in the sweep that adds the bias.
#[derive(Debug, Clone)]
pub enum Finish {
    /// Nothing.
    Plain,
    /// The ReLU.
    Relu,
    /// The ReLU, then dropout.
    ReluDropout(DropoutMask),
}

impl Finish {
    /// By what an output that is kept is multiplied.
    #[cfg(feature = "flex")]
    pub(crate) fn gain(&self) -> f32 {
        match self {
            Finish::Plain | Finish::Relu => 1.0,
            Finish::ReluDropout(mask) => mask.gain(),
        }
    }
}

/// A fully connected layer.
///
/// # Shapes
/// - `units`: `[batch, inputs]`
/// - `weight`: `[inputs, outputs]`
/// - `bias`: `[outputs]`
/// - output: `[batch, outputs]`
///
/// # Panics
/// If the shapes do not agree.
pub fn linear(units: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>, finish: Finish) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if crate::flex::takes(&units) {
        return crate::flex::linear(units, weight, bias, finish);
    }
    crate::composed::linear(units, weight, bias, finish)
}
