//! `experiments analyze`: what a trained network has learned, as pictures to look at and numbers beside them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use alexnet_analysis::kernels::{self, Range, Tower};
use alexnet_analysis::{FeatureFile, Neighbour, Rows};
use alexnet_data::{Preprocessing, Split, Views, hex, write_whole};
use alexnet_model::{AlexNet, Mode};
use alexnet_ops::Key;
use anyhow::{Context, Result, anyhow, bail};
use burn::tensor::{Device, Int, Tensor, TensorData};
use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::cli::{
    BenchNearestArgs, EvidenceArgs, Format, KernelsArgs, LookArgs, NearestArgs, OcclusionArgs,
    PredictionsArgs,
};
use crate::commands::{Interrupted, backend, print};
use crate::evaluate_weights::{open_split, outputs};
use crate::predict::{BATCH, LABELS, averaged_softmax, batch, values};
use crate::sheet::{Canvas, Sheet};
use crate::weights::Loaded;

/// Pictures to show are at least of this side, so that small ones can be seen.
const TILE: usize = 128;

/// A network to look into.
struct Look {
    loaded: Loaded,
    model: AlexNet,
    device: Device,
    out: PathBuf,
}

impl Look {
    fn open(args: &LookArgs) -> Result<Self> {
        let loaded = Loaded::open(&args.weights, args.preset.as_deref(), None)?;
        let device = backend(args.backend)?.device()?;
        let model = loaded.model(&device)?;
        std::fs::create_dir_all(&args.out).with_context(|| format!("cannot write {}", args.out.display()))?;
        Ok(Self { loaded, model, device, out: args.out.clone() })
    }

    fn how(&self) -> &Preprocessing {
        &self.loaded.how
    }

    /// `[channels, side]` of an input.
    fn input(&self) -> [usize; 2] {
        [self.loaded.network.input.channels, self.how().crop]
    }

    /// The centre views of images of a split, one after the other.
    fn views(&self, split: &Split, images: &[usize]) -> Result<Vec<f32>> {
        let view = |&image: &usize| split.views(image, self.how(), Views::Centre);
        Ok(images.par_iter().map(view).collect::<Result<Vec<_>, _>>()?.concat())
    }

    fn tensor(&self, inputs: Vec<f32>) -> Tensor<4> {
        let [channels, side] = self.input();
        let count = inputs.len() / (channels * side * side);
        batch(inputs, [count, channels, side], &self.device)
    }

    /// The class probabilities of some inputs, `[inputs, classes]`.
    fn probabilities(&self, inputs: Vec<f32>) -> Result<Vec<f32>> {
        let classes = self.loaded.network.classes;
        let scores = values(self.model.forward(self.tensor(inputs), Mode::Evaluation));
        if scores.iter().any(|score| !score.is_finite()) {
            bail!("the network's answer to some image is no number: its weights are too large");
        }
        Ok(scores.chunks_exact(classes).flat_map(|scores| averaged_softmax(scores, classes)).collect())
    }

    fn write(&self, name: &str, found: &impl Serialize) -> Result<()> {
        let path = self.out.join(name);
        let text = serde_json::to_vec_pretty(found)?;
        write_whole(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
        print(&path.display().to_string());
        Ok(())
    }

    fn draw(&self, name: &str, canvas: &Canvas) -> Result<()> {
        let path = self.out.join(name);
        canvas.save(&path).with_context(|| format!("cannot write {}", path.display()))?;
        print(&path.display().to_string());
        Ok(())
    }
}

/// Nothing is kept of what is not finished, but for features, which are on disk already.
fn check_stop(stop: &AtomicBool) -> Result<()> {
    match stop.load(Ordering::SeqCst) {
        true => Err(Interrupted("interrupted; features that were extracted are kept".to_owned()).into()),
        false => Ok(()),
    }
}

/// Images in a random order that depends on the seed alone.
fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    use rand_chacha::rand_core::Rng;
    let key = |image: usize| Key::new([seed, image as u64, 0, Key::word("analyze")]).rng().next_u64();
    let mut order: Vec<(u64, usize)> = (0..count).map(|image| (key(image), image)).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, image)| image).collect()
}

