//! A scale for images that no scale was written for: sizes and recipe follow from their number.

use std::collections::BTreeMap;
use std::path::Path;

use alexnet_config::{ConfigError, check_name};
use alexnet_data::{Augmentation, Colour, ColourReading, Crop, MeanKind, PixelScale, Views};
use alexnet_model::Preset;
use alexnet_ops::Precision;
use alexnet_train::{
    DataConfig, Evaluation, FinalWeights, Mixing, OptimizerConfig, Recipe, Schedule, TrainingError,
};
use toml::Value;

use crate::Scale;

/// The updates of a training from drawn weights, and of one from trained weights.
const UPDATES: [usize; 2] = [3000, 600];

/// The fewest and the most epochs of each.
const EPOCHS: [[usize; 2]; 2] = [[5, 120], [2, 20]];

/// The number of images up to which batches are small, so that an epoch has enough updates.
const FEW_IMAGES: usize = 10_000;

/// The preset, and the side of its input, if no network is asked for: small enough for a processor.
const NETWORK: (&str, usize) = ("cifar10", 64);

/// The name that this network then has, since its input is another than the preset's.
pub const SMALL: &str = "small";

/// Images of one's own, and what they are to be trained with.
#[derive(Debug, Clone)]
pub struct OwnImages {
    /// Their name, which runs' names contain.
    pub name: String,
    /// The number of classes.
    pub classes: usize,
    /// The number of images that are trained on, about.
    pub images: usize,
    /// A preset's name or the path of a network's file; absent: a small network.
    pub network: Option<String>,
    /// The side of the network's input; absent: the network's own, or 64 for the small network.
    pub side: Option<usize>,
    /// Whether the training begins with trained weights.
    pub from_weights: bool,
}

impl OwnImages {
    /// Returns the scale. The network has an output for each class.
    ///
    /// # Errors
    /// If there is no such network.
    pub fn scale(&self) -> Result<Scale, ConfigError> {
        check_name("data set", &self.name)?;
        let network = self.network.as_deref().unwrap_or(NETWORK.0);
        let preset = Preset::load(network)?;
        let own_side = if self.network.is_none() { NETWORK.1 } else { preset.input.size };
        let side = self.side.unwrap_or(own_side);
        let number = |number: usize| Value::Integer(number as i64);
        let mut set = BTreeMap::from([
            ("network.input.size".to_owned(), number(side)),
            ("network.classes".to_owned(), number(self.classes)),
        ]);
        if self.network.is_none() {
            set.insert("network.name".to_owned(), Value::String(SMALL.to_owned()));
        }
        if let Some(last) = preset.fc.last() {
            set.insert(format!("network.fc.{}.units", last.name), number(self.classes));
        }
        // Ablations with different networks or sizes lie in different folders.
        let parts = [
            Some(self.name.clone()),
            self.network.as_deref().map(stem),
            self.side.map(|side| side.to_string()),
        ];
        let name: Vec<String> = parts.into_iter().flatten().collect();
        Ok(Scale {
            name: name.join("-"),
            about: "images of your own".to_owned(),
            network: network.to_owned(),
            seeds: 5,
            like: Some(network.to_owned()),
            set,
            data: DataConfig {
                set: self.name.clone(),
                size: resized(side),
                mean: MeanKind::Image,
                scale: PixelScale::default(),
                classes: Vec::new(),
                labelled: 0,
                augmentation: Augmentation {
                    crop: Crop { random: true, padding: 0 },
                    flip: 0.5,
                    shared_by: 1,
                    steps: Vec::new(),
                    colour: Colour { std: 0.0, reading: ColourReading::StandardDeviation, rescale: true },
                },
            },
            recipe: self.recipe(),
            evaluation: Evaluation { views: Views::Centre },
        })
    }

