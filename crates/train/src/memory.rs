//! The memory of a run: a lower bound, and the measured peak where the system reports it.

use std::fs;

use crate::TrainError;
use crate::config::RunConfig;

/// A lower bound, in bytes, on the memory that a run needs on every backend. A run uses more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeastMemory {
    /// A training step: the weights, velocities and gradients, and a batch's inputs and layer outputs, which
    /// the backward pass needs.
    pub training: u64,
    /// A forward pass of a test: the weights, the inputs of a batch, and the largest layer output for one
    /// forward pass.
    pub testing: u64,
    /// The largest tensor of both.
    pub tensor: u64,
}

impl LeastMemory {
    /// Computes the bound for a run of `config`, tested with its views.
    ///
    /// # Errors
    /// If the network's layers do not fit together.
    pub fn of(config: &RunConfig) -> Result<Self, TrainError> {
        let trace = config.network.trace()?;
        let (batch, views) = (config.recipe.batch_size, config.evaluation.views.count());
        let loaded = (batch / views).max(1).saturating_mul(views);
        let kept = trace.layers.iter().map(|layer| {
            let side = layer.stages.last().map_or(layer.side, |stage| stage.side);
            layer.outputs * layer.towers * side * side
        });
        let kept = kept.fold(trace.input, usize::saturating_add);
        let inputs = |inputs: usize| trace.input.saturating_mul(inputs);
        let forwarded = batch.min(loaded);
        let bytes = |numbers: usize| (numbers as u64).saturating_mul(4);
        Ok(Self {
            training: bytes(trace.parameters().saturating_mul(3).saturating_add(batch.saturating_mul(kept))),
            testing: bytes(
                trace
                    .parameters()
                    .saturating_add(inputs(loaded))
                    .saturating_add(trace.largest_output(forwarded)),
            ),
            tensor: bytes(trace.largest_tensor(batch).max(inputs(loaded))),
        })
    }
}

/// Returns the largest resident set size of the process so far, in bytes.
pub fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Resets the peak to the current resident set size.
pub(crate) fn forget_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5"); // only Linux has it
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AlexNet with 128 images: 61 million weights, 83 MB of inputs of 227 pixels, and the layer outputs.
    #[test]
    fn training_and_testing_need_at_least_what_is_certain() {
        let config = |batch: usize, views: &str| -> RunConfig {
            let preset =
                alexnet_model::Preset::ALL.iter().find(|preset| preset.name == "alexnet-2012").unwrap();
            let rest = format!(
                r#"
                [data]
                set = "a-set"
                mean = "image"
                augmentation = {{ crop = {{ random = true, padding = 0 }}, flip = 0.5, shared_by = 1, colour = {{ std = 0.1, reading = "standard-deviation", rescale = true }} }}
                [recipe]
                epochs = 1
                batch_size = {batch}
                learning_rate = 0.01
                momentum = 0.9
                weight_decay = 0.0005
                schedule = {{ cosine = {{ final_share = 0.02 }} }}
                warmup_steps = 0
                final_weights = "last"
                training_error = {{ images = 0, stop_at = 0.0 }}
                [evaluation]
                views = "{views}"
                "#
            );
            let mut all: toml::Table = toml::from_str(&rest).unwrap();
            all.insert("network".to_owned(), toml::from_str(preset.toml).unwrap());
            all.try_into().unwrap()
        };
        let of = |batch: usize, views: &str| LeastMemory::of(&config(batch, views)).unwrap();
        let (centre, ten) = (of(128, "centre"), of(128, "ten"));
        let weights = 4 * 60_965_224;
        assert!(centre.training > 3 * weights && centre.training < 5 * weights, "{centre:?}");
        assert!(centre.testing > weights && centre.testing < centre.training, "{centre:?}");
        // Twelve images with ten views are at most as many inputs as a training batch.
        assert!(ten.testing <= centre.testing && ten.tensor == centre.tensor, "{ten:?} {centre:?}");
        assert!(of(4, "ten").testing > of(4, "centre").testing, "the views of one image come together");
        assert!(of(1 << 40, "centre").training > 1 << 58);
    }
}
