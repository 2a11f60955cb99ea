use alexnet_data::{Augmentation, Dataset, MeanKind, PixelScale, Views};
use alexnet_model::{Network, Trace, Update};
use alexnet_ops::{Implementation, Precision, SimdLevel};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::TrainError;
use crate::mixing::{Mixing, Objective};
use crate::provenance::RESULTS;
use crate::rule::{OptimizerConfig, UpdateRule};
use crate::schedule::Schedule;

/// Everything that determines a run, except its seed and the images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The network.
    pub network: Network,
    /// The data and its preprocessing.
    pub data: DataConfig,
    /// The training recipe.
    pub recipe: Recipe,
    /// The initial weights.
    #[serde(default)]
    pub initial: Initial,
    /// The test of the final weights. It is not part of a run's identity.
    pub evaluation: Evaluation,
}

/// The data and its preprocessing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The data set's name, or the path of its manifest.
    pub set: String,
    /// The side in pixels to which images are scaled, on their shorter side, and cut to the centre square, instead of the
    /// manifest's. Prepared images keep theirs. 0: the manifest's.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub size: usize,
    /// The mean that is subtracted from the pixels.
    pub mean: MeanKind,
    /// The range of the pixel values that the network receives; 0–255 by default.
    #[serde(default)]
    pub scale: PixelScale,
    /// The classes to use, by their index in the data set, in the order of their labels; empty for all.
    #[serde(default)]
    pub classes: Vec<usize>,
    /// The number of labelled training images per class and the maximum number of validation images per
    /// class, drawn with the run's seed. Other images are not used for training, but the mean, which needs no
    /// labels, covers all. 0 for all.
    #[serde(default)]
    pub labelled: usize,
    /// The augmentation of training images.
    pub augmentation: Augmentation,
}

/// The initial weights.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Initial {
    /// The source of the weights. Empty: all weights are drawn (Krizhevsky et al. 2012, §5). `source`, in an
    /// ablation: the weights of its source. Otherwise, the identity of a run, or the SHA-256 of a file with a
    /// checksum of the image preprocessing.
    pub weights: String,
    /// The layers that are drawn nevertheless, such as a head for other classes.
    pub anew: Vec<String>,
}

/// A training recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The number of passes over the training split.
    pub epochs: usize,
    /// The number of samples per step (Krizhevsky et al. 2012, §5: 128).
    pub batch_size: usize,
    /// The initial learning rate, before any schedule (§5: 0.01).
    pub learning_rate: f64,
    /// The rule by which gradients change weights (§5: `paper`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub optimizer: OptimizerConfig,
    /// The momentum (§5: 0.9).
    pub momentum: f64,
    /// The weight decay (§5: 0.0005).
    pub weight_decay: f64,
    /// The learning rate schedule.
    pub schedule: Schedule,
    /// The number of steps over which the learning rate rises linearly from zero; 0 for none, and with a one-cycle schedule.
    pub warmup_steps: usize,
    /// The epoch whose weights are the final ones.
    pub final_weights: FinalWeights,
    /// The measurement of the error on training images in evaluation mode, if enabled.
    pub training_error: TrainingError,
    /// The number of epochs without a lower validation error after which training ends; 0 for never. With `final_weights =
    /// "best"` the final weights are those before these epochs.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub early_stopping: usize,
    /// The norm of all gradients together above which they are scaled down to it (Pascanu, Mikolov & Bengio 2012); 0 for never.
    #[serde(default, skip_serializing_if = "is_default")]
    pub clip_gradients: f64,
    /// The share of the past in an exponential moving average of the weights, which is validated and tested in their place; 0 for
    /// none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub average_weights: f64,
    /// The share of the target that is spread over all classes (Szegedy et al. 2015, §7); 0 for none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub label_smoothing: f64,
    /// How training images are mixed in pairs, with their targets.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mixing: Mixing,
    /// The precision of the layers' products, forward and backward.
    #[serde(default, skip_serializing_if = "is_default")]
    pub precision: Precision,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Recipe {
    /// Returns the rule by which gradients change weights.
    pub fn rule(&self) -> UpdateRule {
        let (optimizer, momentum, weight_decay) = (self.optimizer, self.momentum, self.weight_decay);
        UpdateRule { optimizer, momentum, weight_decay }
    }

    pub(crate) fn objective(&self) -> Objective {
        Objective { smoothing: self.label_smoothing, mixing: self.mixing }
    }

    /// Returns whether training ends early after `epoch`, if the lowest validation error so far is that of epoch `best`.
    pub(crate) fn ends_early(&self, epoch: usize, best: usize) -> bool {
        self.early_stopping > 0 && epoch.saturating_sub(best) >= self.early_stopping
    }
}

