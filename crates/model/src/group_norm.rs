use burn::module::{Module, Param};
use burn::tensor::Tensor;

/// The gain and the shift of a group normalization, one of each for a map.
#[derive(Module, Debug)]
pub(crate) struct GroupNorm {
    pub(crate) gamma: Param<Tensor<1>>,
    pub(crate) beta: Param<Tensor<1>>,
}
