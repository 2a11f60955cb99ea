//! The scale for images that are given without one.

mod check;
mod describe;

use std::path::Path;

use alexnet_config::{BuiltIn, Diff};
use alexnet_data::{Dataset, is_image, name_of_images};
use alexnet_model::{Network, Preset};
use alexnet_study::{OwnImages, SMALL, Scale};
use anyhow::{Result, anyhow, bail};

pub(crate) use check::check_out;
use check::{check_prepared, check_side};
pub(crate) use describe::describe;

use crate::args::OwnArgs;
use crate::data_sets::identify_themselves;
use crate::loaded;
use crate::output::note;
use crate::program::program;

/// How images are laid out.
const LAID_OUT: &str = "give a folder or an archive with a folder for each class, FOLDER/<class>/photo.jpg";

/// A scale, and what a training at it begins with.
pub(crate) struct Chosen {
    pub(crate) scale: Scale,
    /// The layers that begin with random weights, although the others begin with trained ones.
    pub(crate) anew: Vec<String>,
}

/// Returns the scale of a command: the named one, or one that fits the images.
pub(crate) fn scale(
    name: Option<&str>,
    data: Option<&Path>,
    own: &OwnArgs,
    from: Option<&Path>,
) -> Result<Chosen> {
    match (name, data) {
        (Some(name), _) => {
            if (own.network.is_some() || own.size.is_some()) && data.is_none() {
                bail!("`--network` and `--size` are for images of your own; give them with `--data FOLDER`");
            }
            if own.network.is_some() || own.size.is_some() {
                bail!(
                    "`--network` and `--size` are for images without a scale, and scale `{name}` has its own; \
                     leave the scale out, or change it with `--set`"
                );
            }
            let scale = Scale::load(program().scales, name);
            let path = Path::new(name);
            if scale.is_err() && path.is_dir() {
                bail!("{name} is a folder, not a scale; images are given with `--data {name}`");
            }
            if scale.is_err() && path.is_file() && Preset::load(name).is_ok() {
                bail!(
                    "{name} is a network, not a scale; train it on your own images with `--network {name} --data FOLDER`, or \
                     name it in a scale (`network = \"{name}\"`)"
                );
            }
            Ok(Chosen { scale: scale?, anew: Vec::new() })
        }
        (None, Some(data)) => fitting(data, own, from),
        (None, None) => bail!(
            "give a scale ({}) or your own images, `--data FOLDER`",
            program().scales.iter().map(|scale| scale.name).collect::<Vec<_>>().join(", ")
        ),
    }
}

fn fitting(data: &Path, own: &OwnArgs, from: Option<&Path>) -> Result<Chosen> {
    let given = data.display();
    if !data.exists() {
        bail!("--data {given}: no such file or folder");
    }
    if data.is_file() && is_image(&given.to_string()) {
        bail!("--data {given}: one image; {LAID_OUT}");
    }
    if !identify_themselves(data) {
        bail!(
            "--data {given}: MNIST's or CIFAR's files; give a scale for them, one of {}",
            program().scales.iter().map(|scale| scale.name).collect::<Vec<_>>().join(", ")
        );
    }
    let opened = Dataset::open_split(data, None, true);
    let (split, classes, ..) = opened.map_err(|error| anyhow!("{error}; {LAID_OUT}"))?;
    if classes.len() < 2 {
        bail!("--data {given}: only one class, and at least two are needed; {LAID_OUT}");
    }
    let mut name = name_of_images(data);
    if program().data_sets.iter().chain(program().scales).any(|known: &BuiltIn| known.name == name) {
        name = format!("my-{name}");
    }
    // With `--network`, the weights need not fit a preset.
    let trained = match from.map(loaded::network_of) {
        Some(Err(error)) if own.network.is_none() => return Err(error),
        trained => trained.and_then(Result::ok),
    };
    let (mut network, mut side) = (own.network.clone(), own.size);
    if let (None, Some((trained, _))) = (&network, &trained) {
        network = Some(trained.name.clone()).filter(|name| name != SMALL);
        if network.as_ref().is_some_and(|network| Preset::load(network).is_err()) {
            bail!(
                "the weights' network, `{}`, is not built in; give its file with `--network FILE`",
                trained.name
            );
        }
        side = side.or(Some(trained.input.size));
    }
    let images = OwnImages {
        name,
        classes: classes.len(),
        images: split.len(),
        network,
        side,
        from_weights: from.is_some(),
    };
    let scale = images.scale()?;
    let config = scale.config(&Diff::default())?;
    check_side(&images, &config)?;
    check_prepared(data, &config)?;
    // The last layer of weights for other classes.
    let same = |(network, known): &(Network, Option<Vec<String>>)| match known {
        Some(known) => known.iter().eq(classes.iter().map(|class| &class.id)),
        None => network.classes == classes.len(),
    };
    let trained = trained.filter(|trained| !same(trained));
    let anew = trained.and_then(|(mut network, _)| network.fc.pop()).map(|layer| layer.name);
    if let Some(layer) = &anew {
        note(&format!("the weights are for other classes, so layer `{layer}` begins with random weights"));
    }
    Ok(Chosen { scale, anew: anew.into_iter().collect() })
}
