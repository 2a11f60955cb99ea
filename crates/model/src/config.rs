use alexnet_ops::{Lrn, Padding, Pool};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// A network: convolutions, then fully connected layers, each split over towers.
///
/// The last fully connected layer gives the logits; it is never split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The preset's name.
    pub name: String,
    /// The sources of the numbers.
    pub sources: Vec<String>,
    /// The images that the network takes.
    pub input: Input,
    /// The number of classes and logits.
    pub classes: usize,
    /// The number of towers that the layers are split over (Krizhevsky et al. 2012, §3.2: two).
    pub towers: usize,
    /// The nonlinearity of every `activation` stage.
    pub activation: Activation,
    /// How weights are drawn.
    #[serde(default, skip_serializing_if = "is_gaussian")]
    pub initial_weights: InitialWeights,
    /// The dropout convention that keeps the expected activation equal in training and test.
    pub dropout: DropoutConvention,
    /// The convolutional layers, first to last.
    pub conv: Vec<Convolution>,
    /// The fully connected layers, first to last.
    pub fc: Vec<FullyConnected>,
}

impl Network {
    /// Returns the network for another number of classes: the last layer has as many outputs.
    pub fn with_classes(mut self, classes: usize) -> Self {
        self.classes = classes;
        if let Some(last) = self.fc.last_mut() {
            last.units = classes;
        }
        self
    }
}

/// The images a network takes: square, `channels × size × size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Colour channels.
    pub channels: usize,
    /// Side in pixels.
    pub size: usize,
}

/// A convolutional layer and what follows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Convolution {
    /// The layer's name: `conv1` … as in the paper and in Caffe.
    pub name: String,
    /// The number of kernels over all towers.
    pub filters: usize,
    /// Side of a kernel in pixels.
    pub kernel: usize,
    /// The stride in pixels.
    pub stride: usize,
    /// Zeros around the map.
    pub padding: Padding,
    /// The towers whose maps a kernel reads. The first layer reads the image either way.
    pub reads: Reads,
    /// The number of groups that a tower's maps are split into. A kernel reads only its own group (Caffe).
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub groups: usize,
    /// Whether the kernels are the same at every position. If not, the layer is locally connected.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub shared: bool,
    /// Whether the layer's input is added to what its stages give (He et al. 2015). Both must have the same shape.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub residual: bool,
    /// The nonlinearity of this layer's `activation` stages, or `network` for the network's.
    #[serde(default, deserialize_with = "own_activation", skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// Standard deviation of the Gaussian that initializes the weights, unless `initial_weights` says otherwise.
    pub weight_std: f64,
    /// The biases' initial value.
    pub bias: f64,
    /// Multipliers of the learning rate and weight decay.
    #[serde(default)]
    pub update: Update,
    /// The stages applied to the maps, in order.
    pub stages: Vec<Stage>,
}

// Default values are omitted from files, and so from a run's identity.
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

/// Reads a layer's own activation.
fn own_activation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Activation>, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Word {
        Network,
    }
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "`network`, or an activation as the network's")]
    enum Own {
        Word(Word),
        Activation(Activation),
    }
    Ok(match Own::deserialize(deserializer)? {
        Own::Word(Word::Network) => None,
        Own::Activation(activation) => Some(activation),
    })
}

/// A fully connected layer and what follows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FullyConnected {
    /// The layer's name: `fc6` … as in the paper and in Caffe.
    pub name: String,
    /// The number of units over all towers; for the last layer, the number of classes.
    pub units: usize,
    /// The towers whose units each unit reads.
    pub reads: Reads,
    /// The nonlinearity of this layer's `activation` stages, or `network` for the network's.
    #[serde(default, deserialize_with = "own_activation", skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// Standard deviation of the Gaussian that initializes the weights, unless `initial_weights` says otherwise.
    pub weight_std: f64,
    /// The biases' initial value.
    pub bias: f64,
    /// Multipliers of the learning rate and weight decay.
    #[serde(default)]
    pub update: Update,
    /// The stages applied to the units, in order.
    pub stages: Vec<Stage>,
}

/// The towers whose outputs a layer reads (Krizhevsky et al. 2012, §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reads {
    /// The outputs of its own tower.
    Own,
    /// The outputs of all towers.
    All,
}

/// Multipliers on a layer's learning rate and weight decay.
///
/// The paper uses one for all. The authors' runs use twice the rate and no decay for biases.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// Multiplies the learning rate of the weights; zero freezes them.
    pub weight_rate: f64,
    /// Multiplies the weight decay of the weights.
    pub weight_decay: f64,
    /// Multiplies the learning rate of the biases; zero freezes them.
    pub bias_rate: f64,
    /// Multiplies the weight decay of the biases.
    pub bias_decay: f64,
    /// The share of the run's steps (0 to 1) from which the layer is frozen: neither weights nor biases
    /// change, and their velocity is not applied. The authors set both rates of conv1 to zero in about epoch
    /// 72 of 90.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen_from: Option<f64>,
}

