use alexnet_ops::{Lrn, Padding, Pool};
use serde::{Deserialize, Serialize};

/// A network: convolutions, then fully connected layers, each split over towers.
///
/// The last fully connected layer gives the logits; it is never split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The preset's name.
    pub name: String,
    /// Where each number comes from.
    pub sources: Vec<String>,
    /// What the network looks at.
    pub input: Input,
    /// How many classes it tells apart: the number of logits.
    pub classes: usize,
    /// Into how many towers the layers are split (Krizhevsky et al. 2012, §3.2: two).
    pub towers: usize,
    /// The nonlinearity of every `activation` stage.
    pub activation: Activation,
    /// How dropout keeps the expected activation equal at training and test.
    pub dropout: DropoutConvention,
    /// The convolutional layers, first to last.
    pub conv: Vec<Convolution>,
    /// The fully connected layers, first to last.
    pub fc: Vec<FullyConnected>,
}

/// The images a network takes: square, `channels × size × size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Colour channels.
    pub channels: usize,
    /// Side in pixels.
    pub size: usize,
}

/// A convolutional layer and what follows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Convolution {
    /// `conv1` … as in the paper and in Caffe.
    pub name: String,
    /// Kernels, over all towers.
    pub filters: usize,
    /// Side of a kernel in pixels.
    pub kernel: usize,
    /// Step between kernel positions in pixels.
    pub stride: usize,
    /// Zeros around the map.
    pub padding: Padding,
    /// Which towers' maps a kernel sees. The first layer sees the image either way.
    pub reads: Reads,
    /// Into how many groups a tower's maps are cut, each kernel seeing its own group's alone (Caffe).
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub groups: usize,
    /// Whether a kernel is the same at every place of the map; if not, the layer is locally connected.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub shared: bool,
    /// Standard deviation of the Gaussian the weights are drawn from.
    pub weight_std: f64,
    /// The biases' initial value.
    pub bias: f64,
    /// Multipliers of the learning rate and weight decay.
    #[serde(default)]
    pub update: Update,
    /// What is done to the maps, in this order.
    pub stages: Vec<Stage>,
}

// What is left out of a file, and so of a run's identity, where it is the usual.
fn one() -> usize {
    1
}

fn is_one(groups: &usize) -> bool {
    *groups == 1
}

fn yes() -> bool {
    true
}

fn is_yes(shared: &bool) -> bool {
    *shared
}

/// A fully connected layer and what follows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FullyConnected {
    /// `fc6` … as in the paper and in Caffe.
    pub name: String,
    /// Units, over all towers; for the last layer, the number of classes.
    pub units: usize,
    /// Which towers' units each unit sees.
    pub reads: Reads,
    /// Standard deviation of the Gaussian the weights are drawn from.
    pub weight_std: f64,
    /// The biases' initial value.
    pub bias: f64,
    /// Multipliers of the learning rate and weight decay.
    #[serde(default)]
    pub update: Update,
    /// What is done to the units, in this order.
    pub stages: Vec<Stage>,
}

/// Which towers' outputs a layer takes in (Krizhevsky et al. 2012, §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reads {
    /// Those of its own tower.
    Own,
    /// Those of all towers.
    All,
}

/// Multipliers on a layer's learning rate and weight decay.
///
/// The paper as written: all one. The authors' runs: biases at twice the rate and without decay.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// On the learning rate of the weights; zero freezes them.
    pub weight_rate: f64,
    /// On the weight decay of the weights.
    pub weight_decay: f64,
    /// On the learning rate of the biases; zero freezes them.
    pub bias_rate: f64,
    /// On the weight decay of the biases.
    pub bias_decay: f64,
    /// From this share of the run's steps on, 0 to 1, neither weights nor biases change, and what velocity they have
    /// is not applied: as when the authors set both rates of conv1 to zero in about epoch 72 of 90.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen_from: Option<f64>,
}

impl Default for Update {
    /// "An equal learning rate for all layers" (Krizhevsky et al. 2012, §5).
    fn default() -> Self {
        Self { weight_rate: 1.0, weight_decay: 1.0, bias_rate: 1.0, bias_decay: 1.0, frozen_from: None }
    }
}

/// One thing done to a layer's output.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The network's nonlinearity.
    Activation,
    /// Local response normalization inside each tower (Krizhevsky et al. 2012, §3.3).
    Lrn(Lrn),
    /// Local response normalization within each map, as in the author's other networks.
    SpatialLrn(Lrn),
    /// Batch normalization of each map (Ioffe & Szegedy 2015), once a layer.
    BatchNorm(BatchNormalization),
    /// Max pooling (§3.4).
    MaxPool(Pool),
    /// Average pooling.
    AvgPool(Pool),
    /// Dropout of this share of the units during training (§4.2).
    Dropout(f64),
}

impl Stage {
    /// The stage's name in a config file.
    pub fn name(&self) -> &'static str {
        match self {
            Stage::Activation => "activation",
            Stage::Lrn(_) => "lrn",
            Stage::SpatialLrn(_) => "spatial-lrn",
            Stage::BatchNorm(_) => "batch-norm",
            Stage::MaxPool(_) => "max-pool",
            Stage::AvgPool(_) => "avg-pool",
            Stage::Dropout(_) => "dropout",
        }
    }
}

/// Batch normalization: each map less its mean, over its standard deviation, times a gain, plus a shift, both learned.
/// In training mean and variance are the batch's, else running averages.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchNormalization {
    /// Added to the variance.
    pub epsilon: f64,
    /// The share of the newest batch in the running averages.
    pub momentum: f64,
}

/// The nonlinearity (Krizhevsky et al. 2012, §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// max(0, x).
    Relu,
    /// tanh x.
    Tanh,
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
}

/// How dropout keeps the expected activation equal at training and test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DropoutConvention {
    /// Units are dropped at training and all are scaled down at test (§4.2: "multiply by 0.5").
    #[serde(rename = "2012")]
    Paper,
    /// The units kept are scaled up at training and nothing is done at test, as in every library.
    #[serde(rename = "inverted")]
    Inverted,
}
