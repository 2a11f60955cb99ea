use alexnet_data::{Dataset, Upload};
use alexnet_model::{Network, Stage};
use alexnet_ops::{Backend, PrecisionError, Tuning, fits, fits_memory};
use alexnet_train::{LeastMemory, Placement, Reduction, RunConfig};
use anyhow::{Result, anyhow, bail};

use crate::args::MachineArgs;
use crate::gpu_kernels;

/// Returns the chosen backend, or the first of this build.
pub(crate) fn backend(chosen: Option<Backend>) -> Result<Backend> {
    let none = || anyhow!("this build has no backend; build with `--features flex`");
    gpu_kernels::keep(Tuning::default());
    match chosen {
        Some(backend) => Ok(backend),
        None => Backend::in_this_build().first().copied().ok_or_else(none),
    }
}

/// Returns the error for a device without the precision of `--precision`.
pub(crate) fn precision_missing(error: PrecisionError) -> anyhow::Error {
    anyhow!("--precision: {error}")
}

/// The longest window of local response normalization on a GPU, because kernels unroll it.
const GPU_WINDOW: usize = 16;

/// Returns the layer with the longest window of local response normalization across channels.
fn longest_lrn(network: &Network) -> Option<(&str, usize)> {
    let layers = network.conv.iter().flat_map(|layer| layer.stages.iter().map(move |stage| (layer, stage)));
    let windows = layers.filter_map(|(layer, stage)| match stage {
        Stage::Lrn(lrn) => Some((layer.name.as_str(), lrn.size)),
        _ => None,
    });
    windows.max_by_key(|(_, size)| *size)
}

/// The hardware for training: one backend, or several devices.
pub(crate) struct Machine {
    backends: Vec<Backend>,
    tuning: Tuning,
    pub(crate) placement: Placement,
}

impl Machine {
    pub(crate) fn of(args: &MachineArgs) -> Result<Self> {
        gpu_kernels::keep(args.tune);
        let backends = match args.devices.as_slice() {
            [] => vec![backend(args.one.backend)?],
            several => several.to_vec(),
        };
        if args.devices.len() == 1 {
            bail!("`--devices` takes several; for one there is `--backend`");
        }
        let devices = backends.iter().map(Backend::device).collect::<Result<_, _>>()?;
        let placement = match args.data_parallel {
            None => Placement::Towers(devices),
            Some(Reduction::First) => Placement::DataParallel(devices, Reduction::First),
            Some(Reduction::AllReduce) => {
                for (number, backend) in backends.iter().enumerate() {
                    if !backend.has_collectives() || backends[..number].contains(backend) {
                        bail!(
                            "with `--data-parallel=ddp` different CUDA devices add up gradients among themselves; \
                             `{backend}` is none, or named twice; with `--data-parallel` the first device does, whatever they are"
                        );
                    }
                }
                Placement::DataParallel(devices, Reduction::AllReduce)
            }
        };
        Ok(Self { backends, tuning: args.tune, placement })
    }

    pub(crate) fn names(&self) -> String {
        self.backends.iter().map(Backend::to_string).collect::<Vec<_>>().join(",")
    }

    pub(crate) fn divides_batches(&self) -> bool {
        matches!(self.placement, Placement::DataParallel(..))
    }

    pub(crate) fn is_processor(&self) -> bool {
        matches!(self.backends.as_slice(), [backend] if backend.is_processor())
    }

    /// Returns whether kernels are tried out before the first step.
    pub(crate) fn tunes_kernels(&self) -> bool {
        self.backends.iter().any(Backend::tunes_kernels)
    }

    /// Returns the arguments that give another process the same machine.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = match &self.placement {
            Placement::Towers(_) if self.backends.len() == 1 => vec!["--backend".to_owned(), self.names()],
            Placement::Towers(_) => vec!["--devices".to_owned(), self.names()],
            Placement::DataParallel(_, reduction) => {
                let how = match reduction {
                    Reduction::First => "--data-parallel",
                    Reduction::AllReduce => "--data-parallel=ddp",
                };
                vec!["--devices".to_owned(), self.names(), how.to_owned()]
            }
        };
        if self.tuning != Tuning::default() {
            arguments.extend(["--tune".to_owned(), self.tuning.to_string()]);
        }
        arguments
    }

    /// Checks that the devices can hold a data set's images, if they wait there.
    pub(crate) fn check_images(&self, set: &Dataset, upload: Upload) -> Result<()> {
        if upload == Upload::Once {
            let bytes = set.train.in_memory().map_or(0, <[u8]>::len);
            self.backends.iter().try_for_each(|backend| fits(backend, bytes as u64))?;
        }
        Ok(())
    }

    /// Checks before the first step that the memory that training and testing need at least is available.
    pub(crate) fn check_fits(&self, config: &RunConfig) -> Result<()> {
        self.placement.check(&config.network)?;
        self.placement.check_recipe(&config.recipe)?;
        if self.backends.iter().any(|backend| !backend.is_processor())
            && let Some((layer, size)) = longest_lrn(&config.network).filter(|(_, size)| *size > GPU_WINDOW)
        {
            bail!(
                "network.conv.{layer}: lrn.size is {size}, and kernels on GPUs take windows of up to \
                 {GPU_WINDOW}; use `--backend flex`"
            );
        }
        let least = LeastMemory::of(config)?;
        let one = self.backends.len() == 1; // several divide it in different ways
        self.backends.iter().try_for_each(|backend| {
            fits(backend, least.tensor)?;
            if one {
                fits_memory(backend, "training", least.training)?;
                fits_memory(backend, "testing", least.testing)?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_window_is_found_with_its_layer() {
        let mut network = alexnet_model::Preset::load("mini").unwrap();
        let default = longest_lrn(&network).unwrap();
        assert_eq!(default.1, 5);
        let stage = network.conv[1].stages.iter_mut().find_map(|stage| match stage {
            Stage::Lrn(lrn) => Some(lrn),
            _ => None,
        });
        stage.unwrap().size = 255;
        assert_eq!(longest_lrn(&network), Some(("conv2", 255)));
    }
}
