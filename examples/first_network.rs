//! A preset, one image, its logits.
//!
//!     cargo run --example first_network [IMAGE]

#![allow(clippy::print_stdout)] // an example shows what it found

use alexnet_data::{Preprocessing, Views};
use alexnet_model::{Mode, Preset};
use burn::tensor::{Device, Tensor, TensorData};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Device::flex();
    let network = Preset::load("alexnet-2012")?;
    let model = network.init(0, &device)?;

    let image = std::env::args().nth(1).unwrap_or_else(|| "fuzz/corpus/jpeg/baseline.jpg".into());
    let pixels = Preprocessing::paper(network.input.size).views(&std::fs::read(&image)?, Views::Centre)?;
    let side = network.input.size;
    let images = Tensor::<4>::from_data(TensorData::new(pixels, [1, 3, side, side]), &device);

    let logits = model.forward(images, Mode::Evaluation);
    println!("{image}: {:?} logits of a network whose weights are drawn", logits.dims());
    println!("{}", logits.narrow(1, 0, 5));
    Ok(())
}
