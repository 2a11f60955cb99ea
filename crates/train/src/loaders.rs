//! The loaders of a run's splits.

use alexnet_data::{Draws, Loader, LoaderConfig, Split, Statistics, Upload, Views};
use burn::tensor::Device;

use crate::TrainError;
use crate::config::RunConfig;
use crate::environment::{Data, Environment};

/// Creates the loader of the training images, with their augmentation.
pub(crate) fn training_loader(
    config: &RunConfig,
    data: &Data,
    environment: &Environment,
    seed: u64,
    device: &Device,
) -> Result<Loader, TrainError> {
    let loader = LoaderConfig {
        batch_size: config.recipe.batch_size,
        side: config.network.input.size,
        padding: config.data.augmentation.crop.padding,
        mean: config.data.mean,
        scale: config.data.scale,
        upload: environment.upload,
        draws: Draws::Training { seed, augmentation: config.data.augmentation.clone() },
        workers: environment.workers,
    };
    Ok(Loader::new(data.dataset.train.clone(), &data.statistics, loader, device.clone())?)
}

/// Creates a loader of `split`, in order, that yields `views`. A batch has as many inputs as a training
/// batch, or all views of one image.
///
/// # Errors
/// If the network's input cannot be cut from the images.
pub fn evaluation_loader(
    config: &RunConfig,
    split: Split,
    statistics: &Statistics,
    views: Views,
    device: &Device,
    workers: usize,
) -> Result<Loader, TrainError> {
    let loader = LoaderConfig {
        // The views of an image stay together, so a batch has fewer images than a training batch.
        batch_size: (config.recipe.batch_size / views.count()).max(1),
        side: config.network.input.size,
        // The views of a small image are cut from its padded frame, as its training crops are.
        padding: config.data.augmentation.crop.padding,
        mean: config.data.mean,
        scale: config.data.scale,
        // There are few images, and each is uploaded once an epoch.
        upload: Upload::Floats,
        draws: Draws::Views(views),
        workers,
    };
    Ok(Loader::new(split, statistics, loader, device.clone())?)
}
