//! The layers' weights, one set per tower, and batch normalization.

use burn::module::{Module, Param};
use burn::nn::BatchNorm;
use burn::tensor::Tensor;

use alexnet_ops::Implementation;

use crate::config::{Activation, Convolution, FullyConnected, GroupNormalization, Network, Stage};
use crate::group_norm::GroupNorm;
use crate::init::{Draw, Source};
use crate::trace::LayerTrace;

/// A convolutional layer: one kernel bank per tower.
#[derive(Module, Debug)]
pub(crate) struct ConvLayer {
    pub(crate) towers: Vec<Conv>,
}

/// A fully connected layer: one weight matrix per tower.
#[derive(Module, Debug)]
pub(crate) struct FcLayer {
    pub(crate) towers: Vec<Linear>,
}

#[derive(Module, Debug)]
pub(crate) struct Conv {
    // [filters, channels / groups, kernel, kernel]; if not shared: [filters, channels, kernel², positions]
    pub(crate) weight: Param<Tensor<4>>,
    pub(crate) bias: Param<Tensor<1>>,
    pub(crate) norm: Option<BatchNorm>,
    pub(crate) group: Option<GroupNorm>,
}

#[derive(Module, Debug)]
pub(crate) struct Linear {
    pub(crate) weight: Param<Tensor<2>>, // [inputs, outputs]
    pub(crate) bias: Param<Tensor<1>>,
}

impl Convolution {
    pub(crate) fn build<E>(
        &self,
        network: &Network,
        tower: usize,
        trace: &LayerTrace,
        source: &mut Source<E>,
    ) -> Result<Conv, E> {
        let (places, channels) = (trace.side * trace.side, trace.inputs / self.groups);
        let (shape, biases) = match self.shared {
            true => ([trace.outputs, channels, self.kernel, self.kernel], trace.outputs),
            false => ([trace.outputs, channels, self.kernel * self.kernel, places], trace.outputs * places),
        };
        let name = format!("{}.{tower}", self.name);
        let area = self.kernel * self.kernel;
        let draw = Draw {
            weights: network.initial_weights,
            std: self.weight_std,
            gain: gain(network, self.activation, &self.stages),
            fans: [channels * area, self.filters * area],
        };
        let weight = source.weight(&name, shape, &draw)?;
        let bias = source.bias(&name, biases, self.bias)?;
        let norm = self.stages.iter().find_map(|stage| match stage {
            Stage::BatchNorm(norm) => Some(*norm),
            _ => None,
        });
        let norm = norm.map(|norm| source.batch_norm(&name, trace.outputs, norm)).transpose()?;
        let grouped = self.stages.iter().any(|stage| matches!(stage, Stage::GroupNorm(_)));
        let group = grouped.then(|| source.group_norm(&name, trace.outputs)).transpose()?;
        Ok(Conv { weight, bias, norm, group })
    }
}

impl FullyConnected {
    pub(crate) fn build<E>(
        &self,
        network: &Network,
        tower: usize,
        trace: &LayerTrace,
        source: &mut Source<E>,
    ) -> Result<Linear, E> {
        let name = format!("{}.{tower}", self.name);
        let draw = Draw {
            weights: network.initial_weights,
            std: self.weight_std,
            gain: gain(network, self.activation, &self.stages),
            fans: [trace.inputs, self.units],
        };
        let weight = source.weight(&name, [trace.inputs, trace.outputs], &draw)?;
        Ok(Linear { weight, bias: source.bias(&name, trace.outputs, self.bias)? })
    }
}

/// Returns the gain of a layer's initial weights: that of its activation, or 1 without one.
fn gain(network: &Network, own: Option<Activation>, stages: &[Stage]) -> f64 {
    let activation = own.unwrap_or(network.activation);
    if stages.contains(&Stage::Activation) { activation.gain() } else { 1.0 }
}

impl Conv {
    /// Normalizes the maps of each image over groups.
    ///
    /// # Panics
    /// If the layer has no group normalization.
    pub(crate) fn group_norm(
        &self,
        feature_maps: Tensor<4>,
        norm: &GroupNormalization,
        operations: Implementation,
    ) -> Tensor<4> {
        let own = self.group.as_ref().expect("built with the layer");
        operations.group_norm(feature_maps, own.gamma.val(), own.beta.val(), norm.groups, norm.epsilon)
    }

    /// Normalizes the maps over the batch, in training with the batch's statistics, which also update the
    /// running averages. Burn's own layer decides by the device: it would use batch statistics wherever
    /// gradients are enabled.
    ///
    /// # Panics
    /// If the layer has no batch normalization.
    pub(crate) fn batch_norm(
        &self,
        feature_maps: Tensor<4>,
        training: bool,
        operations: Implementation,
    ) -> Tensor<4> {
        let norm = self.norm.as_ref().expect("built with the layer");
        let device = feature_maps.device();
        if training {
            let found = operations.batch_norm(feature_maps, norm.gamma.val(), norm.beta.val(), norm.epsilon);
            let states = [(&norm.running_mean, found.mean), (&norm.running_var, found.variance)];
            for (state, of_batch) in states {
                let before = state.value_sync().to_device(&device);
                let newest = of_batch.detach().mul_scalar(norm.momentum);
                state.update(before.mul_scalar(1.0 - norm.momentum).add(newest).detach());
            }
            return found.output;
        }
        let [mean, variance] = [&norm.running_mean, &norm.running_var]
            .map(|state| crate::towers::moved(state.value_sync(), &device));
        burn::tensor::module::batch_norm(
            feature_maps,
            norm.gamma.val(),
            norm.beta.val(),
            mean,
            variance,
            norm.epsilon,
        )
    }
}
