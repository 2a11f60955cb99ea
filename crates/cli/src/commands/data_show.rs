//! `experiments data show`: a contact sheet, and what augmentation does.

use alexnet_data::{
    Augmentation, Colour, ColourReading, Crop, Dataset, Draws, Loader, LoaderConfig, MeanKind, PixelScale,
    Split, Statistics, Upload, Views,
};
use anyhow::{Context, Result, anyhow};
use burn::data::dataloader::DataLoader;
use burn::tensor::Device;

use super::data::{open, paper_side};
use crate::args::ShowArgs;
use crate::contact_sheet;
use crate::data_sets::statistics;
use crate::machine::backend;
use crate::output::print;

/// Returns the paper's augmentation, with or without colour noise.
pub(super) fn augmentation(colour: Option<ColourReading>) -> Augmentation {
    let reading = colour.unwrap_or(ColourReading::StandardDeviation);
    Augmentation {
        crop: Crop { random: true, padding: 0 },
        flip: 0.5,
        colour: Colour { std: if colour.is_some() { 0.1 } else { 0.0 }, reading, rescale: true },
        shared_by: 1,
        steps: Vec::new(),
    }
}

pub(crate) fn run_show(args: &ShowArgs) -> Result<()> {
    let set = open(&args.data)?;
    let statistics = statistics(&set)?;
    let device = backend(None)?.device()?;
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot write {}", args.out.display()))?;
    let train = set.official_train();
    let sheets = [
        ("samples.png", samples(&set, &train, args)?),
        ("augmentation.png", augmented(&set, &train, &statistics, &device, args.seed)?),
    ];
    for (name, picture) in sheets {
        let path = args.out.join(name);
        picture.save(&path).with_context(|| format!("cannot write {}", path.display()))?;
        print(&path.display().to_string());
    }
    Ok(())
}

/// The minimum side of a tile, in pixels, so that small pictures are visible.
const TILE: usize = 128;

/// Draws random images with their labels.
fn samples(set: &Dataset, train: &Split, args: &ShowArgs) -> Result<contact_sheet::Sheet> {
    let key = |index| alexnet_ops::Key::new([args.seed, index as u64, 0, alexnet_ops::Key::word("show")]);
    let count = args.count.min(train.len());
    // Each image gets a random number, and the lowest are taken: a sample without repetition.
    let mut order: Vec<(u64, usize)> = (0..train.len()).map(|index| (random(key(index)), index)).collect();
    order.sort_unstable();
    let columns = 6.min(count.max(1));
    let side = set.size.max(TILE);
    let mut sheet = contact_sheet::Sheet::new(columns, count.div_ceil(columns), side);
    for (tile, &(_, index)) in order.iter().take(count).enumerate() {
        let pixels = train.image(index)?;
        let label = train.label(index);
        let name = set.class_names[label].split(',').next().unwrap_or_default();
        sheet.tile(tile, &pixels, set.channels, set.size, &format!("{label} {name}"));
    }
    Ok(sheet)
}

fn random(key: alexnet_ops::Key) -> u64 {
    use rand_chacha::rand_core::Rng;
    key.rng().next_u64()
}

/// Draws augmented versions of one image: the original and the centre, then one row for each way of drawing.
fn augmented(
    set: &Dataset,
    train: &Split,
    statistics: &Statistics,
    device: &Device,
    seed: u64,
) -> Result<contact_sheet::Sheet> {
    const DRAWS: usize = 6;
    let index = (seed as usize) % train.len().max(1);
    let one = train.select(&[index]);
    let side = paper_side(set.size);
    let mut rows = vec![("crop, flip", augmentation(None))];
    if set.channels == 3 {
        rows.extend([
            ("colour as run", augmentation(Some(ColourReading::StandardDeviation))),
            ("colour by the text", augmentation(Some(ColourReading::UnitEigenvalue))),
            ("usual constants", augmentation(Some(ColourReading::UsualConstants))),
        ]);
    }
    let mut sheet = contact_sheet::Sheet::new(DRAWS, rows.len() + 1, set.size.max(TILE));
    let image = one.image(0)?;
    sheet.tile(0, &image, set.channels, set.size, "as it is");
    let mut cut = |tile: usize, draws: Draws, epoch: usize, text: &str| -> Result<()> {
        let config = LoaderConfig {
            batch_size: 1,
            side,
            padding: 0,
            mean: MeanKind::None,
            scale: PixelScale::Levels,
            upload: Upload::Floats,
            draws,
            workers: 0,
        };
        let loader = Loader::new(one.clone(), statistics, config, device.clone())?;
        loader.set_epoch(epoch, 0);
        let batch = loader.iter().next().ok_or_else(|| anyhow!("no image"))??;
        let values: Vec<f32> = batch.images.into_data().try_to_vec().map_err(|error| anyhow!("{error:?}"))?;
        let pixels: Vec<u8> = values.iter().map(|value| value.round().clamp(0.0, 255.0) as u8).collect();
        sheet.tile(tile, &pixels, set.channels, side, text);
        Ok(())
    };
    cut(1, Draws::Views(Views::Centre), 1, "centre view")?;
    for (row, (text, augmentation)) in rows.into_iter().enumerate() {
        for draw in 0..DRAWS {
            let draws = Draws::Training { seed, augmentation: augmentation.clone() };
            let text = if draw == 0 { text } else { "" };
            cut((row + 1) * DRAWS + draw, draws, draw + 1, text)?;
        }
    }
    Ok(sheet)
}
