//! The features of a data set's images, and query images.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use alexnet_analysis::{FeatureFile, Rows};
use alexnet_data::{Class, Split, hex};
use alexnet_train::for_each_image;
use anyhow::{Result, bail};
use sha2::{Digest, Sha256};

use super::{Inspector, check_stop, shuffled};
use crate::args::GalleryArgs;
use crate::batch::{BATCH, values};
use crate::data_sets::open_split;
use crate::interrupted::Interrupted;
use crate::output::{note, print};

/// Images with their features at a layer.
pub(super) struct Gallery {
    pub(super) split: Split,
    pub(super) classes: Vec<Class>,
    /// The name of the split.
    name: &'static str,
    pub(super) layer: String,
    pub(super) file: FeatureFile,
}

/// Test images of the gallery's data set that serve as queries.
pub(super) struct Asked {
    pub(super) test: Split,
    /// Their indices in the test split.
    pub(super) chosen: Vec<usize>,
    /// The network's input for each.
    pub(super) views: Vec<f32>,
}

impl Gallery {
    /// Opens the training images of a data set, or all images if it has no splits, with the features of the
    /// requested layer or else of `usual`. Returns an error before extraction if they are the split
    /// `apart_from`.
    pub(super) fn open(
        look: &Inspector,
        args: &GalleryArgs,
        usual: Option<&str>,
        apart_from: Option<&str>,
        stop: &AtomicBool,
    ) -> Result<Self> {
        let layer = layer(look, args.layer.as_deref(), usual)?;
        let (split, classes, name) = open_split(args.inside.as_deref(), look.gallery_set(args), true)?;
        check_apart(name, apart_from)?;
        let of = format!("{layer} of {} of {}", fingerprint(look)?, name_of(&split)?);
        let file = extracted(look, &split, &layer, &format!("features-{layer}.f32"), &of, stop)?;
        Ok(Self { split, classes, name, layer, file })
    }

    /// Returns some test images of the data set.
    pub(super) fn asked(
        &self,
        look: &Inspector,
        args: &GalleryArgs,
        count: usize,
        seed: u64,
    ) -> Result<Asked> {
        let (test, _, name) = open_split(args.inside.as_deref(), look.gallery_set(args), false)?;
        check_apart(self.name, Some(name))?;
        let chosen: Vec<usize> = shuffled(test.len(), seed).into_iter().take(count).collect();
        Ok(Asked { views: look.views(&test, &chosen)?, test, chosen })
    }

    /// Computes the features of some network inputs.
    pub(super) fn features(&self, look: &Inspector, views: &[f32]) -> Vec<f32> {
        let [channels, side] = look.input();
        let mut features = Vec::new();
        for part in views.chunks(BATCH * channels * side * side) {
            features.extend(values(look.model.features(look.tensor(part.to_vec()), &self.layer)));
        }
        features
    }

    /// Returns a class's name for people.
    pub(super) fn class(&self, label: usize) -> String {
        let name = self.classes[label].name.split(',').next().unwrap_or_default();
        if name.is_empty() { self.classes[label].id.clone() } else { name.to_owned() }
    }

    /// Returns the mean fraction of the gallery's images that have a query's class: the precision of chance.
    pub(super) fn chance(&self, asked: &Asked) -> f64 {
        let mut sizes = vec![0usize; self.classes.len()];
        (0..self.split.len()).for_each(|image| sizes[self.split.label(image)] += 1);
        let shares = asked.chosen.iter().map(|&query| sizes[asked.test.label(query)] as f64);
        shares.sum::<f64>() / (self.split.len() * asked.chosen.len()) as f64
    }
}

/// Checks that the gallery and the queries are different images.
fn check_apart(gallery: &str, asked: Option<&str>) -> Result<()> {
    if asked == Some(gallery) {
        bail!("these images have no splits: a data set with training and test images is needed");
    }
    Ok(())
}

