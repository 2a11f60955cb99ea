//! The scale for images that are given without one.

use std::path::Path;

use alexnet_config::BuiltIn;
use alexnet_data::{Dataset, Layout, Prepared, is_prepared, layout_of, name_of_images};
use alexnet_model::Preset;
use alexnet_study::{OwnImages, Scale, resized};
use alexnet_train::{Data, RunConfig};
use anyhow::{Result, bail};

use crate::args::OwnArgs;
use crate::loaded;
use crate::output::note;
use crate::program::program;

/// The number of images of a class below which trained weights are advised.
const FEW_OF_A_CLASS: usize = 500;

/// Returns the scale of a command: the named one, or one that fits the images. Also returns the layers that are drawn anew
/// although the training begins with weights.
pub(crate) fn scale(
    name: Option<&str>,
    data: Option<&Path>,
    own: &OwnArgs,
    from: Option<&Path>,
) -> Result<(Scale, Vec<String>)> {
    match (name, data) {
        (Some(name), _) => {
            if own.network.is_some() || own.size.is_some() {
                bail!(
                    "`--network` and `--size` are for images without a scale, and scale `{name}` has its own; \
                     leave the scale out, or change it with `--set`"
                );
            }
            let scale = Scale::load(program().scales, name);
            if scale.is_err() && Path::new(name).is_file() && Preset::load(name).is_ok() {
                bail!(
                    "{name} is a network, and no scale; train it on your own images with `--network {name} --data FOLDER`, or \
                     name it in a scale (`network = \"{name}\"`)"
                );
            }
            Ok((scale?, Vec::new()))
        }
        (None, Some(data)) => fitting(data, own, from),
        (None, None) => bail!(
            "give a scale ({}) or your own images, `--data FOLDER`",
            program().scales.iter().map(|scale| scale.name).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// Returns whether images identify themselves, so that a scale can be made for them. Those of MNIST's and CIFAR's files
/// have classes without names.
pub(crate) fn identify_themselves(data: &Path) -> bool {
    let named = [Layout::Idx, Layout::Cifar10, Layout::Cifar100].map(Some);
    !layout_of(data).is_ok_and(|layout| named.contains(&layout))
}

fn fitting(data: &Path, own: &OwnArgs, from: Option<&Path>) -> Result<(Scale, Vec<String>)> {
    if !data.exists() {
        bail!("--data {}: no such file or folder", data.display());
    }
    if !identify_themselves(data) {
        bail!(
            "--data {}: MNIST's or CIFAR's files; give a scale for them, one of {}",
            data.display(),
            program().scales.iter().map(|scale| scale.name).collect::<Vec<_>>().join(", ")
        );
    }
    let (split, classes, ..) = Dataset::open_split(data, None, true)?;
    let mut name = name_of_images(data);
    if program().data_sets.iter().chain(program().scales).any(|known: &BuiltIn| known.name == name) {
        name = format!("my-{name}");
    }
    let trained = from.map(loaded::network_of).transpose()?;
    let network = own.network.clone().or_else(|| trained.as_ref().map(|network| network.name.clone()));
    let images = OwnImages {
        name,
        classes: classes.len(),
        images: split.len(),
        network,
        side: own
            .size
            .or(trained.as_ref().filter(|_| own.network.is_none()).map(|network| network.input.size)),
        from_weights: from.is_some(),
    };
    let scale = images.scale()?;
    if is_prepared(data) {
        let config = scale.config(&alexnet_config::Diff::default())?;
        let (side, size) = (config.network.input.size, Prepared::read(data)?.size);
        if size < side || size > 2 * side {
            bail!(
                "--data {}: prepared with {size} pixels, and inputs of network `{}` have {side}; choose another with \
                 `--network`, or prepare the images with `--size {}`",
                data.display(),
                config.network.name,
                resized(side),
            );
        }
    }
    // The last layer of weights for other classes.
    let trained = trained.filter(|network| network.classes != classes.len());
    let anew = trained.and_then(|mut network| network.fc.pop()).map(|layer| layer.name);
    Ok((scale, anew.into_iter().collect()))
}

/// Says what was read and what was set aside.
pub(crate) fn describe(data: &Data, config: &RunConfig, from: bool) {
    let set = &data.dataset;
    let all = set.train.len() + set.validation.len() + set.test.len();
    let side = config.network.input.size;
    let sides = match set.original_sides {
        Some([width, height]) => format!(" of {width}×{height} on average"),
        None => String::new(),
    };
    let cut = if set.size == side { String::new() } else { format!(", crops of {side}") };
    note(&format!("{} classes, {all} images{sides}, resized to {}{cut}", set.classes.len(), set.size));
    let test = if set.test_set_aside { "set aside for the test" } else { "test images" };
    note(&format!(
        "{} to train on, {} set aside for validation, {} {test}",
        set.train.len(),
        set.validation.len(),
        set.test.len()
    ));
    let recipe = &config.recipe;
    note(&format!(
        "network `{}`, epochs: {}, images in a batch: {}, learning rate: {}",
        config.network.name, recipe.epochs, recipe.batch_size, recipe.learning_rate
    ));
    let mut of_class = vec![0; set.classes.len()];
    (0..set.train.len()).for_each(|image| of_class[set.train.label(image)] += 1);
    if let Some((few, class)) = of_class.iter().zip(&set.classes).min()
        && *few < FEW_OF_A_CLASS
        && !from
    {
        note(&format!(
            "class `{class}` has {few} images to train on: `--from torchvision` begins with weights that were trained on \
             ImageNet, and needs fewer"
        ));
    }
}
