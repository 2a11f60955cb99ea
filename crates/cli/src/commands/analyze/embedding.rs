//! The images of a data set by the two principal components of their features.

use std::sync::atomic::AtomicBool;

use alexnet_analysis::principal_components;
use alexnet_data::Split;
use anyhow::Result;

use super::features::layer;
use super::{Inspector, check_stop, names, shuffled, write_figure};
use crate::args::EmbeddingArgs;
use crate::batch::{BATCH, values};
use crate::drawings::{self, Embedding, Placed};
use crate::output::print;

/// `experiments analyze embedding`.
pub(super) fn embedding(args: &EmbeddingArgs, stop: &AtomicBool) -> Result<()> {
    let look = Inspector::open(&args.look)?;
    let (split, classes, name) = look.test_images(&args.look.weights, &args.data)?;
    let outputs = look.loaded.outputs(&classes)?;
    let layer = layer(&look, args.layer.as_deref(), None)?;
    let chosen: Vec<usize> = shuffled(split.len(), args.seed).into_iter().take(args.images).collect();
    let mut found = Embedding {
        layer,
        split: name,
        classes: names(&look.loaded, &classes, &outputs),
        explained: [0.0; 2],
        images: Vec::new(),
    };
    place(&look, &split, &chosen, &outputs, &mut found, stop)?;
    print(&format!(
        "{} images of {}: the two components have {:.0} % and {:.0} % of the variance of {}",
        found.images.len(),
        found.split,
        100.0 * found.explained[0],
        100.0 * found.explained[1],
        found.layer
    ));
    write_figure(&look.out, "embedding", &drawings::embedding(&found))?;
    look.write("embedding.json", &found)
}

/// Places images by the features of the layer.
pub(crate) fn place(
    look: &Inspector,
    split: &Split,
    chosen: &[usize],
    outputs: &[usize],
    found: &mut Embedding,
    stop: &AtomicBool,
) -> Result<()> {
    let mut features = Vec::new();
    for images in chosen.chunks(BATCH) {
        check_stop(stop)?;
        let inputs = look.tensor(look.views(split, images)?);
        features.extend(values(look.model.features(inputs, &found.layer)));
    }
    let components = principal_components(&features, features.len() / chosen.len().max(1));
    found.explained = components.explained;
    for (&image, place) in chosen.iter().zip(components.points) {
        let name = split.key(image)?.into_owned();
        found.images.push(Placed { image: name, class: outputs[split.label(image)], place });
    }
    Ok(())
}
