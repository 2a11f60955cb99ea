//! Localization: one box per image, learned from convolutional features, for each of five guesses at the
//! class. It is judged as in ILSVRC-2012's second task.

use std::sync::atomic::{AtomicBool, Ordering};

use alexnet_analysis::{BoxConfig, BoxRegressor, Corners, mean_box, overlap};
use alexnet_data::{Located, Split};
use anyhow::{Result, bail};
use rayon::prelude::*;
use serde::Serialize;

use super::features::{Gallery, extracted, fingerprint, name_of};
use super::{Inspector, TILE, check_stop, largest, shuffled};
use crate::args::LocalizeArgs;
use crate::batch::BATCH;
use crate::contact_sheet::Canvas;
use crate::data_sets::open_split;
use crate::output::{note, print};

/// The number of guesses at the class. Each has the same box.
const GUESSES: usize = 5;
/// The minimum intersection over union of a box with the true one.
const ENOUGH: f32 = 0.5;

#[derive(Debug, Serialize)]
struct Findings {
    layer: String,
    training_images: usize,
    test_images: usize,
    /// The top-5 error of the class alone.
    top5_error: f64,
    boxes: Vec<Judged>,
    shown: Vec<Shown>,
}

#[derive(Debug, Serialize)]
struct Judged {
    /// The kind of box: `learned`, `centre` or `whole`.
    box_is: &'static str,
    /// The fraction of images whose box overlaps enough with an object, regardless of the class.
    boxes_right: f64,
    mean_overlap: f64,
    /// The fraction of images for which none of the five guesses has the right class and enough overlap.
    top5_localization_error: f64,
}

#[derive(Debug, Serialize)]
struct Shown {
    image: String,
    /// The object's box, as fractions of the view.
    object: Corners,
    learned: Corners,
    overlap: f32,
}

/// The images of a split that have objects, and the objects' boxes.
struct Boxed {
    /// The indices in the split.
    images: Vec<usize>,
    /// The objects' boxes of each image, as fractions of the view.
    objects: Vec<Vec<Corners>>,
    /// The box of the whole image.
    frames: Vec<Corners>,
}

impl Boxed {
    fn of(look: &Inspector, split: &Split, name: &str, stop: &AtomicBool) -> Result<Self> {
        let locate = |image: usize| {
            check_stop(stop)?;
            anyhow::Ok(split.located(image, look.preprocessing())?)
        };
        let located: Vec<Located> = (0..split.len()).into_par_iter().map(locate).collect::<Result<_>>()?;
        let empty: usize = located.iter().map(|one| one.empty).sum();
        let first = located.iter().position(|one| one.empty > 0);
        if let Some(first) = first {
            print(&format!(
                "{empty} boxes of {name} images have no area inside their image and are left out: first that of {}",
                split.key(first)?
            ));
        }
        let kept = located.into_iter().enumerate().filter(|(_, one)| !one.boxes.is_empty());
        let mut boxed = Self { images: Vec::new(), objects: Vec::new(), frames: Vec::new() };
        for (image, one) in kept {
            boxed.images.push(image);
            boxed.objects.push(one.boxes);
            boxed.frames.push(one.image);
        }
        if boxed.images.is_empty() {
            bail!(
                "no {name} image has a box around an object: localization needs some, as Tiny-ImageNet has"
            );
        }
        Ok(boxed)
    }
}

