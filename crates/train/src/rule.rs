//! The rule by which gradients change weights.

use alexnet_model::{Network, Update};
use alexnet_ops::Implementation;
use burn::module::ParamGroup;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{
    AdamConfig, AdamWConfig, LearningRate, ModuleOptimizer, Optimizer, RmsPropConfig, SgdConfig,
};
use burn::tensor::{Device, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::update::{Elapsed, PaperSgd};
use crate::updater::{Together, Updater};

/// The optimizer. The recipe's `weight_decay` and each layer's multipliers of rate and decay apply to all. The recipe's `momentum`
/// applies to all but Adam and AdamW, whose momentum is `beta_1`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// The update of Krizhevsky et al. 2012, §5: the learning rate is inside the velocity.
    #[default]
    Paper,
    /// Stochastic gradient descent with momentum as in PyTorch: the learning rate multiplies the velocity.
    Sgd {
        /// Whether the gradient is taken ahead (Nesterov; Sutskever et al. 2013).
        #[serde(default)]
        nesterov: bool,
    },
    /// Adam (Kingma & Ba 2014), with the decay in the gradient.
    Adam(Moments),
    /// Adam with the decay beside the gradient (Loshchilov & Hutter 2017).
    AdamW(Moments),
    /// RMSprop (Tieleman & Hinton 2012).
    RmsProp {
        /// The share of the past in the average of squares.
        #[serde(default = "smoothing")]
        smoothing: f64,
        /// The number added to the root.
        #[serde(default = "epsilon")]
        epsilon: f64,
    },
}

/// The constants of Adam.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Moments {
    /// The share of the past in the average of gradients.
    #[serde(default = "beta_1")]
    pub beta_1: f64,
    /// The share of the past in the average of squares.
    #[serde(default = "beta_2")]
    pub beta_2: f64,
    /// The number added to the root.
    #[serde(default = "epsilon")]
    pub epsilon: f64,
}

fn beta_1() -> f64 {
    0.9
}

fn beta_2() -> f64 {
    0.999
}

fn smoothing() -> f64 {
    0.99
}

fn epsilon() -> f64 {
    1e-8
}

impl OptimizerConfig {
    /// Checks the constants.
    pub(crate) fn check(&self) -> Result<(), String> {
        let shares: &[f64] = match self {
            Self::Paper | Self::Sgd { .. } => &[],
            Self::Adam(moments) | Self::AdamW(moments) => &[moments.beta_1, moments.beta_2],
            Self::RmsProp { smoothing, .. } => &[*smoothing],
        };
        if let Some(share) = shares.iter().find(|share| !(0.0..1.0).contains(*share)) {
            return Err(format!("{share} must be at least 0 and below 1"));
        }
        match self {
            Self::Adam(Moments { epsilon, .. })
            | Self::AdamW(Moments { epsilon, .. })
            | Self::RmsProp { epsilon, .. }
                if !(*epsilon > 0.0 && epsilon.is_finite()) =>
            {
                Err(format!("an epsilon of {epsilon} must be above 0"))
            }
            _ => Ok(()),
        }
    }
}

/// A recipe's optimizer with its momentum and weight decay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UpdateRule {
    /// The optimizer.
    pub optimizer: OptimizerConfig,
    /// The momentum.
    pub momentum: f64,
    /// The weight decay.
    pub weight_decay: f64,
}

impl Default for UpdateRule {
    /// Returns the paper's rule (Krizhevsky et al. 2012, §5).
    fn default() -> Self {
        Self { optimizer: OptimizerConfig::Paper, momentum: 0.9, weight_decay: 5e-4 }
    }
}

/// An optimizer of Burn's for one group of parameters, with the group's multiplier of the learning rate.
#[derive(Clone)]
struct Grouped<O> {
    inner: O,
    rate: f64,
    frozen_from: Option<f64>,
    elapsed: Elapsed,
}

impl<O: Optimizer> Optimizer for Grouped<O> {
    type State<const D: usize> = O::State<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        weight: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        // With a rate of zero nothing moves.
        if self.elapsed.has_reached(self.frozen_from) || self.rate == 0.0 {
            return (weight, state);
        }
        self.inner.step(rate * self.rate, weight, gradient, state)
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        O::to_device(state, device)
    }
}

