//! The predictions of a network for the images of a data set (Krizhevsky et al. 2012, figure 4, left).

use std::sync::atomic::AtomicBool;

use alexnet_data::Split;
use anyhow::Result;
use serde::Serialize;

use super::{Inspector, TILE, largest, names, shuffled};
use crate::args::PredictionsArgs;
use crate::contact_sheet::Canvas;
use crate::output::print;

#[derive(Debug, Serialize)]
struct TestFindings {
    split: &'static str,
    images: usize,
    top1_error: f64,
    top5_error: f64,
    classes: Vec<ClassError>,
    /// The pairs of classes that are confused most often.
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

/// `experiments analyze predictions`.
pub(crate) fn predictions(args: &PredictionsArgs, stop: &AtomicBool) -> Result<()> {
    const TOP: usize = 5;
    let look = Inspector::open(&args.look)?;
    let (split, classes, split_name) = look.test_images(&args.look.weights, &args.data)?;
    let outputs = look.loaded.outputs(&classes)?;
    let names = names(&look.loaded, &classes, &outputs);
    let count = look.loaded.network.classes;
    // The most probable classes of each image.
    let mut tops: Vec<Vec<(usize, f32)>> = Vec::with_capacity(split.len());
    look.for_each_prediction(&split, stop, |all| {
        tops.push(largest(all, TOP).into_iter().map(|class| (class, all[class])).collect());
    })?;
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

/// Draws images with five bars each, the true class in red (Krizhevsky et al. 2012, figure 4, left).
fn bars(
    look: &Inspector,
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
        let shown = look.preprocessing().shown(&look.views(split, &[image])?);
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