/// The epoch whose weights are the final ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FinalWeights {
    /// The last epoch.
    Last,
    /// The epoch with the lowest validation error. On a tie, the earliest.
    Best,
}

/// A pass in evaluation mode over the first training images after each epoch, or every few steps (figure 1's protocol).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainingError {
    /// The number of images; 0 disables the pass.
    pub images: usize,
    /// The error, a fraction, at or below which training ends; 0 for never. It needs `images`.
    pub stop_at: f64,
    /// The number of steps between passes; 0 for a pass after each epoch.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub every_steps: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl TrainingError {
    /// Returns whether training ends at such an error.
    pub(crate) fn ends_at(&self, error: f64) -> bool {
        self.stop_at > 0.0 && error <= self.stop_at
    }

    /// Returns whether there is a pass after this number of steps, which are not an epoch's last.
    pub(crate) fn is_due(&self, steps: usize) -> bool {
        self.every_steps > 0 && steps.is_multiple_of(self.every_steps)
    }
}

/// The test of the final weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// The views whose softmax outputs are averaged.
    pub views: Views,
}

impl RunConfig {
    /// Checks that the config is consistent and fits the data.
    ///
    /// # Errors
    /// If a value is invalid; the error names its key.
    pub fn check(&self, data: &Dataset) -> Result<Trace, TrainError> {
        let data = &data.part(&self.data.classes, self.data.labelled, 0)?;
        let error = |key, problem: String| TrainError::Config { key, problem };
        let (network, recipe) = (&self.network, &self.recipe);
        if network.classes != data.classes.len() {
            return Err(TrainError::Classes {
                name: data.name.clone(),
                network: network.classes,
                data: data.classes.len(),
                layer: network.fc.last().map_or("fc8", |layer| layer.name.as_str()).to_owned(),
            });
        }
        if network.input.channels != data.channels {
            return Err(error(
                "network.input.channels",
                format!(
                    "the network takes {} channel(s) and `{}` has {}",
                    network.input.channels, data.name, data.channels
                ),
            ));
        }
        if self.data.size > 0 && self.data.size != data.size && data.prepared.is_none() {
            return Err(error(
                "data.size",
                format!(
                    "{}, and the images were scaled to {}, as for the base or the first run",
                    self.data.size, data.size
                ),
            ));
        }
        let padding = self.data.augmentation.crop.padding;
        if padding >= network.input.size {
            return Err(error(
                "data.augmentation.crop.padding",
                format!("{padding} leaves inputs of {} without a pixel of the image", network.input.size),
            ));
        }
        let padded = data.size + 2 * padding;
        if network.input.size > padded {
            return Err(error(
                "network.input.size",
                format!(
                    "inputs of {} pixels cannot be cut from images of {} padded to {padded}",
                    network.input.size, data.size,
                ),
            ));
        }
        let flip = self.data.augmentation.flip;
        if !(0.0..=1.0).contains(&flip) {
            return Err(error("data.augmentation.flip", format!("{flip} is not a share of 0 to 1")));
        }
        if self.data.augmentation.shared_by == 0 {
            return Err(error("data.augmentation.shared_by", "must be at least 1".to_owned()));
        }
        let steps = self.data.augmentation.steps.iter();
        if let Some(problem) = steps.filter_map(|step| step.check().err()).next() {
            return Err(error("data.augmentation.steps", problem));
        }
        let std = self.data.augmentation.colour.std;
        if !(std >= 0.0 && std.is_finite()) {
            return Err(error(
                "data.augmentation.colour.std",
                format!("{std} must be finite and at least 0"),
            ));
        }
        let updates = network.conv.iter().map(|layer| (&layer.name, layer.update));
        for (layer, update) in updates.chain(network.fc.iter().map(|fc| (&fc.name, fc.update))) {
            if let Some(share) = update.frozen_from.filter(|share| !(0.0..=1.0).contains(share)) {
                let problem = format!("{share} in layer `{layer}` is not a share of the run, 0 to 1");
                return Err(error("update.frozen_from", problem));
            }
            let Update { weight_rate, weight_decay, bias_rate, bias_decay, .. } = update;
            let factors = [weight_rate, weight_decay, bias_rate, bias_decay];
            if let Some(factor) = factors.into_iter().find(|factor| !(*factor >= 0.0 && factor.is_finite())) {
                let problem = format!("{factor} in layer `{layer}` must be finite and at least 0");
                return Err(error("update", problem));
            }
        }
        if let ([layer, ..], "") = (self.initial.anew.as_slice(), self.initial.weights.as_str()) {
            return Err(error("initial.anew", format!("`{layer}` is drawn anyway: no weights are given")));
        }
        if recipe.epochs == 0 {
            return Err(error("recipe.epochs", "must be at least 1".to_owned()));
        }
        if data.train.len().checked_mul(recipe.epochs).is_none() {
            return Err(error("recipe.epochs", format!("{} are too many to count", recipe.epochs)));
        }
        if recipe.batch_size == 0 {
            return Err(error("recipe.batch_size", "must be at least 1".to_owned()));
        }
        for (key, value) in [
            ("recipe.learning_rate", recipe.learning_rate),
            ("recipe.momentum", recipe.momentum),
            ("recipe.weight_decay", recipe.weight_decay),
            ("recipe.training_error.stop_at", recipe.training_error.stop_at),
            ("recipe.clip_gradients", recipe.clip_gradients),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(error(key, format!("{value} must be finite and at least 0")));
            }
        }
        let TrainingError { images, every_steps, stop_at } = recipe.training_error;
        for (key, is_set) in [
            ("recipe.training_error.every_steps", every_steps > 0),
            ("recipe.training_error.stop_at", stop_at > 0.0),
        ] {
            if is_set && images == 0 {
                return Err(error(
                    key,
                    "needs `recipe.training_error.images`, the images of a pass".to_owned(),
                ));
            }
        }
        for (key, share) in [
            ("recipe.average_weights", recipe.average_weights),
            ("recipe.label_smoothing", recipe.label_smoothing),
        ] {
            if !(0.0..1.0).contains(&share) {
                return Err(error(key, format!("{share} must be at least 0 and below 1")));
            }
        }
        recipe.optimizer.check().map_err(|problem| error("recipe.optimizer", problem))?;
        recipe.mixing.check().map_err(|problem| error("recipe.mixing", problem))?;
        recipe.schedule.check().map_err(|problem| error("recipe.schedule", problem))?;
        if recipe.warmup_steps > 0 && matches!(recipe.schedule, Schedule::OneCycle { .. }) {
            let problem = "must be 0 with a one-cycle schedule, which begins with its own warm-up";
            return Err(error("recipe.warmup_steps", problem.to_owned()));
        }
        Ok(network.trace()?)
    }

    /// Returns why this config has no effect of its own on images with `channels`. Such an arm is shown as
    /// not applicable.
    pub fn inert(&self, channels: usize) -> Option<&'static str> {
        (channels == 1 && self.data.augmentation.colour.std > 0.0)
            .then_some("colour noise needs colour: these images are grey")
    }

    /// Returns the name of a run: a hash, in hexadecimal, of [`RESULTS`], the form of the operations,
    /// network, data, recipe, initial weights and seed, and of the arithmetic where the processor has no fused
    /// multiply-add. It does not depend on the network's name and sources, the backend, the machine otherwise,
    /// paths, or the test of the final weights.
    pub fn identity(&self, data: &Dataset, seed: u64, operations: Implementation) -> String {
        self.identity_on(&data.name, &data.checksum, seed, operations)
    }

    fn identity_on(&self, data: &str, checksum: &str, seed: u64, operations: Implementation) -> String {
        let network = Network { name: String::new(), sources: Vec::new(), ..self.network.clone() };
        let mut parts = serde_json::json!({
            "results": RESULTS,
            "operations": operations.to_string(),
            "network": network,
            "data": {
                "name": data,
                "checksum": checksum,
                "mean": self.data.mean,
                "augmentation": self.data.augmentation,
            },
            "recipe": self.recipe,
            "seed": seed,
        });
        // Keys that were added later are left out at their default values, so that existing runs keep their
        // names.
        if self.data.scale != PixelScale::default() {
            parts["data"]["scale"] = serde_json::json!(self.data.scale);
        }
        if self.data.augmentation.shared_by == 1
            && let Some(augmentation) = parts["data"]["augmentation"].as_object_mut()
        {
            augmentation.remove("shared_by");
        }
        if !self.data.classes.is_empty() {
            parts["data"]["classes"] = serde_json::json!(self.data.classes);
        }
        if self.data.size > 0 {
            parts["data"]["size"] = serde_json::json!(self.data.size);
        }
        if self.data.labelled > 0 {
            parts["data"]["labelled"] = serde_json::json!(self.data.labelled);
        }
        if operations != Implementation::Composed && !SimdLevel::current().is_fused() {
            parts["arithmetic"] = serde_json::json!("no-fma");
        }
        if self.initial != Initial::default() {
            parts["initial"] = serde_json::json!(self.initial);
        }
        alexnet_data::hex(&Sha256::digest(parts.to_string())[..6])
    }
}

#[cfg(test)]
mod tests;
