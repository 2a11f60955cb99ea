//! The results of analyses, and figures of them.

use alexnet_report::{Anchor, Figure, FigureError, FinishedFigure, Picture};
use serde::Serialize;

/// The number of classes up to which a matrix has names and numbers.
const NAMED: usize = 20;

/// A matrix of confusions.
#[derive(Debug, Serialize)]
pub(crate) struct Confusions {
    pub(crate) split: &'static str,
    /// The names of the classes, in the order of the network's outputs.
    pub(crate) classes: Vec<String>,
    /// The number of images by class and answer.
    pub(crate) counts: Vec<Vec<usize>>,
}

impl Confusions {
    pub(crate) fn images(&self) -> usize {
        self.counts.iter().flatten().sum()
    }

    pub(crate) fn right(&self) -> usize {
        self.counts.iter().enumerate().map(|(class, row)| row[class]).sum()
    }
}

/// Images in two dimensions.
#[derive(Debug, Serialize)]
pub(crate) struct Embedding {
    pub(crate) layer: String,
    pub(crate) split: &'static str,
    pub(crate) classes: Vec<String>,
    /// The share of the features' variance along each component.
    pub(crate) explained: [f64; 2],
    pub(crate) images: Vec<Placed>,
}

/// An image in two dimensions.
#[derive(Debug, Serialize)]
pub(crate) struct Placed {
    pub(crate) image: String,
    pub(crate) class: usize,
    pub(crate) place: [f64; 2],
}

/// Draws a matrix of confusions.
pub(crate) fn confusions(found: &Confusions) -> Result<FinishedFigure, FigureError> {
    let (count, all) = (found.classes.len(), found.images().max(1));
    let mut figure = Figure::new("Which classes are taken for which");
    let share = |class: usize, answer: usize| {
        let of: usize = found.counts[class].iter().sum();
        found.counts[class][answer] as f64 / of.max(1) as f64
    };
    // Right answers are blue, wrong ones orange; small shares stay visible.
    let colour = |class: usize, answer: usize| {
        let to = if class == answer { [0.0, 114.0, 178.0] } else { [213.0, 94.0, 0.0] };
        let strength = 0.85 * share(class, answer).sqrt();
        to.map(|to| (255.0 + strength * (to - 255.0)) as u8)
    };
    if count <= NAMED {
        let (names, head) = (150.0, 70.0);
        let cell = (Figure::width() - names - 40.0) / count as f64;
        let tall = cell.min(44.0);
        for (class, name) in found.classes.iter().enumerate() {
            let (x, y) = (names + cell * (class as f64 + 0.5), head + tall * (class as f64 + 0.5));
            figure.label([names - 10.0, y], Anchor::End, names - 10.0, name);
            figure.slanted([x - 8.0, head - 8.0], 130.0, name);
            for (answer, &images) in found.counts[class].iter().enumerate() {
                let at = [names + cell * answer as f64, head + tall * class as f64];
                let [red, green, blue] = colour(class, answer);
                figure.fill(at, [cell - 2.0, tall - 2.0], &format!("rgb({red},{green},{blue})"));
                if images > 0 {
                    figure.plain_text(
                        [at[0] + cell / 2.0 - 1.0, at[1] + tall / 2.0 - 1.0],
                        &images.to_string(),
                    );
                }
            }
        }
    } else {
        let pixels = (0..count * count).flat_map(|at| colour(at / count, at % count)).collect();
        figure.picture([0.0, 0.0], [600.0, 600.0], &Picture { width: count, height: count, pixels })?;
    }
    if count <= NAMED {
        figure.text([0.0, 55.0], Anchor::Start, "class ↓   answer →");
    }
    let right = found.right();
    Ok(figure.finish(&format!(
        "A row for each class, a column for each answer: {right} of {all} images are right ({:.2} % error; {}). Blue: right; \
         orange: wrong.",
        100.0 * (all - right) as f64 / all as f64,
        found.split,
    )))
}

/// Draws images as points in two dimensions, with the name of each class at the middle of its points.
pub(crate) fn embedding(found: &Embedding) -> FinishedFigure {
    let [wide, tall] = [Figure::width(), 560.0];
    let mut figure = Figure::new(&format!("The images as {} places them", found.layer));
    let range = |axis: usize| {
        let values = found.images.iter().map(|image| image.place[axis]);
        let (low, high) =
            (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max));
        (low, if high > low { high - low } else { 1.0 })
    };
    let ranges = [range(0), range(1)];
    let at = |place: [f64; 2]| {
        let share = |axis: usize| (place[axis] - ranges[axis].0) / ranges[axis].1;
        [8.0 + share(0) * (wide - 16.0), tall - 8.0 - share(1) * (tall - 16.0)]
    };
    for image in &found.images {
        figure.point(at(image.place), 4.0, image.class);
    }
    let mut taken: Vec<[f64; 2]> = Vec::new();
    for (class, name) in found.classes.iter().enumerate() {
        let places: Vec<[f64; 2]> =
            found.images.iter().filter(|image| image.class == class).map(|image| image.place).collect();
        if places.is_empty() || found.classes.len() > NAMED {
            continue;
        }
        let middle =
            [0, 1].map(|axis| places.iter().map(|place| place[axis]).sum::<f64>() / places.len() as f64);
        // Names do not lie on one another.
        let [x, mut y] = at(middle);
        while taken.iter().any(|[other, height]| (x - other).abs() < 110.0 && (y - height).abs() < 20.0) {
            y += 4.0;
        }
        taken.push([x, y]);
        figure.label([x, y], Anchor::Middle, 160.0, name);
    }
    figure.finish(&format!(
        "{} of {} by the first two principal components of {}, which have {:.0} % and {:.0} % of its variance. \
         Names are near the mean of their class.",
        found.images.len(),
        found.split,
        found.layer,
        100.0 * found.explained[0],
        100.0 * found.explained[1]
    ))
}
