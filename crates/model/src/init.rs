use alexnet_ops::Key;
use alexnet_ops::math::{Gaussian, uniform};
use burn::module::{Param, ParamId, RunningState};
use burn::nn::BatchNorm;
use burn::tensor::{Device, Tensor, TensorData};

use crate::config::{BatchNormalization, InitialWeights};
use crate::group_norm::GroupNorm;

/// A parameter that a network requests when it is built.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// The layer's name, the tower's number and the kind of parameter: `conv1.0.weight`, `.bias`; for batch and
    /// group normalization `.gain` and `.shift`; for batch normalization `.running_mean` and `.running_variance`.
    pub name: String,
    /// `[filters, channels / groups, kernel, kernel]` (locally connected:
    /// `[filters, channels, kernel², positions]`), `[inputs, units]` or `[biases]`, for this tower alone.
    pub shape: Vec<usize>,
    initial: Initial,
}

/// The initial value of a parameter (Krizhevsky et al. 2012, §5).
#[derive(Debug, Clone, Copy)]
enum Initial {
    /// Drawn from a zero-mean Gaussian with this standard deviation.
    Gaussian(f64),
    /// Drawn uniformly from −bound to bound.
    Uniform(f64),
    /// The same value for all elements.
    Constant(f64),
}

impl InitialWeights {
    /// Returns how the weights of a unit with so many inputs are drawn, in a layer with so many outputs for each input.
    fn of_layer(self, std: f64, gain: f64, [inputs, outputs]: [usize; 2]) -> Initial {
        let kaiming = gain / (inputs as f64).sqrt();
        let xavier = gain * (2.0 / (inputs + outputs) as f64).sqrt();
        match self {
            Self::Gaussian => Initial::Gaussian(std),
            Self::KaimingNormal => Initial::Gaussian(kaiming),
            Self::KaimingUniform => Initial::Uniform(3f64.sqrt() * kaiming),
            Self::XavierNormal => Initial::Gaussian(xavier),
            Self::XavierUniform => Initial::Uniform(3f64.sqrt() * xavier),
        }
    }
}

impl Parameter {
    /// Draws the initial values, as many as the shape has elements. They depend only on the seed, the name, the
    /// shape and the distribution that the config gives the layer, so the arms of an ablation share the
    /// parameters they have in common.
    pub fn draw(&self, seed: u64) -> Vec<f32> {
        let count = self.shape.iter().product();
        match self.initial {
            Initial::Constant(value) => vec![value as f32; count],
            Initial::Gaussian(std) => {
                let mut draws = Gaussian::new(self.key(seed).rng());
                (0..count).map(|_| (draws.draw() * std) as f32).collect()
            }
            Initial::Uniform(bound) => {
                let mut rng = self.key(seed).rng();
                (0..count).map(|_| (uniform(&mut rng) * bound) as f32).collect()
            }
        }
    }
}

impl Parameter {
    fn key(&self, seed: u64) -> Key {
        let layer = self.name.trim_end_matches(".weight");
        Key::new([seed, Key::word(layer), 0, Key::word("weights")])
    }
}

/// How a layer's weights are drawn.
pub(crate) struct Draw {
    pub(crate) weights: InitialWeights,
    /// The standard deviation of `gaussian`.
    pub(crate) std: f64,
    /// The gain of the others.
    pub(crate) gain: f64,
    /// Inputs of a unit, and outputs for each input as Glorot & Bengio 2010 count them: filters times kernel².
    pub(crate) fans: [usize; 2],
}

/// The source of the parameters' values.
pub(crate) struct Source<'a, E> {
    pub(crate) values: &'a mut dyn FnMut(&Parameter) -> Result<Vec<f32>, E>,
    pub(crate) device: &'a Device,
}

impl<E> Source<'_, E> {
    pub(crate) fn weight<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
        draw: &Draw,
    ) -> Result<Param<Tensor<D>>, E> {
        let initial = draw.weights.of_layer(draw.std, draw.gain, draw.fans);
        self.parameter(format!("{name}.weight"), shape, initial)
    }

    pub(crate) fn bias(&mut self, name: &str, units: usize, value: f64) -> Result<Param<Tensor<1>>, E> {
        self.parameter(format!("{name}.bias"), [units], Initial::Constant(value))
    }

    /// Builds the batch normalization of a layer's maps.
    pub(crate) fn batch_norm(
        &mut self,
        name: &str,
        feature_maps: usize,
        config: BatchNormalization,
    ) -> Result<BatchNorm, E> {
        let mut one = |kind: &str, value: f64| {
            self.parameter::<1>(format!("{name}.{kind}"), [feature_maps], Initial::Constant(value))
        };
        let (gamma, beta) = (one("gain", 1.0)?, one("shift", 0.0)?);
        let (mean, variance) = (one("running_mean", 0.0)?, one("running_variance", 1.0)?);
        // Running averages are not parameters: they are not learned.
        let state = |of: Param<Tensor<1>>| RunningState::with_id(of.id, of.val().detach());
        Ok(BatchNorm {
            gamma,
            beta,
            training: Param::from_bool(true),
            running_mean: state(mean),
            running_var: state(variance),
            momentum: config.momentum,
            epsilon: config.epsilon,
        })
    }

    /// Builds the gain and the shift of a layer's group normalization.
    pub(crate) fn group_norm(&mut self, name: &str, feature_maps: usize) -> Result<GroupNorm, E> {
        let gamma = self.parameter(format!("{name}.gain"), [feature_maps], Initial::Constant(1.0))?;
        let beta = self.parameter(format!("{name}.shift"), [feature_maps], Initial::Constant(0.0))?;
        Ok(GroupNorm { gamma, beta })
    }

    fn parameter<const D: usize>(
        &mut self,
        name: String,
        shape: [usize; D],
        initial: Initial,
    ) -> Result<Param<Tensor<D>>, E> {
        let parameter = Parameter { name, shape: shape.to_vec(), initial };
        let values = (self.values)(&parameter)?;
        let value = Tensor::from_data(TensorData::new(values, shape), self.device);
        Ok(named(&parameter.name, value))
    }
}

/// Creates a parameter whose id is derived from its name. Burn's ids are random and stored in records, so the
/// same run would write different files.
fn named<const D: usize>(name: &str, value: Tensor<D>) -> Param<Tensor<D>> {
    let tracked = value.device().is_autodiff();
    let value = if tracked { value.require_grad() } else { value };
    Param::initialized(ParamId::from(Key::word(name)), value)
}