/// Creates the optimizer of a [`Classifier`](crate::Classifier), with each layer's multipliers. Layers that freeze late read
/// `elapsed`.
pub fn optimizer(
    network: &Network,
    rule: &UpdateRule,
    elapsed: &Elapsed,
    operations: Implementation,
) -> Updater {
    let momentum = rule.momentum;
    let penalty = |decay: f64| {
        let penalty = (rule.weight_decay * decay) as f32;
        (penalty > 0.0).then(|| WeightDecayConfig::new(penalty))
    };
    let grouped = |rate: f64, frozen_from: Option<f64>| (rate, frozen_from, elapsed.clone());
    let optimizer = match rule.optimizer {
        OptimizerConfig::Paper => {
            let together = Together::default();
            let optimizer = assemble(network, |decay, rate, frozen_from| PaperSgd {
                momentum,
                weight_decay: rule.weight_decay * decay,
                rate,
                frozen_from,
                elapsed: elapsed.clone(),
                operations,
                together: together.clone(),
            });
            let together = (operations != Implementation::Composed).then_some(together);
            return Updater::new(optimizer, together);
        }
        OptimizerConfig::Sgd { nesterov } => assemble(network, |decay, rate, frozen| {
            let of_momentum =
                MomentumConfig::new().with_momentum(momentum).with_dampening(0.0).with_nesterov(nesterov);
            let config = SgdConfig::new().with_weight_decay(penalty(decay));
            group(
                config.with_momentum((momentum > 0.0).then_some(of_momentum)).build(),
                grouped(rate, frozen),
            )
        }),
        OptimizerConfig::Adam(Moments { beta_1, beta_2, epsilon }) => {
            assemble(network, |decay, rate, frozen| {
                let config = AdamConfig::new().with_beta_1(beta_1 as f32).with_beta_2(beta_2 as f32);
                let config = config.with_epsilon(epsilon as f32).with_weight_decay(penalty(decay));
                group(config.build(), grouped(rate, frozen))
            })
        }
        OptimizerConfig::AdamW(Moments { beta_1, beta_2, epsilon }) => {
            assemble(network, |decay, rate, frozen| {
                let config = AdamWConfig::new().with_beta_1(beta_1 as f32).with_beta_2(beta_2 as f32);
                let decay = (rule.weight_decay * decay) as f32;
                group(
                    config.with_epsilon(epsilon as f32).with_weight_decay(decay).build(),
                    grouped(rate, frozen),
                )
            })
        }
        OptimizerConfig::RmsProp { smoothing, epsilon } => assemble(network, |decay, rate, frozen| {
            let config = RmsPropConfig::new().with_alpha(smoothing as f32).with_momentum(momentum as f32);
            let config = config.with_epsilon(epsilon as f32).with_weight_decay(penalty(decay));
            group(config.build(), grouped(rate, frozen))
        }),
    };
    Updater::new(optimizer, None)
}

fn group<O>(inner: O, (rate, frozen_from, elapsed): (f64, Option<f64>, Elapsed)) -> Grouped<O> {
    Grouped { inner, rate, frozen_from, elapsed }
}

/// Puts an optimizer together from those that `make` returns for multipliers of decay and rate, and the share of the run from
/// which a layer is frozen.
fn assemble<O: Optimizer + 'static>(
    network: &Network,
    make: impl Fn(f64, f64, Option<f64>) -> O,
) -> ModuleOptimizer {
    let conv = network.conv.iter().map(|layer| layer.update).enumerate().map(|(i, u)| ("conv", i, u));
    let fc = network.fc.iter().map(|layer| layer.update).enumerate().map(|(i, u)| ("fc", i, u));
    let mut optimizer = ModuleOptimizer::from(make(1.0, 1.0, None));
    for (list, index, update) in conv.chain(fc).filter(|(_, _, update)| *update != Update::default()) {
        for (parameters, decay, rate) in [
            // The gain and the shift of normalizations use the same settings.
            (["weight", "norm.gamma", "group.gamma"], update.weight_decay, update.weight_rate),
            (["bias", "norm.beta", "group.beta"], update.bias_decay, update.bias_rate),
        ] {
            let towers = (0..network.towers).flat_map(|tower| parameters.map(|name| (tower, name)));
            let path = |(tower, name)| format!("network.{list}.{index}.towers.{tower}.{name}");
            // Exact paths: an expression would bring a compiler of expressions into the page's module.
            let group = ParamGroup::from_paths(towers.map(path).collect());
            optimizer = optimizer.with_group(group, make(decay, rate, update.frozen_from), None);
        }
    }
    optimizer
}

#[cfg(test)]
mod tests {
    use burn::module::{Module, ModuleVisitor, Param};
    use burn::optim::GradientsParams;
    use serde_json::Value;

    use super::*;
    use crate::Classifier;

