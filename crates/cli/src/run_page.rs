//! The page of a run, with pictures of its kernels and of its mistakes.

use std::path::{Path, PathBuf};

use alexnet_analysis::kernels::{self, Range};
use alexnet_data::Split;
use alexnet_report::{RunsPage, SingleRun};
use alexnet_train::{Data, Run, RunStatus};
use anyhow::{Context, Result};

use crate::args::Origin;
use crate::contact_sheet::{Canvas, Sheet};
use crate::first_layer::towers;
use crate::loaded::Loaded;
use crate::machine::backend;

/// The file of the kernels and its title.
const KERNELS: (&str, &str) = ("kernels.png", "Kernels of the first layer, a tower after the other");

/// The file of the mistakes and its title.
const MISTAKES: (&str, &str) =
    ("mistakes.png", "The most confident mistakes on test images: class > taken for");

/// The number of mistakes that are drawn, and in a row.
const DRAWN: [usize; 2] = [24, 6];

/// The smallest side of a drawn image in pixels, so that its caption fits.
const TILE: usize = 150;

/// Returns the folder of a run's page.
pub(crate) fn folder_of(run: &Run) -> PathBuf {
    run.folder.join("report")
}

/// Writes the page into a folder and returns its path. Mistakes are drawn if the images are given; otherwise those of before
/// stay.
pub(crate) fn write(run: &Run, data: Option<&Data>, folder: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot write {}", folder.display()))?;
    if let RunStatus::Finished(_) = run.status()? {
        draw_kernels(run, folder)?;
        if let Some(data) = data {
            draw_mistakes(run, data, folder)?;
        }
    }
    let there = [KERNELS, MISTAKES].into_iter().filter(|(file, _)| folder.join(file).is_file());
    let pictures: Vec<(String, String)> =
        there.map(|(file, title)| (title.to_owned(), file.to_owned())).collect();
    RunsPage::of(vec![SingleRun::read(&run.folder)?]).write(folder, &pictures)?;
    Ok(folder.join("index.html"))
}

/// Writes the page of several runs, beside each other, and returns its path.
pub(crate) fn write_several(folders: &[PathBuf], folder: &Path) -> Result<PathBuf> {
    let runs = folders.iter().map(|run| Ok(SingleRun::read(run)?)).collect::<Result<Vec<_>>>()?;
    RunsPage::of(runs).write(folder, &[])?;
    Ok(folder.join("index.html"))
}

/// Draws the first layer's kernels, if it has kernels and the weights are here.
fn draw_kernels(run: &Run, folder: &Path) -> Result<()> {
    let Some(first) = run.config.network.conv.first().filter(|first| first.shared) else { return Ok(()) };
    if !run.weights().is_file() || run.preprocessing()?.is_none() {
        return Ok(());
    }
    let loaded = Loaded::open(&run.folder, &Origin::default())?;
    let towers = towers(&loaded.network, &loaded.model(&backend(None)?.device()?)?)?;
    let picture = kernels::picture(&towers, Range::Global, (64 / first.kernel).max(1));
    let path = folder.join(KERNELS.0);
    Canvas::of(picture.width, picture.height, picture.pixels)
        .save(&path)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Draws the test images that were classified wrongly with the highest probabilities.
fn draw_mistakes(run: &Run, data: &Data, folder: &Path) -> Result<()> {
    let config = &run.config;
    let part = data.dataset.part(&config.data.classes, config.data.labelled, run.seed)?;
    let split: &Split = &part.test;
    let answers = run.answers(config.evaluation.views)?;
    let Some(answers) = answers.filter(|answers| answers.confidence.len() == split.len()) else {
        return Ok(());
    };
    let right = answers.right();
    let mut wrong: Vec<usize> = (0..split.len()).filter(|&image| !right[image]).collect();
    wrong.sort_by(|&a, &b| answers.confidence[b].total_cmp(&answers.confidence[a]));
    wrong.truncate(DRAWN[0]);
    let path = folder.join(MISTAKES.0);
    if wrong.is_empty() {
        let _ = std::fs::remove_file(&path);
        return Ok(());
    }
    let [channels, size] = split.image_shape();
    let columns = DRAWN[1].min(wrong.len());
    let side = TILE.div_ceil(size) * size;
    let mut sheet = Sheet::new(columns, wrong.len().div_ceil(columns), side);
    for (tile, &image) in wrong.iter().enumerate() {
        let name = |class: usize| part.class_names[class].split(',').next().unwrap_or_default();
        let text = format!("{} > {}", name(answers.targets[image]), name(answers.predicted[image]));
        sheet.tile(tile, &split.image(image)?, channels, size, &text);
    }
    sheet.save(&path).with_context(|| format!("cannot write {}", path.display()))
}
