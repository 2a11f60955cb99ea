use alexnet_ops::Key;
use alexnet_ops::math::Gaussian;
use burn::module::{Param, ParamId, RunningState};
use burn::nn::BatchNorm;
use burn::tensor::{Device, Tensor, TensorData};

use crate::config::BatchNormalization;

/// A parameter that a network requests when it is built.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// The layer's name, the tower's number and the kind of parameter: `conv1.0.weight`, `.bias`; for batch
    /// normalization `.gain`, `.shift`, `.running_mean`, `.running_variance`.
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
    /// The same value for all elements.
    Constant(f64),
}

impl Parameter {
    /// Draws the initial values. They depend only on the seed, the name and the shape, so the arms of an
    /// ablation share the parameters they have in common.
    pub fn draw(&self, seed: u64) -> Vec<f32> {
        let count = self.shape.iter().product();
        match self.initial {
            Initial::Constant(value) => vec![value as f32; count],
            Initial::Gaussian(std) => {
                let layer = self.name.trim_end_matches(".weight");
                let rng = Key::new([seed, Key::word(layer), 0, Key::word("weights")]).rng();
                let mut draws = Gaussian::new(rng);
                (0..count).map(|_| (draws.draw() * std) as f32).collect()
            }
        }
    }
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
        std: f64,
    ) -> Result<Param<Tensor<D>>, E> {
        self.parameter(format!("{name}.weight"), shape, Initial::Gaussian(std))
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
