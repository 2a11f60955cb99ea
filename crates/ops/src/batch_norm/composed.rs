use burn::tensor::{Tensor, module};

use super::BatchNormalized;

/// [`batch_norm`](crate::batch_norm) from Burn's operations.
pub fn batch_norm(
    feature_maps: Tensor<4>,
    gain: Tensor<1>,
    shift: Tensor<1>,
    epsilon: f64,
) -> BatchNormalized {
    let found = module::batch_norm_train(feature_maps, gain, shift, epsilon);
    BatchNormalized { output: found.output, mean: found.mean, variance: found.variance }
}
