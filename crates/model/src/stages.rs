//! The computation of each stage of a layer.

use alexnet_ops::{DropoutMask, Key, Pool};
use burn::tensor::Tensor;

use crate::alexnet::{AlexNet, Mode};
use crate::config::{Activation, DropoutConvention, Stage};
use crate::layers::Conv;

impl AlexNet {
    /// Runs a stage on maps.
    pub(crate) fn map_stage(
        &self,
        stage: &Stage,
        layer: &Conv,
        activation: Activation,
        feature_maps: Tensor<4>,
        name: &str,
        mode: Mode,
    ) -> Tensor<4> {
        match stage {
            Stage::Activation => self.activation(activation, feature_maps), // §3.1
            Stage::Lrn(lrn) => self.operations.lrn(feature_maps, lrn),      // §3.3
            Stage::MaxPool(pool) => self.operations.max_pool2d(feature_maps, pool), // §3.4
            Stage::AvgPool(pool) => self.operations.avg_pool2d(feature_maps, pool),
            Stage::GlobalAvgPool => {
                let whole = Pool::whole(feature_maps.dims()[2]);
                self.operations.avg_pool2d(feature_maps, &whole)
            }
            Stage::SpatialLrn(lrn) => self.operations.spatial_lrn(feature_maps, lrn),
            Stage::BatchNorm(_) => {
                layer.batch_norm(feature_maps, matches!(mode, Mode::Training(_)), self.operations)
            }
            Stage::GroupNorm(norm) => layer.group_norm(feature_maps, norm, self.operations),
            Stage::Dropout(drop) => {
                let shape = feature_maps.dims();
                self.dropout(feature_maps.flatten(1, 3), name, *drop, mode).reshape(shape)
            }
        }
    }

    /// Runs a stage on features.
    pub(crate) fn feature_stage(
        &self,
        stage: &Stage,
        activation: Activation,
        features: Tensor<2>,
        name: &str,
        mode: Mode,
    ) -> Tensor<2> {
        match stage {
            Stage::Activation => self.activation(activation, features), // §3.1
            Stage::Dropout(drop) => self.dropout(features, name, *drop, mode), // §4.2
            _ => unreachable!("stages of maps are refused here when the network is checked"),
        }
    }

    fn activation<const D: usize>(&self, activation: Activation, x: Tensor<D>) -> Tensor<D> {
        match activation {
            Activation::Relu => self.operations.relu(x),
            Activation::Tanh => self.operations.tanh(x),
            Activation::Sigmoid => self.operations.sigmoid(x),
            Activation::LeakyRelu(slope) => self.operations.leaky_relu(x, slope),
            Activation::Elu(alpha) => self.operations.elu(x, alpha),
            Activation::Gelu => self.operations.gelu(x),
            Activation::Silu => self.operations.silu(x),
        }
    }

    /// §4.2: "setting to zero the output of each hidden neuron with probability 0.5".
    pub(crate) fn dropout(&self, features: Tensor<2>, name: &str, drop: f64, mode: Mode) -> Tensor<2> {
        match (mode, self.network.dropout) {
            (Mode::Training(keys), _) => {
                let mask = self.dropout_mask(keys, name, features.dims()[1], drop);
                let factors = mask.to_tensor(&features.device());
                features * factors
            }
            (Mode::Evaluation, DropoutConvention::Paper) => features.mul_scalar(1.0 - drop),
            (Mode::Evaluation, DropoutConvention::Inverted) => features,
        }
    }

    pub(crate) fn dropout_mask(&self, keys: &[Key], name: &str, features: usize, drop: f64) -> DropoutMask {
        let gain = match self.network.dropout {
            DropoutConvention::Paper => 1.0,
            DropoutConvention::Inverted => 1.0 / (1.0 - drop),
        };
        DropoutMask::draw(keys, name, features, drop, gain)
    }
}
