use alexnet_ops::Key;
use burn::module::{Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use rand_distr::{Distribution, Normal};

/// Draws parameters by name, so that a tensor's first values depend on the seed, its name and its
/// shape, and on nothing else in the network: arms of an ablation share what they can.
pub(crate) struct Initializer<'a> {
    pub(crate) seed: u64,
    pub(crate) device: &'a Device,
}

impl Initializer<'_> {
    /// Weights from a zero-mean Gaussian (Krizhevsky et al. 2012, §5).
    pub(crate) fn weight<const D: usize>(&self, name: &str, shape: [usize; D], std: f64) -> Param<Tensor<D>> {
        let mut rng = Key::new([self.seed, Key::word(name), 0, Key::word("weights")]).rng();
        let normal = Normal::new(0.0, std as f32).expect("a checked standard deviation");
        let values: Vec<f32> = normal.sample_iter(&mut rng).take(shape.iter().product()).collect();
        let values = Tensor::from_data(TensorData::new(values, shape), self.device);
        named(&format!("{name}.weight"), values)
    }

    /// Biases, all of the same value (§5).
    pub(crate) fn bias(&self, name: &str, units: usize, value: f64) -> Param<Tensor<1>> {
        named(&format!("{name}.bias"), Tensor::full([units], value, self.device))
    }
}

/// A parameter whose id is a function of its name: Burn's are random, and records hold them, so the
/// same run would leave different files.
fn named<const D: usize>(name: &str, value: Tensor<D>) -> Param<Tensor<D>> {
    let tracked = value.device().is_autodiff();
    let value = if tracked { value.require_grad() } else { value };
    Param::initialized(ParamId::from(Key::word(name)), value)
}
