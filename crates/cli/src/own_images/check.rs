//! Checks of images of one's own before the first image is decoded.

use std::path::Path;

use alexnet_config::Diff;
use alexnet_data::{Prepared, is_prepared};
use alexnet_study::{OwnImages, resized};
use alexnet_train::RunConfig;
use anyhow::{Result, bail};

/// The largest input that is proposed.
const LARGEST_SIDE: usize = 512;

/// Refuses an input that is too small for the network, and names the smallest that fits.
pub(super) fn check_side(images: &OwnImages, config: &RunConfig) -> Result<()> {
    let Err(error) = config.network.trace() else { return Ok(()) };
    let fits = |side: &usize| {
        let scale = OwnImages { side: Some(*side), ..images.clone() }.scale();
        let config = scale.and_then(|scale| scale.config(&Diff::default()));
        config.is_ok_and(|config| config.network.trace().is_ok())
    };
    let smallest = (config.network.input.size..=LARGEST_SIDE).find(fits);
    match smallest {
        Some(smallest) => {
            bail!("`--size {}`: {error}; the smallest that fits is {smallest}", config.network.input.size)
        }
        None => Err(error.into()),
    }
}

/// Refuses prepared images of a size that does not fit the network's input.
pub(super) fn check_prepared(data: &Path, config: &RunConfig) -> Result<()> {
    if !is_prepared(data) {
        return Ok(());
    }
    let (side, size) = (config.network.input.size, Prepared::read(data)?.size);
    if size < side || size > 2 * side {
        let given = data.display();
        bail!(
            "--data {given}: prepared with {size} pixels, and inputs of network `{}` have {side}; name a network whose \
             inputs fit (`experiments train --data {given} --network alexnet-2012` takes 224 of 256 pixels), or prepare the \
             images with `--size {}`",
            config.network.name,
            resized(side),
        );
    }
    Ok(())
}

/// Refuses a folder of runs within the images, since the next training would take its pictures for images.
pub(crate) fn check_out(data: Option<&Path>, out: &Path) -> Result<()> {
    let Some(data) = data.filter(|data| data.is_dir()) else { return Ok(()) };
    let nearest = out.ancestors().find_map(|folder| match folder.as_os_str().is_empty() {
        true => std::env::current_dir().ok(),
        false => folder.canonicalize().ok(),
    });
    if nearest.zip(data.canonicalize().ok()).is_some_and(|(out, data)| out.starts_with(data)) {
        bail!(
            "--out {}: lies in the folder of the images, {}; choose another with `--out`",
            out.display(),
            data.display()
        );
    }
    Ok(())
}