/// `experiments analyze kernels`.
pub(crate) fn kernels(args: &KernelsArgs) -> Result<()> {
    let look = Look::open(&args.look)?;
    let network = &look.loaded.network;
    let Some(first) = network.conv.first().filter(|first| first.shared) else {
        bail!("network `{}` has no first layer of kernels to draw", network.name);
    };
    let of_first = |name: &str| name.starts_with(&format!("{}.", first.name)) && name.ends_with(".weight");
    let towers: Vec<Tower> = look
        .model
        .parameters()
        .into_iter()
        .filter(|(name, ..)| of_first(name))
        .map(|(_, shape, values)| Tower { values, channels: shape[1], side: shape[2] })
        .collect();
    let range = if args.per_kernel { Range::EachKernel } else { Range::Global };
    let picture = kernels::picture(&towers, range, (64 / first.kernel).max(1));
    look.draw("kernels.png", &Canvas::of(picture.width, picture.height, picture.pixels))?;
    let found = kernels::colourfulness(&towers);
    for (tower, mean) in found.means.iter().enumerate() {
        print(&format!("tower {tower}: {:.1} % of the energy of {} is colour", 100.0 * mean, first.name));
    }
    if network.input.channels == 1 {
        print("the network sees grey images: its kernels have no colour");
    }
    if let Some(difference) = found.difference {
        print(&format!(
            "difference {:.1} points; which tower it is is chance, so compare this number over seeds",
            100.0 * difference
        ));
    }
    look.write("kernels.json", &found)
}

#[derive(Debug, Serialize)]
struct TestFindings {
    split: &'static str,
    images: usize,
    top1_error: f64,
    top5_error: f64,
    classes: Vec<ClassError>,
    /// The pairs that are taken for each other most.
    confusions: Vec<Confusion>,
    shown: Vec<Shown>,
}

#[derive(Debug, Serialize)]
struct ClassError {
    class: String,
    images: usize,
    top1_error: f64,
}

#[derive(Debug, Serialize)]
struct Confusion {
    class: String,
    taken_for: String,
    times: usize,
}

#[derive(Debug, Serialize)]
struct Shown {
    image: String,
    label: String,
    top: Vec<(String, f32)>,
}

/// What to call each output of the network: by the data's classes, or by ILSVRC-2012's.
fn names(
    network: &alexnet_model::Network,
    classes: &[alexnet_data::Class],
    outputs: &[usize],
) -> Vec<String> {
    let labels: Vec<&str> = LABELS.lines().filter_map(|line| line.split('\t').nth(2)).collect();
    let mut names: Vec<String> = match network.classes == labels.len() {
        true => labels.into_iter().map(str::to_owned).collect(),
        false => (0..network.classes).map(|class| format!("class {class}")).collect(),
    };
    for (class, &output) in classes.iter().zip(outputs) {
        let name = class.name.split(',').next().unwrap_or_default();
        names[output] = if name.is_empty() { class.id.clone() } else { name.to_owned() };
    }
    names
}

/// The places of the largest numbers, largest first.
fn largest(numbers: &[f32], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|a, b| numbers[*b].total_cmp(&numbers[*a]));
    order.truncate(count);
    order
}