impl Default for Update {
    /// "An equal learning rate for all layers" (Krizhevsky et al. 2012, §5).
    fn default() -> Self {
        Self { weight_rate: 1.0, weight_decay: 1.0, bias_rate: 1.0, bias_decay: 1.0, frozen_from: None }
    }
}

/// An operation on a layer's output.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The network's nonlinearity.
    Activation,
    /// Local response normalization inside each tower (Krizhevsky et al. 2012, §3.3).
    Lrn(Lrn),
    /// Local response normalization within each map, as in the author's other networks.
    SpatialLrn(Lrn),
    /// Batch normalization of each map (Ioffe & Szegedy 2015), at most once per layer.
    BatchNorm(BatchNormalization),
    /// Group normalization of each map (Wu & He 2018), at most once per layer and not beside batch normalization.
    GroupNorm(GroupNormalization),
    /// Max pooling (§3.4).
    MaxPool(Pool),
    /// Average pooling.
    AvgPool(Pool),
    /// The average of each map (Lin, Chen & Yan 2013).
    GlobalAvgPool,
    /// Dropout of this share of the units in training (§4.2).
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
            Stage::GroupNorm(_) => "group-norm",
            Stage::MaxPool(_) => "max-pool",
            Stage::AvgPool(_) => "avg-pool",
            Stage::GlobalAvgPool => "global-avg-pool",
            Stage::Dropout(_) => "dropout",
        }
    }
}

/// Batch normalization: subtracts each map's mean, divides by its standard deviation, multiplies by a learned
/// gain and adds a learned shift. Training uses the batch's mean and variance; evaluation uses running
/// averages.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchNormalization {
    /// The number added to the variance.
    pub epsilon: f64,
    /// The weight of the newest batch in the running averages.
    pub momentum: f64,
}

/// Group normalization: as batch normalization, but over the pixels of a group of maps of one image. Training and evaluation do the
/// same.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupNormalization {
    /// The number of groups that a tower's maps are split into.
    pub groups: usize,
    /// The number added to the variance.
    pub epsilon: f64,
}

/// How weights are drawn. Biases have their layer's value in any case. A normal draw takes the same random numbers as the
/// Gaussian, on another scale.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InitialWeights {
    /// From a Gaussian of each layer's `weight_std` (Krizhevsky et al. 2012, §5).
    #[default]
    Gaussian,
    /// From a Gaussian of variance gain² / inputs of a unit (He et al. 2015, equation 10). The gain is that of the layer's
    /// activation, as in PyTorch.
    KaimingNormal,
    /// Uniformly, with the same variance.
    KaimingUniform,
    /// From a Gaussian of variance 2 · gain² / (inputs + outputs) (Glorot & Bengio 2010, equation 12).
    XavierNormal,
    /// Uniformly, with the same variance (equation 16).
    XavierUniform,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
fn is_gaussian(weights: &InitialWeights) -> bool {
    *weights == InitialWeights::Gaussian
}

/// The nonlinearity (Krizhevsky et al. 2012, §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// max(0, x).
    Relu,
    /// tanh x.
    Tanh,
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// x above 0 and this slope times x below (Maas, Hannun & Ng 2013).
    LeakyRelu(f64),
    /// x above 0 and this factor times eˣ − 1 below (Clevert, Unterthiner & Hochreiter 2015).
    Elu(f64),
    /// The Gaussian error linear unit in its form with a tangent (Hendrycks & Gimpel 2016).
    Gelu,
    /// x / (1 + e⁻ˣ), also called swish (Elfwing, Uchibe & Doya 2017).
    Silu,
}

impl Activation {
    /// Returns the gain of initial weights before this activation, as PyTorch's `calculate_gain`; GELU and SiLU have that of
    /// the ReLU and ELU 1.
    pub(crate) fn gain(self) -> f64 {
        match self {
            Self::Relu | Self::Gelu | Self::Silu => std::f64::consts::SQRT_2,
            Self::LeakyRelu(slope) => (2.0 / (1.0 + slope * slope)).sqrt(),
            Self::Tanh => 5.0 / 3.0,
            Self::Sigmoid | Self::Elu(_) => 1.0,
        }
    }
}

/// The dropout convention that keeps the expected activation equal in training and test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DropoutConvention {
    /// Training drops units; test scales all units down (§4.2: "multiply by 0.5").
    #[serde(rename = "2012")]
    Paper,
    /// Training scales the kept units up; test does nothing, as in every library.
    #[serde(rename = "inverted")]
    Inverted,
}
