//! An ablation made in code: does it matter how wide the windows of max pooling are?
//!
//!     cargo run --example custom_ablation

#![allow(clippy::print_stdout)] // an example shows what it found

use std::path::Path;

use alexnet_config::{BuiltIn, Diff, parse};
use alexnet_data::{Dataset, Manifest};
use alexnet_ops::Backend;
use alexnet_report::Report;
use alexnet_study::{Ablation, Scale, Seeds, Study, arm};
use alexnet_train::{Data, Environment};

const ABLATION: BuiltIn = BuiltIn {
    name: "windows",
    toml: r#"
        name = "windows"
        question = "Do overlapping windows matter in the first pooling?"
        quantity = "test-error"
        delta = 0.3
        claim = { text = "overlapping windows reduce top-1 error by 0.4 points", section = "§3.4", data = "ILSVRC-2012 validation" }
        base = { name = "three", about = "windows of 3 × 3 pixels, 2 apart" }

        [[arms]]
        name = "two"
        about = "windows of 2 × 2 pixels, 2 apart"
        expect = "worse"
        set = { "network.conv.conv1.stages.max-pool.size" = 2 }
    "#,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ablation = Ablation::load(&[ABLATION], "windows")?;
    let scale = Scale::load(&[], "experiments/scales/mini.toml")?.with_epochs(Some(1));
    let arms = arm::resolve(&ablation, &scale, &Diff::default())?;

    let manifest: Manifest = parse(&std::fs::read_to_string("datasets/fashion-mnist-mini.toml")?)?;
    let data = Data::new(Dataset::open(&manifest, Path::new("datasets/fashion-mnist-mini"))?)?;
    let environment = Environment::on(Backend::in_this_build()[0])?;

    let out = tempfile::tempdir()?;
    let study = Study::new(&ablation, &scale, None, arms, Seeds::fixed(2), &data, &environment)?;
    for task in study.tasks() {
        study.train(&task, &data, &environment, out.path(), false)?;
    }
    print!("{}", Report::of(&study, out.path(), false).table());
    Ok(())
}