/// `experiments analyze localize`.
pub(super) fn localize(args: &LocalizeArgs, stop: &AtomicBool) -> Result<()> {
    let look = Inspector::open(&args.look)?;
    let last_conv = look.loaded.network.conv.last().map(|layer| layer.name.clone());
    let (test, classes, test_name) =
        open_split(args.gallery.inside.as_deref(), look.gallery_set(&args.gallery), false)?;
    let outputs = look.loaded.outputs(&classes)?;
    let test_boxes = Boxed::of(&look, &test, test_name, stop)?;
    let mut gallery = Gallery::open(&look, &args.gallery, last_conv.as_deref(), Some(test_name), stop)?;
    let train_boxes = Boxed::of(&look, &gallery.split, "training", stop)?;
    let (layer, width) = (gallery.layer.clone(), gallery.file.width());
    let of = format!("{layer} of {} of {} {test_name}", fingerprint(&look)?, name_of(&test)?);
    let mut test_file =
        extracted(&look, &test, &layer, &format!("features-{layer}-{test_name}.f32"), &of, stop)?;
    let chosen = |file: &mut alexnet_analysis::FeatureFile, images: &[usize]| -> Result<Vec<f32>> {
        let mut features = Vec::with_capacity(images.len() * width);
        for &image in images {
            features.extend(file.read(image..image + 1)?);
        }
        Ok(features)
    };
    // If there are several objects, the largest is the target.
    let target = |objects: &Vec<Corners>| {
        let larger = |one: &&Corners, other: &&Corners| {
            alexnet_analysis::area(one).total_cmp(&alexnet_analysis::area(other))
        };
        objects.iter().max_by(larger).copied().unwrap_or_default()
    };
    let targets: Vec<Corners> = train_boxes.objects.iter().map(target).collect();
    let features = chosen(&mut gallery.file, &train_boxes.images)?;
    let config = BoxConfig { hidden: args.hidden, epochs: args.epochs, seed: args.seed };
    if targets.len() < 2 {
        bail!("one training image with a box is too few to learn from");
    }
    let mut heard = |epoch: usize, [learned, aside]: [f64; 2]| {
        note(&format!(
            "boxes: pass {epoch} of {}, sides off by {learned:.4} of the view, by {aside:.4} on a tenth set aside",
            args.epochs
        ));
        !stop.load(Ordering::SeqCst)
    };
    let regressor = BoxRegressor::train(&features, &targets, config, &look.device, &mut heard);
    drop(features);
    check_stop(stop)?;
    let learned = regressor.boxes(&chosen(&mut test_file, &test_boxes.images)?);
    // A guess is clipped to the image.
    let inside = |guess: Corners, frame: &Corners| -> Corners {
        std::array::from_fn(|side| guess[side].clamp(frame[side % 2], frame[2 + side % 2]))
    };
    let middle = mean_box(&targets);
    let of_all = |of: &dyn Fn(usize) -> Corners| -> Vec<Corners> {
        (0..test_boxes.images.len()).map(|at| inside(of(at), &test_boxes.frames[at])).collect()
    };
    let kinds = [
        ("learned", of_all(&|at| learned[at])),
        ("centre", of_all(&|_| middle)),
        ("whole", of_all(&|at| test_boxes.frames[at])),
    ];
    let mut told = Vec::with_capacity(test_boxes.images.len());
    for images in test_boxes.images.chunks(BATCH) {
        check_stop(stop)?;
        let probabilities = look.probabilities(look.views(&test, images)?)?;
        let all = probabilities.chunks_exact(look.loaded.network.classes);
        told.extend(
            images
                .iter()
                .zip(all)
                .map(|(&image, all)| largest(all, GUESSES).contains(&outputs[test.label(image)])),
        );
    }
    let share =
        |of: &dyn Fn(usize) -> bool| (0..told.len()).filter(|&at| of(at)).count() as f64 / told.len() as f64;
    let best = |guess: &Corners, at: usize| {
        test_boxes.objects[at].iter().map(|object| overlap(guess, object)).fold(0.0, f32::max)
    };
    let judged = kinds.iter().map(|(box_is, guesses)| {
        let overlaps: Vec<f32> = guesses.iter().enumerate().map(|(at, guess)| best(guess, at)).collect();
        Judged {
            box_is,
            boxes_right: share(&|at| overlaps[at] >= ENOUGH),
            mean_overlap: overlaps.iter().map(|&one| f64::from(one)).sum::<f64>() / overlaps.len() as f64,
            top5_localization_error: share(&|at| !told[at] || overlaps[at] < ENOUGH),
        }
    });
    let boxes: Vec<Judged> = judged.collect();
    let top5_error = share(&|at| !told[at]);
    print(&format!("{} {test_name} images: top-5 error {:.2} %", told.len(), 100.0 * top5_error));
    for Judged { box_is, boxes_right, mean_overlap, top5_localization_error } in &boxes {
        print(&format!(
            "{box_is:<8} box: right in {:.1} % of images, overlap {mean_overlap:.3} on average; class and box right in none of {GUESSES} guesses: {:.2} %",
            100.0 * boxes_right,
            100.0 * top5_localization_error
        ));
    }
    let drawn: Vec<usize> = shuffled(told.len(), args.seed).into_iter().take(args.count).collect();
    look.draw("localize.png", &overlays(&look, &test, &test_boxes, &kinds[0].1, &drawn)?)?;
    let shown = drawn.iter().map(|&at| {
        Ok(Shown {
            image: test.key(test_boxes.images[at])?.into_owned(),
            object: target(&test_boxes.objects[at]),
            learned: kinds[0].1[at],
            overlap: best(&kinds[0].1[at], at),
        })
    });
    let findings = Findings {
        layer,
        training_images: targets.len(),
        test_images: told.len(),
        top5_error,
        boxes,
        shown: shown.collect::<Result<_>>()?,
    };
    look.write("localize.json", &findings)
}

/// Draws images with the objects' boxes in green and the learned box in red.
fn overlays(
    look: &Inspector,
    test: &Split,
    boxed: &Boxed,
    learned: &[Corners],
    drawn: &[usize],
) -> Result<Canvas> {
    const GAP: usize = 8;
    let [channels, side] = look.input();
    let times = TILE.div_ceil(side);
    let (wide, columns) = (side * times, drawn.len().clamp(1, 4));
    let rows = drawn.len().div_ceil(columns).max(1);
    let mut canvas = Canvas::new(GAP + columns * (wide + GAP), GAP + rows * (wide + GAP));
    for (number, &at) in drawn.iter().enumerate() {
        let corner = [GAP + number % columns * (wide + GAP), GAP + number / columns * (wide + GAP)];
        let shown = look.preprocessing().shown(&look.views(test, &[boxed.images[at]])?);
        canvas.picture(corner, &shown, channels, side, times);
        for object in &boxed.objects[at] {
            outline(&mut canvas, corner, wide, object, [0, 170, 60]);
        }
        outline(&mut canvas, corner, wide, &learned[at], [220, 40, 40]);
    }
    Ok(canvas)
}

/// Draws a box, two pixels thick, on a picture of `wide` pixels, clipped to the picture.
fn outline(canvas: &mut Canvas, [left, top]: [usize; 2], wide: usize, corners: &Corners, colour: [u8; 3]) {
    const THICK: usize = 2;
    let pixel = |part: f32| (part.clamp(0.0, 1.0) * (wide - THICK) as f32) as usize;
    let [x0, y0, x1, y1] = corners.map(pixel);
    canvas.fill([left + x0, top + y0], [x1.saturating_sub(x0) + THICK, THICK], colour);
    canvas.fill([left + x0, top + y1], [x1.saturating_sub(x0) + THICK, THICK], colour);
    canvas.fill([left + x0, top + y0], [THICK, y1.saturating_sub(y0) + THICK], colour);
    canvas.fill([left + x1, top + y0], [THICK, y1.saturating_sub(y0) + THICK], colour);
}