/// Returns the requested layer, or else the usual one, or the last hidden one.
pub(crate) fn layer(look: &Inspector, asked: Option<&str>, usual: Option<&str>) -> Result<String> {
    let network = &look.loaded.network;
    let layers: Vec<&str> = network.conv.iter().map(|layer| layer.name.as_str()).collect();
    let layers: Vec<&str> = layers.into_iter().chain(network.fc.iter().map(|fc| fc.name.as_str())).collect();
    let last_hidden = layers.len().checked_sub(2).map(|at| layers[at]).or(layers.last().copied());
    let layer = asked.or(usual).or(last_hidden).unwrap_or_default();
    if !layers.contains(&layer) {
        bail!("network `{}` has no layer `{layer}`; it has {}", network.name, layers.join(", "));
    }
    Ok(layer.to_owned())
}

/// Returns the features of a split's images at a layer. They are extracted once, into a file in `out`.
pub(super) fn extracted(
    look: &Inspector,
    split: &Split,
    layer: &str,
    file: &str,
    of: &str,
    stop: &AtomicBool,
) -> Result<FeatureFile> {
    let path = look.path(file)?;
    let one = values(look.model.features(look.tensor(look.views(split, &[0])?), layer));
    let mut file = FeatureFile::open(&path, of, one.len())?;
    let (begun, first, mut said, mut network) = (Instant::now(), file.rows(), Instant::now(), Duration::ZERO);
    let rest: Vec<usize> = (first..split.len()).collect();
    let forward = |inputs| {
        let since = Instant::now();
        let features = look.model.features(inputs, layer);
        let _ = look.device.sync(); // a GPU would still compute; what failed shows when the features are read
        network += since.elapsed();
        features
    };
    let passed = for_each_image(&look.loader(&split.select(&rest)), BATCH, stop, forward, |_, features| {
        file.push(features)?;
        if said.elapsed().as_secs() >= 10 {
            said = Instant::now();
            note(&format!("features of {} of {} images", file.rows(), split.len()));
        }
        anyhow::Ok(())
    });
    if stop.load(Ordering::SeqCst) {
        let rows = file.rows();
        return Err(Interrupted(format!("interrupted after {rows} images; the same command goes on")).into());
    }
    passed?;
    let (extracted, took) = (file.rows() - first, begun.elapsed().as_secs_f64());
    if extracted > 0 {
        print(&format!(
            "features of {extracted} images: {:.0} images/s, {:.1} % of the time in the network itself",
            extracted as f64 / took,
            100.0 * network.as_secs_f64() / took
        ));
    }
    Ok(file)
}

/// Returns a checksum of the weights, the network and the preprocessing.
pub(super) fn fingerprint(look: &Inspector) -> Result<String> {
    let mut hash = Sha256::new();
    for (name, tensor) in &look.loaded.weights.tensors {
        hash.update(name);
        tensor.values.iter().for_each(|value| hash.update(value.to_le_bytes()));
    }
    hash.update(toml::to_string(&look.loaded.network)?);
    hash.update(serde_json::to_vec(look.preprocessing())?);
    Ok(format!("{} {}", look.loaded.network.name, hex(&hash.finalize()[..8])))
}

/// Identifies a split by its checksum.
pub(super) fn name_of(split: &Split) -> Result<String> {
    Ok(format!("{} images, {}", split.len(), &split.checksum()?[..16]))
}

/// The network's input for each image, for comparison as pixels.
pub(super) struct PixelRows<'a> {
    pub(super) look: &'a Inspector,
    pub(super) split: &'a Split,
    pub(super) stop: &'a AtomicBool,
}

impl Rows for PixelRows<'_> {
    type Error = anyhow::Error;

    fn read(&mut self, rows: std::ops::Range<usize>) -> Result<Vec<f32>> {
        check_stop(self.stop)?;
        self.look.views(self.split, &rows.collect::<Vec<_>>())
    }
}
