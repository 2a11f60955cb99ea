//! A file of PyTorch, and the features of a photograph by fc7.
//!
//!     cargo run --example torchvision_features [WEIGHTS.pth IMAGE]
//!
//! Without arguments, weights are drawn and written in torchvision's layout first.

#![allow(clippy::print_stdout)] // an example shows what it found

use alexnet_data::{Preprocessing, Views};
use alexnet_model::Preset;
use alexnet_weights::{Names, Weights};
use burn::tensor::{Device, Tensor, TensorData};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Device::flex();
    let network = Preset::load("torchvision")?;
    let mut arguments = std::env::args().skip(1);
    let weights = match arguments.next() {
        Some(file) => Weights::read(file.as_ref())?,
        None => Weights::of(&network.init(0, &device)?, Names::Torchvision)?,
    };
    let model = weights.network(&network, &device)?;

    let image = arguments.next().unwrap_or_else(|| "fuzz/corpus/jpeg/baseline.jpg".into());
    let pixels = Preprocessing::torchvision().views(&std::fs::read(image)?, Views::Centre)?;
    let images = Tensor::<4>::from_data(TensorData::new(pixels, [1, 3, 224, 224]), &device);
    let features = model.features(images, "fc7");
    println!("fc7: {:?}, the first numbers {}", features.dims(), features.narrow(1, 0, 6));
    Ok(())
}
