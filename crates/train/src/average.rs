//! The exponential moving average of the weights.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use crate::classifier::Classifier;

/// The averages of a model's weights, `a ← d · a + (1 − d) · w` after each update (Polyak & Juditsky 1992). Early on, when the
/// average would still hold the initial weights, `d` is `(1 + steps) / (10 + steps)` where that is less. The running averages of
/// batch normalization are the model's own.
pub(crate) struct Average {
    decay: f64,
    /// Burn's map from parameters to tensors.
    values: GradientsParams,
}

impl Average {
    /// Begins with the weights of a model.
    pub(crate) fn of(decay: f64, model: &Classifier) -> Self {
        let mut values = Values { old: GradientsParams::new(), new: GradientsParams::new(), keep: 0.0 };
        model.visit(&mut values);
        Self { decay, values: values.new }
    }

    /// Takes the weights after `steps` updates into the average.
    pub(crate) fn update(&mut self, model: &Classifier, steps: usize) {
        let keep = self.decay.min((1.0 + steps as f64) / (10.0 + steps as f64));
        let old = std::mem::take(&mut self.values);
        let mut values = Values { old, new: GradientsParams::new(), keep };
        model.visit(&mut values);
        self.values = values.new;
    }

    /// Returns the model with the averages as weights.
    pub(crate) fn model(&self, model: Classifier) -> Classifier {
        model.map(&mut Replace { values: &self.values })
    }
}

struct Values {
    old: GradientsParams,
    new: GradientsParams,
    keep: f64,
}

impl ModuleVisitor for Values {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let weight = param.val().inner();
        let average = match self.old.get::<D>(param.id) {
            None => weight,
            Some(old) => old.mul_scalar(self.keep) + weight.mul_scalar(1.0 - self.keep),
        };
        self.new.register(param.id, average);
    }
}

struct Replace<'a> {
    values: &'a GradientsParams,
}

impl ModuleMapper for Replace<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.values.get::<D>(param.id) {
            None => param,
            Some(average) => param.map(|_| average),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alexnet_model::Preset;

    #[test]
    fn the_average_follows_the_weights() {
        let device = alexnet_ops::Backend::in_this_build()[0].device().unwrap();
        let network = Preset::load("mini").unwrap();
        let model = |seed| Classifier::new(&network, seed, &device).unwrap();
        let first = |model: &Classifier| model.network().parameters()[0].2[0];
        let mut average = Average::of(0.9, &model(0));
        assert_eq!(first(&average.model(model(1))), first(&model(0)));
        average.update(&model(1), 1000);
        let expected = 0.9 * first(&model(0)) + 0.1 * first(&model(1));
        assert!((first(&average.model(model(2))) - expected).abs() < 1e-7);
        // After the first update the average keeps a fifth: (1 + 1) / (10 + 1).
        let mut early = Average::of(0.9, &model(0));
        early.update(&model(1), 1);
        let expected = (2.0 * first(&model(0)) + 9.0 * first(&model(1))) / 11.0;
        assert!((first(&early.model(model(2))) - expected).abs() < 1e-7);
    }
}