    /// The paper's momentum and weight decay (§5); epochs by a number of updates; a rate that falls along a cosine, since
    /// there is no time to wait for plateaus.
    fn recipe(&self) -> Recipe {
        let kind = usize::from(self.from_weights);
        let batch_size = if self.images <= FEW_IMAGES { 32 } else { 128 };
        let epochs = (UPDATES[kind] * batch_size).div_ceil(self.images.max(1));
        Recipe {
            epochs: epochs.clamp(EPOCHS[kind][0], EPOCHS[kind][1]),
            batch_size,
            learning_rate: if self.from_weights { 0.001 } else { 0.005 },
            momentum: 0.9,
            weight_decay: 0.0005,
            schedule: Schedule::Cosine { final_share: 0.02 },
            warmup_steps: 0,
            final_weights: FinalWeights::Last,
            training_error: TrainingError { images: 0, stop_at: 0.0, every_steps: 0 },
            early_stopping: 0,
            optimizer: OptimizerConfig::Paper,
            clip_gradients: 0.0,
            average_weights: 0.0,
            label_smoothing: 0.0,
            mixing: Mixing::None,
            precision: Precision::Device,
        }
    }
}

/// Returns the name of a preset, or of a network's file.
fn stem(network: &str) -> String {
    Path::new(network).file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Returns the size to which images are scaled for inputs of `side` pixels: as 256 is to 224 (Krizhevsky et al. 2012,
/// §4.1), rounded down to a multiple of 4.
pub fn resized(side: usize) -> usize {
    (side.saturating_mul(8) / 7 / 4 * 4).max(side)
}

#[cfg(test)]
mod tests {
    use alexnet_config::Diff;

    use super::*;

    fn images(images: usize, network: Option<&str>, from_weights: bool) -> OwnImages {
        OwnImages {
            name: "mine".to_owned(),
            classes: 3,
            images,
            network: network.map(str::to_owned),
            side: None,
            from_weights,
        }
    }

    #[test]
    fn sizes_are_to_inputs_as_in_the_paper() {
        assert_eq!([224, 64, 32, 28, 1].map(resized), [256, 72, 36, 32, 1]);
    }

    /// docs/data.md quotes the numbers above.
    #[test]
    fn the_document_has_these_numbers() {
        let [[least, most], [least_from, most_from]] = EPOCHS;
        let document = include_str!("../../../docs/data.md");
        for text in [
            format!("about {},000 updates ({} with `--from`)", UPDATES[0] / 1000, UPDATES[1]),
            format!("{least} to {most} epochs ({least_from} to {most_from})"),
            format!("batches of 32 (128 above {},000 images)", FEW_IMAGES / 1000),
            format!(
                "rate {} ({})",
                images(9, None, false).recipe().learning_rate,
                images(9, None, true).recipe().learning_rate
            ),
            format!("`{}` with inputs of {} pixels", NETWORK.0, NETWORK.1),
        ] {
            assert!(document.contains(&text), "no `{text}`");
        }
    }

    #[test]
    fn networks_fit_the_classes_and_recipes_the_number_of_images() {
        for (own, network, size, epochs) in [
            (images(400, None, false), "small", 72, 120),
            (images(1_600, None, false), "small", 72, 60),
            (images(500_000, None, false), "small", 72, 5),
            (images(1_600, Some("torchvision"), true), "torchvision", 256, 12),
            (images(1_600, Some("alexnet-2012"), false), "alexnet-2012", 256, 60),
        ] {
            let config = own.scale().unwrap().config(&Diff::default()).unwrap();
            assert_eq!((config.network.name.as_str(), config.data.size), (network, size));
            assert_eq!((config.network.classes, config.network.fc.last().unwrap().units), (3, 3));
            assert_eq!(config.recipe.epochs, epochs);
            config.network.trace().unwrap();
        }
        assert!(images(9, Some("nothing"), false).scale().is_err());
        let named = OwnImages { side: Some(96), ..images(9, Some("alexnet-2012"), false) };
        assert_eq!(named.scale().unwrap().name, "mine-alexnet-2012-96");
    }
}