    /// One fully connected layer of 4 inputs and 3 units.
    const LINEAR: &str = r#"
        name = "linear"
        sources = []
        input = { channels = 1, size = 2 }
        classes = 3
        towers = 1
        activation = "relu"
        dropout = "2012"
        conv = []
        [[fc]]
        name = "fc1"
        units = 3
        reads = "all"
        weight_std = 0.1
        bias = 0.0
        stages = []
    "#;

    /// The gradient of make_parts.py.
    struct Fill(GradientsParams, f64);

    impl ModuleVisitor for Fill {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let value = param.val().inner();
            let count = value.shape().num_elements();
            let places: Vec<f32> = (0..count).map(|at| (at % 5) as f32 - 2.0).collect();
            let data = burn::tensor::TensorData::new(places, value.shape());
            let places = Tensor::<D>::from_data(data, &value.device());
            self.0.register(param.id, value.mul_scalar(0.3) + places.mul_scalar(0.1 * self.1));
        }
    }

    fn build(network: &Network) -> Classifier {
        let device = alexnet_ops::Backend::in_this_build()[0].device().unwrap().autodiff();
        let model = network.build(&device, &mut |parameter| -> Result<_, alexnet_model::NetworkError> {
            let (first, count) = if parameter.name.ends_with("weight") { (1, 12) } else { (0, 3) };
            Ok((first..first + count).map(|at| at as f32 / 10.0).collect())
        });
        Classifier::from(model.unwrap())
    }

    fn stepped(network: &Network, optimizer_config: OptimizerConfig, steps: usize) -> Vec<Vec<f32>> {
        let rule = UpdateRule { optimizer: optimizer_config, momentum: 0.9, weight_decay: 0.01 };
        let mut optimizer = optimizer(network, &rule, &Elapsed::default(), Implementation::Fast);
        let mut model = build(network);
        for step in 1..=steps {
            let mut fill = Fill(GradientsParams::new(), step as f64);
            model.visit(&mut fill);
            model = optimizer.step(0.05, model, fill.0);
        }
        model.network().parameters().into_iter().map(|(_, _, values)| values).collect()
    }

    #[test]
    fn optimizers_step_as_pytorchs() {
        let golden: Value = serde_json::from_str(include_str!("../../../tests/golden/parts.json")).unwrap();
        let network: Network = toml::from_str(LINEAR).unwrap();
        for (name, toml) in [
            ("sgd", "optimizer = { sgd = {} }"),
            ("nesterov", "optimizer = { sgd = { nesterov = true } }"),
            ("adam", "optimizer = { adam = {} }"),
            ("adamw", "optimizer = { adam-w = {} }"),
            ("rmsprop", "optimizer = { rms-prop = {} }"),
        ] {
            #[derive(Deserialize)]
            struct Table {
                optimizer: OptimizerConfig,
            }
            let table: Table = toml::from_str(toml).unwrap();
            let found = stepped(&network, table.optimizer, 6);
            let expected: Vec<Vec<f32>> = serde_json::from_value(golden["optimizers"][name].clone()).unwrap();
            let lengths = |values: &[Vec<f32>]| values.iter().map(Vec::len).collect::<Vec<_>>();
            assert_eq!(lengths(&found), lengths(&expected), "{name}");
            for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
                // Rounding of six steps in f32.
                assert!((found - expected).abs() < 2e-6, "{name}: {found}, not {expected}");
            }
        }
    }

    #[test]
    fn unknown_keys_of_an_optimizer_are_refused() {
        for (optimizer, key) in [
            ("{ sgd = { momentum = 0.9 } }", "momentum"),
            ("{ rms-prop = { alpha = 0.9 } }", "alpha"),
            ("{ adam = { beta = 0.9 } }", "beta"),
        ] {
            let text = format!("of = {optimizer}");
            let error = toml::from_str::<std::collections::BTreeMap<String, OptimizerConfig>>(&text);
            let error = error.unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn multipliers_of_a_layer_apply_to_every_optimizer() {
        let mut network: Network = toml::from_str(LINEAR).unwrap();
        network.fc[0].update = Update { weight_rate: 0.0, bias_rate: 2.0, ..Update::default() };
        for optimizer in [OptimizerConfig::Sgd { nesterov: false }, OptimizerConfig::Paper] {
            let found = stepped(&network, optimizer, 1);
            assert_eq!(found[0], stepped(&network, optimizer, 0)[0]);
            let plain = stepped(&toml::from_str(LINEAR).unwrap(), optimizer, 1);
            for ((start, once), twice) in [0.0f32, 0.1, 0.2].iter().zip(&plain[1]).zip(&found[1]) {
                assert!(((twice - start) - 2.0 * (once - start)).abs() < 1e-6);
            }
        }
    }
}