/// `experiments analyze predictions`.
pub(crate) fn predictions(args: &PredictionsArgs, stop: &AtomicBool) -> Result<()> {
    const TOP: usize = 5;
    let look = Look::open(&args.look)?;
    let (split, classes, split_name) =
        open_split(args.data.data.as_deref(), args.data.set.as_deref(), false)?;
    let outputs = outputs(&look.loaded.network, &classes)?;
    let names = names(&look.loaded.network, &classes, &outputs);
    let count = look.loaded.network.classes;
    // What the network takes each image for.
    let mut tops: Vec<Vec<(usize, f32)>> = Vec::with_capacity(split.len());
    for start in (0..split.len()).step_by(BATCH) {
        check_stop(stop)?;
        let images: Vec<usize> = (start..(start + BATCH).min(split.len())).collect();
        let probabilities = look.probabilities(look.views(&split, &images)?)?;
        tops.extend(probabilities.chunks_exact(count).map(|all| -> Vec<(usize, f32)> {
            largest(all, TOP).into_iter().map(|class| (class, all[class])).collect()
        }));
    }
    let truth = |image: usize| outputs[split.label(image)];
    let wrong = |image: usize| tops[image][0].0 != truth(image);
    let missed = |image: usize| tops[image].iter().all(|(class, _)| *class != truth(image));
    let share = |count: usize, of: usize| count as f64 / of.max(1) as f64;
    let mut errors = vec![(0, 0); count];
    let mut pairs = std::collections::BTreeMap::new();
    for image in 0..split.len() {
        let of_class = &mut errors[truth(image)];
        of_class.0 += 1;
        if wrong(image) {
            of_class.1 += 1;
            *pairs.entry((truth(image), tops[image][0].0)).or_insert(0) += 1;
        }
    }
    let mut pairs: Vec<((usize, usize), usize)> = pairs.into_iter().collect();
    pairs.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    let chosen: Vec<usize> = shuffled(split.len(), args.seed)
        .into_iter()
        .filter(|image| !args.mistakes || wrong(*image))
        .take(args.count)
        .collect();
    match chosen.is_empty() {
        true => print("the network makes no mistakes here: there is nothing to draw"),
        false => look.draw("predictions.png", &bars(&look, &split, &chosen, &tops, &truth, &names)?)?,
    }
    let findings = TestFindings {
        split: split_name,
        images: split.len(),
        top1_error: share((0..split.len()).filter(|image| wrong(*image)).count(), split.len()),
        top5_error: share((0..split.len()).filter(|image| missed(*image)).count(), split.len()),
        classes: errors
            .iter()
            .enumerate()
            .filter(|(_, (images, _))| *images > 0)
            .map(|(class, &(images, wrong))| ClassError {
                class: names[class].clone(),
                images,
                top1_error: share(wrong, images),
            })
            .collect(),
        confusions: pairs
            .iter()
            .take(10)
            .map(|&((class, other), times)| Confusion {
                class: names[class].clone(),
                taken_for: names[other].clone(),
                times,
            })
            .collect(),
        shown: chosen
            .iter()
            .map(|&image| {
                Ok(Shown {
                    image: split.key(image)?.into_owned(),
                    label: names[truth(image)].clone(),
                    top: tops[image].iter().map(|&(class, p)| (names[class].clone(), p)).collect(),
                })
            })
            .collect::<Result<_>>()?,
    };
    print(&format!(
        "{} {split_name} images: top-1 error {:.2} %, top-5 error {:.2} %",
        findings.images,
        100.0 * findings.top1_error,
        100.0 * findings.top5_error
    ));
    for confusion in findings.confusions.iter().take(5) {
        let Confusion { class, taken_for, times } = confusion;
        print(&format!("{times} times {class} was taken for {taken_for}"));
    }
    look.write("predictions.json", &findings)
}

/// Images with five bars each (Krizhevsky et al. 2012, figure 4, left): the true class in red.
fn bars(
    look: &Look,
    split: &Split,
    images: &[usize],
    tops: &[Vec<(usize, f32)>],
    truth: &dyn Fn(usize) -> usize,
    names: &[String],
) -> Result<Canvas> {
    const LINE: usize = 16;
    const GAP: usize = 10;
    let [channels, side] = look.input();
    let times = TILE.div_ceil(side);
    let (wide, columns) = (side * times, images.len().min(4));
    let tall = wide + (6 + 1) * LINE;
    let rows = images.len().div_ceil(columns);
    let mut canvas = Canvas::new(GAP + columns * (wide + GAP), GAP + rows * (tall + GAP));
    for (number, &image) in images.iter().enumerate() {
        let (left, top) = (GAP + number % columns * (wide + GAP), GAP + number / columns * (tall + GAP));
        let shown = look.how().shown(&look.views(split, &[image])?);
        canvas.picture([left, top], &shown, channels, side, times);
        canvas.text([left, top + wide + 2], &names[truth(image)], wide);
        for (line, &(class, probability)) in tops[image].iter().enumerate() {
            let at = top + wide + (line + 1) * LINE + 6;
            let colour = if class == truth(image) { [240, 150, 150] } else { [165, 200, 240] };
            let length = (wide as f32 * probability) as usize;
            canvas.fill([left, at], [length.max(1), LINE - 2], colour);
            canvas.text([left + 2, at], &names[class], wide - 2);
        }
    }
    Ok(canvas)
}

