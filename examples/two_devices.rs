//! Each tower on a device of its own, as on the two GPUs of 2012 (§3.2), and what goes between them.
//!
//!     cargo run --example two_devices --features ndarray
//!
//! With one backend in the build both towers lie on it, and nothing has to go anywhere.

#![allow(clippy::print_stdout)] // an example shows what it found

use alexnet_model::{Mode, Preset};
use alexnet_ops::Backend;
use burn::tensor::{Distribution, Tensor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let backends = Backend::in_this_build();
    let devices = [backends[0].device()?, backends[backends.len() - 1].device()?];
    let network = Preset::load("mini")?;
    let (together, apart) = (network.init(0, &devices[0])?, network.init_on(0, &devices)?);

    let shape = [8, network.input.channels, network.input.size, network.input.size];
    let images = Tensor::<4>::random(shape, Distribution::Normal(0.0, 50.0), &devices[0]);
    let logits = [&together, &apart].map(|model| model.forward(images.clone(), Mode::Evaluation));
    let difference: f32 = (logits[0].clone() - logits[1].clone()).abs().max().into_scalar();
    println!(
        "towers on {} and {}: largest difference of a logit {difference:.1e}",
        backends[0],
        backends[backends.len() - 1]
    );
    println!("{} bytes went between them for {} images", apart.exchanged_bytes(), shape[0]);
    Ok(())
}
