//! The scale for images that are given without one.

use std::path::Path;

use alexnet_config::{BuiltIn, Diff};
use alexnet_data::{Dataset, Layout, Prepared, is_image, is_prepared, layout_of, name_of_images};
use alexnet_model::{Network, Preset};
use alexnet_study::{OwnImages, SMALL, Scale, resized};
use alexnet_train::{Data, RunConfig};
use anyhow::{Result, anyhow, bail};

use crate::args::OwnArgs;
use crate::loaded;
use crate::output::note;
use crate::program::program;

/// The number of images of a class below which trained weights are advised.
const FEW_OF_A_CLASS: usize = 500;

/// The largest input that is proposed.
const LARGEST_SIDE: usize = 512;

/// How images are laid out.
const LAID_OUT: &str = "give a folder or an archive with a folder for each class, FOLDER/<class>/photo.jpg";

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
            let path = Path::new(name);
            if scale.is_err() && path.is_dir() {
                bail!("{name} is a folder, and no scale; images are given with `--data {name}`");
            }
            if scale.is_err() && path.is_file() && Preset::load(name).is_ok() {
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
        bail!("--data {given}: one class, and there is nothing to tell apart; {LAID_OUT}");
    }
    let mut name = name_of_images(data);
    if program().data_sets.iter().chain(program().scales).any(|known: &BuiltIn| known.name == name) {
        name = format!("my-{name}");
    }
    let trained = from.map(loaded::network_of).transpose()?;
    let (mut network, mut side) = (own.network.clone(), own.size);
    if let (None, Some((trained, _))) = (&network, &trained) {
        network = Some(trained.name.clone()).filter(|name| name != SMALL);
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
    if is_prepared(data) {
        let (side, size) = (config.network.input.size, Prepared::read(data)?.size);
        if size < side || size > 2 * side {
            bail!(
                "--data {given}: prepared with {size} pixels, and inputs of network `{}` have {side}; name a network whose \
                 inputs fit (`experiments train --data {given} --network alexnet-2012` takes 224 of 256 pixels), or prepare \
                 the images with `--size {}`",
                config.network.name,
                resized(side),
            );
        }
    }
    // The last layer of weights for other classes.
    let same = |(network, known): &(Network, Option<Vec<String>>)| match known {
        Some(known) => known.iter().eq(classes.iter().map(|class| &class.id)),
        None => network.classes == classes.len(),
    };
    let trained = trained.filter(|trained| !same(trained));
    let anew = trained.and_then(|(mut network, _)| network.fc.pop()).map(|layer| layer.name);
    if let Some(layer) = &anew {
        note(&format!("the weights are for other classes: layer `{layer}` is drawn anew"));
    }
    Ok((scale, anew.into_iter().collect()))
}

/// Refuses an input that is too small for the network, and names the smallest that fits.
fn check_side(images: &OwnImages, config: &RunConfig) -> Result<()> {
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
    let test = if set.test_set_aside { "set aside for the test" } else { "for the test" };
    note(&format!(
        "{} to train on, {} set aside for validation, {} {test}",
        set.train.len(),
        set.validation.len(),
        set.test.len()
    ));
    if set.unused > 0 {
        note(&format!(
            "the {} images of `val` are not used: there is `test`, and validation takes training images",
            set.unused
        ));
    }
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
            "few images to train on ({few} of class `{class}`): weights that were trained on ImageNet usually do better, \
             `--from torchvision`"
        ));
    }
}