/// The features of a split's images at a layer, extracted once.
fn extracted(look: &Look, split: &Split, layer: &str, of: &str, stop: &AtomicBool) -> Result<FeatureFile> {
    let path = look.out.join(format!("features-{layer}.f32"));
    let one = values(look.model.features(look.tensor(look.views(split, &[0])?), layer));
    let mut file = FeatureFile::open(&path, of, one.len())?;
    let mut said = std::time::Instant::now();
    while file.rows() < split.len() {
        if stop.load(Ordering::SeqCst) {
            let rows = file.rows();
            return Err(
                Interrupted(format!("interrupted after {rows} images; the same command goes on")).into()
            );
        }
        let images: Vec<usize> = (file.rows()..(file.rows() + BATCH).min(split.len())).collect();
        file.push(&values(look.model.features(look.tensor(look.views(split, &images)?), layer)))?;
        if said.elapsed().as_secs() >= 10 {
            said = std::time::Instant::now();
            eprintln!("features of {} of {} images", file.rows(), split.len());
        }
    }
    Ok(file)
}

/// What the network sees of each image, to be compared as pixels.
struct PixelRows<'a> {
    look: &'a Look,
    split: &'a Split,
    stop: &'a AtomicBool,
}

impl Rows for PixelRows<'_> {
    type Error = anyhow::Error;

    fn read(&mut self, rows: std::ops::Range<usize>) -> Result<Vec<f32>> {
        check_stop(self.stop)?;
        self.look.views(self.split, &rows.collect::<Vec<_>>())
    }
}

#[derive(Debug, Serialize)]
struct NearestFindings {
    layer: String,
    images: usize,
    queries: usize,
    k: usize,
    /// The share of neighbours that are of the query's class; absent where queries have none.
    precision: Option<Precision>,
    shown: Vec<ShownNeighbours>,
}

#[derive(Debug, Serialize)]
struct Precision {
    features: f64,
    pixels: f64,
    chance: f64,
    /// The mean place, 0 nearest and 1 farthest, that pixels give the neighbours by features: near 0.5 they are not alike
    /// as pixels. Of the queries that are drawn.
    place_by_pixels: f64,
}

#[derive(Debug, Serialize)]
struct ShownNeighbours {
    query: String,
    neighbours: Vec<(String, f32)>,
}

