//! Class folders to weights.
//!
//!     cargo run --example train_on_your_images [FOLDER [OUT]]
//!
//! FOLDER holds `train/<class>/…` and `test/<class>/…`. Without it, pictures of two kinds of stripes are made. The
//! run's folder is made in OUT, or without it in a temporary folder, which is removed at the end.

#![allow(clippy::print_stdout)] // an example shows what it found

use std::path::{Path, PathBuf};

use alexnet_config::Diff;
use alexnet_data::{Dataset, Manifest};
use alexnet_ops::{Backend, Implementation};
use alexnet_study::Scale;
use alexnet_train::{Data, Environment, Run};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let work = tempfile::tempdir()?;
    let mut arguments = std::env::args().skip(1).map(PathBuf::from);
    let folder = arguments.next().map_or_else(|| stripes(work.path()), Ok)?;
    let out = arguments.next();

    let data = Data::new(Dataset::open(&Manifest::of_images("mine", 3, 28), &folder)?)?;
    let mut changes = Diff::default();
    for change in [
        "network.input.channels=3".to_owned(),
        format!("network.classes={}", data.dataset.classes.len()),
        format!("network.fc.fc8.units={}", data.dataset.classes.len()),
        "recipe.epochs=4".to_owned(),
    ] {
        changes.parse_set(&change)?;
    }
    let config = Scale::load(&[], "experiments/scales/mini.toml")?.config(&changes)?;
    let runs = out.as_deref().unwrap_or(work.path());
    let run = Run::new(config, 0, Implementation::Fast, &data.dataset, runs);
    let environment = Environment::on(Backend::in_this_build()[0])?;
    let result = run.complete(&data, &environment, "mine", false)?;
    for test in &result.tests {
        println!("test top-1 error {:.1} % of {} images", 100.0 * test.top1_error, test.images);
    }
    let bytes = std::fs::metadata(run.weights())?.len();
    let kept = if out.is_some() { "" } else { "; temporary, give OUT to keep them" };
    println!("{}: {bytes} bytes{kept}", run.weights().display());
    Ok(())
}

/// Pictures of upright and of level stripes, in class folders.
fn stripes(root: &Path) -> Result<PathBuf, Box<dyn std::error::Error>> {
    for (split, count) in [("train", 200), ("test", 50)] {
        for (class, across) in [("upright", true), ("level", false)] {
            let folder = root.join("images").join(split).join(class);
            std::fs::create_dir_all(&folder)?;
            for number in 0..count {
                let level = |at: usize| {
                    let place = if across { at % 28 } else { at / 28 };
                    ((place + number) / (2 + number % 3) % 2 * 160 + (at * 37 + number * 11) % 60) as u8
                };
                let pixels: Vec<u8> = (0..28 * 28).flat_map(|at| [level(at); 3]).collect();
                let file = std::fs::File::create(folder.join(format!("{number}.png")))?;
                let mut encoder = png::Encoder::new(file, 28, 28);
                encoder.set_color(png::ColorType::Rgb);
                encoder.write_header()?.write_image_data(&pixels)?;
            }
        }
    }
    Ok(root.join("images"))
}
