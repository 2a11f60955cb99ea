//! `experiments figures`: a set of figures for a lecture, from trained weights and results in the repository.

mod curves;
mod evidence;
mod images;
mod layers;
mod search;

use std::cell::OnceCell;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use alexnet_data::{Split, atomic_write};
use alexnet_report::{AuditReport, FinishedFigure, figures_page};
use anyhow::{Context, Result, bail};

use super::analyze::features::layer;
use super::analyze::{Inspector, check_stop, names, shuffled, write_figure};
use super::analyze::{confusion, embedding};
use crate::args::{FiguresArgs, LookArgs, Origin};
use crate::data_sets::open_split;
use crate::drawings::{self, Confusions, Embedding};
use crate::output::{note, print};
use crate::trained;

/// A network with the images that it is shown.
struct Studio<'a> {
    look: Inspector,
    /// The images that are shown, and what they are.
    test: Split,
    split: &'static str,
    /// The images that are searched, if they are others.
    train: Option<Split>,
    /// Names of the network's outputs.
    names: Vec<String>,
    /// The output of each class of the data.
    outputs: Vec<usize>,
    gallery: OnceCell<search::Gallery>,
    args: &'a FiguresArgs,
    stop: &'a AtomicBool,
}

/// A figure, or why there is none.
enum Drawn {
    Figure(FinishedFigure),
    LeftOut(&'static str),
}

impl From<FinishedFigure> for Drawn {
    fn from(figure: FinishedFigure) -> Self {
        Self::Figure(figure)
    }
}

/// Draws a figure.
type Draw = fn(&Studio) -> Result<Drawn>;

/// The figures, in the order of the paper.
const FIGURES: [(&str, Draw); 15] = [
    ("activation", |_| curves::figure("activation")),
    ("lrn", layers::lrn),
    ("pooling", layers::pooling),
    ("views", |studio| images::views(studio).map(Drawn::from)),
    ("dropout", |_| curves::figure("dropout")),
    ("kernels", layers::kernels),
    ("kernels-over-epochs", |_| curves::kernels()),
    ("predictions", |studio| images::predictions(studio).map(Drawn::from)),
    ("retrieval", search::retrieval),
    ("codes", search::codes),
    ("evidence", evidence::evidence),
    ("maps", layers::maps),
    ("embedding", |studio| studio.embedding().map(Drawn::from)),
    ("confusion", |studio| studio.confusion().map(Drawn::from)),
    ("audit", |_| audit()),
];

/// `experiments figures`.
pub(crate) fn figures(args: &FiguresArgs, stop: &AtomicBool) -> Result<()> {
    let all: Vec<&str> = FIGURES.iter().map(|(name, _)| *name).collect();
    let only: Vec<&str> = args.only.iter().map(|name| name.trim()).filter(|name| !name.is_empty()).collect();
    if let Some(unknown) = only.iter().find(|name| !all.contains(*name)) {
        bail!("`--only {unknown}`: no such figure; there are {}", all.join(", "));
    }
    let studio = Studio::open(args, stop)?;
    let chosen = FIGURES.iter().filter(|(name, _)| only.is_empty() || only.contains(name));
    let mut drawn = Vec::new();
    for (name, draw) in chosen {
        check_stop(stop)?;
        match draw(&studio).with_context(|| format!("figure `{name}`"))? {
            Drawn::Figure(figure) => {
                write_figure(&args.out, name, &figure)?;
                drawn.push(((*name).to_owned(), figure));
            }
            Drawn::LeftOut(why) => note(&format!("note: `{name}` is left out: {why}")),
        }
    }
    if drawn.is_empty() {
        bail!("there is none of these figures to draw");
    }
    if !only.is_empty() {
        // The page of all figures stays.
        print(&format!(
            "{} in {}",
            drawn.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "),
            args.out.display()
        ));
        return Ok(());
    }
    let page = args.out.join("index.html");
    atomic_write(&page, figures_page(&drawn).as_bytes())
        .with_context(|| format!("cannot write {}", page.display()))?;
    print(&format!("{}: {} figures with their captions", page.display(), drawn.len()));
    Ok(())
}

impl<'a> Studio<'a> {
    fn open(args: &'a FiguresArgs, stop: &'a AtomicBool) -> Result<Self> {
        let look = inspector(args, &args.weights)?;
        let (data, set) = (args.data.data.as_deref(), args.data.set.as_deref());
        let (test, classes, split) = look.test_images(&args.weights, &args.data)?;
        if test.is_empty() {
            bail!("there are no test images to show");
        }
        // Images without splits have the shown ones among them, and each would be its own neighbour.
        let train = open_split(data, look.loaded.data_set_or(data, set), true)?;
        let train = (train.2 != "all" && train.2 != split).then_some(train.0);
        let outputs = look.loaded.outputs(&classes)?;
        let names = names(&look.loaded, &classes, &outputs);
        Ok(Self { look, test, split, train, names, outputs, gallery: OnceCell::new(), args, stop })
    }

    /// Returns some test images in random order.
    fn chosen(&self, count: usize, salt: u64) -> Vec<usize> {
        shuffled(self.test.len(), self.args.seed.wrapping_add(salt)).into_iter().take(count).collect()
    }

    /// Returns a test image as the network sees it, `[channels, side, side]`.
    fn view(&self, image: usize) -> Result<Vec<f32>> {
        self.look.views(&self.test, &[image])
    }

    /// Returns an image to look at, from the network's input.
    fn picture(&self, view: &[f32]) -> alexnet_report::Picture {
        let [channels, side] = self.look.input();
        alexnet_report::Picture::planar(&self.look.preprocessing().shown(view), channels, side)
    }

    /// Returns the name of a test image's class.
    fn class(&self, image: usize) -> &str {
        &self.names[self.outputs[self.test.label(image)]]
    }

    fn embedding(&self) -> Result<FinishedFigure> {
        let layer = layer(&self.look, None, None)?;
        let mut found = Embedding {
            layer,
            split: self.split,
            classes: self.names.clone(),
            explained: [0.0; 2],
            images: Vec::new(),
        };
        embedding::place(
            &self.look,
            &self.test,
            &self.chosen(1000, 0),
            &self.outputs,
            &mut found,
            self.stop,
        )?;
        Ok(drawings::embedding(&found))
    }

    fn confusion(&self) -> Result<FinishedFigure> {
        let counts = confusion::count(&self.look, &self.test, &self.outputs, self.stop)?;
        Ok(drawings::confusions(&Confusions { split: self.split, classes: self.names.clone(), counts })?)
    }
}

/// Opens weights by name, to look at with the options of a command.
fn inspector(args: &FiguresArgs, weights: &Path) -> Result<Inspector> {
    Inspector::open(&LookArgs {
        weights: weights.to_owned(),
        origin: Origin::default(),
        out: args.out.clone(),
        machine: args.machine,
    })
}

/// Draws the statements of the audit in the repository.
fn audit() -> Result<Drawn> {
    let Some(path) = trained::in_repository("docs/audit.json") else {
        return Ok(Drawn::LeftOut("the repository is not here"));
    };
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let report: AuditReport = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
    Ok(report.figure().map_or(Drawn::LeftOut("no design of the audit is complete yet"), Drawn::from))
}