/// `experiments analyze nearest`.
pub(crate) fn nearest(args: &NearestArgs, stop: &AtomicBool) -> Result<()> {
    const SHOWN: usize = 5;
    let look = Look::open(&args.look)?;
    let network = &look.loaded.network;
    let layers: Vec<&str> = network.conv.iter().map(|layer| layer.name.as_str()).collect();
    let layers: Vec<&str> = layers.into_iter().chain(network.fc.iter().map(|fc| fc.name.as_str())).collect();
    let last_hidden = layers.len().checked_sub(2).map(|at| layers[at]).or(layers.last().copied());
    let layer = args.layer.as_deref().or(last_hidden).unwrap_or_default();
    if !layers.contains(&layer) {
        bail!("network `{}` has no layer `{layer}`; it has {}", network.name, layers.join(", "));
    }
    let (split, classes, split_name) = open_split(args.inside.as_deref(), args.set.as_deref(), true)?;
    if split.len() < args.k {
        bail!("{} images are fewer than the {} neighbours asked for", split.len(), args.k);
    }
    let of = format!("{layer} of {} of {}", fingerprint(&look)?, name_of(&split, args)?);
    let mut file = extracted(&look, &split, layer, &of, stop)?;
    let width = file.width();
    let (queries, test) = match args.images.is_empty() {
        false => (photographs(&look, &args.images)?, None),
        true => {
            let (test, _, test_name) = open_split(args.inside.as_deref(), args.set.as_deref(), false)?;
            if test_name == split_name {
                bail!(
                    "these images have no splits: give images to find neighbours of, or a data set with test images"
                );
            }
            let chosen: Vec<usize> = shuffled(test.len(), args.seed).into_iter().take(args.queries).collect();
            (look.views(&test, &chosen)?, Some((test, chosen)))
        }
    };
    let [channels, side] = look.input();
    let pixels = channels * side * side;
    let asked = queries.len() / pixels;
    let mut features = Vec::with_capacity(asked * width);
    for part in queries.chunks(BATCH * pixels) {
        features.extend(values(look.model.features(look.tensor(part.to_vec()), layer)));
    }
    let near = alexnet_analysis::nearest(&features, width, &mut file, split.len(), args.k, &look.device)?;
    let mut rows = PixelRows { look: &look, split: &split, stop };
    let precision = match &test {
        None => None,
        Some((test, chosen)) => {
            let by_pixels =
                alexnet_analysis::nearest(&queries, pixels, &mut rows, split.len(), args.k, &look.device)?;
            let right = |near: &[Vec<Neighbour>]| {
                let of = near.iter().zip(chosen).map(|(near, &query)| {
                    let same = near.iter().filter(|one| split.label(one.row) == test.label(query));
                    same.count() as f64 / near.len() as f64
                });
                of.sum::<f64>() / near.len() as f64
            };
            let mut sizes = vec![0usize; classes.len()];
            (0..split.len()).for_each(|image| sizes[split.label(image)] += 1);
            let chance = chosen.iter().map(|&query| sizes[test.label(query)] as f64 / split.len() as f64);
            let shown = asked.min(SHOWN);
            let mut all: Vec<Vec<f32>> = vec![Vec::with_capacity(split.len()); shown];
            for start in (0..split.len()).step_by(BATCH) {
                let block = rows.read(start..(start + BATCH).min(split.len()))?;
                for (all, query) in all.iter_mut().zip(queries.chunks_exact(pixels)) {
                    let distance =
                        |row: &[f32]| row.iter().zip(query).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
                    all.par_extend(block.par_chunks_exact(pixels).map(distance));
                }
            }
            let place = |(all, near): (&Vec<f32>, &Vec<Neighbour>)| -> f64 {
                let of = near.iter().map(|one| {
                    let nearer = all.iter().filter(|distance| **distance < all[one.row]).count();
                    nearer as f64 / (all.len() - 1).max(1) as f64
                });
                of.sum::<f64>() / near.len() as f64
            };
            Some(Precision {
                features: right(&near),
                pixels: right(&by_pixels),
                chance: chance.sum::<f64>() / asked as f64,
                place_by_pixels: all.iter().zip(&near).map(place).sum::<f64>() / shown as f64,
            })
        }
    };
    if let Some(Precision { features, pixels, chance, place_by_pixels }) = &precision {
        print(&format!(
            "of {} neighbours of {asked} test images, {:.1} % are of the same class by {layer}, {:.1} % by pixels, {:.1} % by chance",
            args.k,
            100.0 * features,
            100.0 * pixels,
            100.0 * chance
        ));
        print(&format!(
            "by pixels those neighbours come at {:.0} % of the way from the nearest image to the farthest",
            100.0 * place_by_pixels
        ));
    }
    let mut sheet = Sheet::new(args.k + 1, asked.min(SHOWN), side.max(TILE));
    let mut shown = Vec::new();
    for (number, near) in near.iter().take(SHOWN).enumerate() {
        let query = match &test {
            Some((test, chosen)) => test.key(chosen[number])?.into_owned(),
            None => args.images[number].display().to_string(),
        };
        let picture = look.how().shown(&queries[number * pixels..(number + 1) * pixels]);
        let class = |label: usize| {
            let name = classes[label].name.split(',').next().unwrap_or_default();
            if name.is_empty() { classes[label].id.clone() } else { name.to_owned() }
        };
        let title = match &test {
            Some((test, chosen)) => class(test.label(chosen[number])),
            None => query.rsplit('/').next().unwrap_or_default().to_owned(),
        };
        sheet.tile(number * (args.k + 1), &picture, channels, side, &title);
        let mut neighbours = Vec::new();
        for (place, one) in near.iter().enumerate() {
            let picture = look.how().shown(&look.views(&split, &[one.row])?);
            let tile = number * (args.k + 1) + place + 1;
            sheet.tile(tile, &picture, channels, side, &class(split.label(one.row)));
            neighbours.push((split.key(one.row)?.into_owned(), one.distance.sqrt()));
        }
        shown.push(ShownNeighbours { query, neighbours });
    }
    let path = look.out.join("nearest.png");
    sheet.save(&path).with_context(|| format!("cannot write {}", path.display()))?;
    print(&path.display().to_string());
    let layer = layer.to_owned();
    let findings =
        NearestFindings { layer, images: split.len(), queries: asked, k: args.k, precision, shown };
    look.write("nearest.json", &findings)
}

/// Rows in memory.
struct Table {
    values: Vec<f32>,
    width: usize,
}

impl Rows for Table {
    type Error = std::convert::Infallible;

    fn read(&mut self, rows: std::ops::Range<usize>) -> Result<Vec<f32>, Self::Error> {
        Ok(self.values[rows.start * self.width..rows.end * self.width].to_vec())
    }
}

/// `experiments bench nearest`.
pub(crate) fn bench_nearest(args: &BenchNearestArgs) -> Result<()> {
    let (width, device) = (args.width, backend(args.backend)?.device()?);
    // Any numbers will do: all rows are compared whatever they are.
    let number = |at: usize| (at.wrapping_mul(2_654_435_761) >> 9 & 0xffff) as f32 / 65_536.0 - 0.5;
    let values = (0..args.rows * width).into_par_iter().map(number).collect();
    let mut table = Table { values, width };
    let queries: Vec<f32> = (0..args.queries * width).into_par_iter().map(|at| number(at + 7)).collect();
    let begun = Instant::now();
    let found = alexnet_analysis::nearest(&queries, width, &mut table, args.rows, args.k, &device)?;
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(found.len(), args.queries);
    // The product of the queries with a square of as many rows, which is all that cannot be left out.
    let square = Tensor::<2>::from_data(
        TensorData::new(table.read(0..width.min(args.rows))?, [width.min(args.rows), width]),
        &device,
    );
    let queries = Tensor::<2>::from_data(TensorData::new(queries, [args.queries, width]), &device);
    let square = square.transpose();
    let mut rates: Vec<f64> = (0..5)
        .map(|_| {
            let begun = Instant::now();
            let _ = queries.clone().matmul(square.clone()).into_data();
            (2 * args.queries * square.dims()[1] * width) as f64 / begun.elapsed().as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    let product = rates[rates.len() / 2];
    let rate = (2 * args.queries * args.rows * width) as f64 / seconds;
    match args.format {
        Format::Json => print(&serde_json::to_string_pretty(&serde_json::json!({
            "seconds": seconds, "queries_per_second": args.queries as f64 / seconds,
            "flops": rate, "matrix_product_flops": product, "share": rate / product,
        }))?),
        Format::Text => print(&format!(
            "{} nearest of {} × {width} for {} queries: {seconds:.2} s, {:.1} GFLOP/s, {:.0} % of a matrix product's {:.1}",
            args.k,
            args.rows,
            args.queries,
            rate / 1e9,
            100.0 * rate / product,
            product / 1e9
        )),
    }
    Ok(())
}

/// A checksum of the weights, the network and how images are prepared for it.
fn fingerprint(look: &Look) -> Result<String> {
    let mut hash = Sha256::new();
    for (name, tensor) in &look.loaded.weights.tensors {
        hash.update(name);
        tensor.values.iter().for_each(|value| hash.update(value.to_le_bytes()));
    }
    hash.update(toml::to_string(&look.loaded.network)?);
    hash.update(serde_json::to_vec(look.how())?);
    Ok(format!("{} {}", look.loaded.network.name, hex(&hash.finalize()[..8])))
}

/// What tells a split from others: where it is, and its labels.
fn name_of(split: &Split, args: &NearestArgs) -> Result<String> {
    let mut hash = Sha256::new();
    (0..split.len()).for_each(|image| hash.update((split.label(image) as u32).to_le_bytes()));
    for image in [0, split.len() - 1] {
        hash.update(split.key(image)?.as_bytes());
    }
    let path = args.inside.as_deref().map(|path| path.canonicalize().unwrap_or_else(|_| path.to_owned()));
    let path = path.map_or_else(String::new, |path| path.display().to_string());
    let set = args.set.as_deref().unwrap_or_default();
    Ok(format!("{} images of {path} {set}, {}", split.len(), hex(&hash.finalize()[..8])))
}

fn photographs(look: &Look, paths: &[PathBuf]) -> Result<Vec<f32>> {
    let views = paths.iter().map(|path| photograph(look, path));
    Ok(views.collect::<Result<Vec<_>>>()?.concat())
}

fn photograph(look: &Look, path: &Path) -> Result<Vec<f32>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let views = look.how().views(&bytes, Views::Centre);
    views.map_err(|problem| anyhow!("{}: {problem}", path.display()))
}

/// Where the evidence for an answer is, image by image.
#[derive(Debug, Serialize)]
struct Evidence {
    image: String,
    class: usize,
    label: String,
    /// Of the class, for the image as it is.
    probability: f32,
    /// `[rows, columns]`: under occlusion, the probability with the square there; of saliency, the largest of the
    /// gradient's magnitudes over the channels.
    map: Vec<Vec<f32>>,
}

fn class_of(look: &Look, args: &EvidenceArgs, probabilities: &[f32]) -> Result<(usize, String)> {
    let count = look.loaded.network.classes;
    let class = args.class.unwrap_or_else(|| largest(probabilities, 1)[0]);
    if class >= count {
        bail!("there is no class {class}; network `{}` tells {count} apart", look.loaded.network.name);
    }
    let labels: Vec<&str> = LABELS.lines().filter_map(|line| line.split('\t').nth(2)).collect();
    let label = if count == labels.len() { labels[class].to_owned() } else { format!("class {class}") };
    Ok((class, label))
}

/// `experiments analyze occlusion` (Zeiler & Fergus 2013, §4.2).
pub(crate) fn occlusion(args: &OcclusionArgs, stop: &AtomicBool) -> Result<()> {
    let look = Look::open(&args.evidence.look)?;
    let [channels, side] = look.input();
    let square = args.square.unwrap_or((side / 5).max(1));
    let stride = args.stride.unwrap_or((square / 4).max(1));
    if square > side {
        bail!("a square of {square} pixels covers the input of {side} whole; give a smaller `--square`");
    }
    let mut found = Vec::new();
    for path in &args.evidence.images {
        let view = photograph(&look, path)?;
        let probabilities = look.probabilities(view.clone())?;
        let (class, label) = class_of(&look, &args.evidence, &probabilities)?;
        let places: Vec<usize> = (0..=side - square).step_by(stride).collect();
        let corners: Vec<(usize, usize)> =
            places.iter().flat_map(|&top| places.iter().map(move |&left| (top, left))).collect();
        let mut map = Vec::with_capacity(corners.len());
        for corners in corners.chunks(BATCH) {
            check_stop(stop)?;
            let inputs = corners.iter().flat_map(|&(top, left)| {
                let mut view = view.clone();
                for channel in 0..channels {
                    for y in top..top + square {
                        // The mean, which is grey: what the network sees of nothing.
                        view[(channel * side + y) * side + left..][..square].fill(0.0);
                    }
                }
                view
            });
            let all = look.probabilities(inputs.collect())?;
            map.extend(all.chunks_exact(look.loaded.network.classes).map(|all| all[class]));
        }
        let map: Vec<Vec<f32>> = map.chunks_exact(places.len()).map(<[f32]>::to_vec).collect();
        // How much is lost at a pixel: the mean over the squares that cover it.
        let loss = |y: usize, x: usize| {
            let covers = |place: &usize, at: usize| (*place..place + square).contains(&at);
            let mut lost = (0.0, 0);
            for (row, _) in places.iter().enumerate().filter(|(_, place)| covers(place, y)) {
                for (column, _) in places.iter().enumerate().filter(|(_, place)| covers(place, x)) {
                    lost = (lost.0 + (probabilities[class] - map[row][column]).max(0.0), lost.1 + 1);
                }
            }
            if lost.1 == 0 { 0.0 } else { lost.0 / lost.1 as f32 }
        };
        let heat: Vec<f32> = (0..side * side).map(|at| loss(at / side, at % side)).collect();
        let name = format!("occlusion-{}.png", found.len());
        look.draw(&name, &overlay(&look, &view, &heat, &label))?;
        let image = path.display().to_string();
        found.push(Evidence { image, class, label, probability: probabilities[class], map });
    }
    say(&found);
    look.write("occlusion.json", &found)
}

/// `experiments analyze saliency` (Simonyan, Vedaldi & Zisserman 2013, §3).
pub(crate) fn saliency(args: &EvidenceArgs) -> Result<()> {
    let look = Look::open(&args.look)?;
    let [channels, side] = look.input();
    let device = look.device.clone().autodiff();
    let model = look.loaded.model(&device)?;
    let mut found = Vec::new();
    for path in &args.images {
        let view = photograph(&look, path)?;
        let probabilities = look.probabilities(view.clone())?;
        let (class, label) = class_of(&look, args, &probabilities)?;
        let input = batch(view.clone(), [1, channels, side], &device).require_grad();
        let logits = model.forward(input.clone(), Mode::Evaluation);
        let index = Tensor::<2, Int>::from_data(TensorData::new(vec![class as i64], [1, 1]), &device);
        let gradients = logits.gather(1, index).sum().backward();
        let gradient = input.grad(&gradients).context("the network's answer does not depend on its input")?;
        let gradient: Vec<f32> = gradient.into_data().convert::<f32>().try_to_vec().expect("an f32 tensor");
        let heat: Vec<f32> = (0..side * side)
            .map(|at| (0..channels).map(|c| gradient[c * side * side + at].abs()).fold(0.0, f32::max))
            .collect();
        let name = format!("saliency-{}.png", found.len());
        look.draw(&name, &overlay(&look, &view, &heat, &label))?;
        let map = heat.chunks_exact(side).map(<[f32]>::to_vec).collect();
        let image = path.display().to_string();
        found.push(Evidence { image, class, label, probability: probabilities[class], map });
    }
    say(&found);
    look.write("saliency.json", &found)
}

fn say(found: &[Evidence]) {
    for Evidence { image, label, probability, .. } in found {
        print(&format!("{image}: {label}, {:.1} %", 100.0 * probability));
    }
}

/// The image, the heat alone, and the heat on the image in red.
fn overlay(look: &Look, view: &[f32], heat: &[f32], label: &str) -> Canvas {
    const GAP: usize = 6;
    let [channels, side] = look.input();
    let times = TILE.div_ceil(side);
    let wide = side * times;
    let shown = look.how().shown(view);
    // The hottest hundredth is all red: one pixel must not dim the others.
    let mut sorted = heat.to_vec();
    sorted.sort_by(f32::total_cmp);
    let most = sorted[(sorted.len() - 1) * 99 / 100].max(f32::MIN_POSITIVE);
    let level = |at: usize| (heat[at] / most).min(1.0);
    let area = side * side;
    let alone: Vec<u8> = (0..area).map(|at| (255.0 * level(at)) as u8).collect();
    let colour = |at: usize| {
        let (channel, place) = (at / area, at % area);
        let pixel = f32::from(shown[channel.min(channels - 1) * area + place]);
        let red = if channel == 0 { 255.0 } else { 0.0 };
        // The image, grey and paler, under the heat.
        let share = 0.75 * level(place);
        (pixel * 0.6 * (1.0 - share) + red * share) as u8
    };
    let over: Vec<u8> = (0..3 * area).map(colour).collect();
    let mut canvas = Canvas::new(3 * (wide + GAP) + GAP, wide + 2 * GAP + 16);
    for (number, (picture, channels)) in [(&shown, channels), (&alone, 1), (&over, 3)].into_iter().enumerate()
    {
        canvas.picture([GAP + number * (wide + GAP), GAP], picture, channels, side, times);
    }
    canvas.text([GAP, GAP + wide + 1], label, 3 * wide);
    canvas
}
