//! Two devices with real transfers between them: those of `ALEXNET_BURN_DEVICES` (`cuda:0,cuda:1`), or Flex and the last
//! backend of this build. In CI that is NdArray, which is slow, so everything is small here.

use std::path::Path;
use std::process::Command;

use alexnet_data::Batch;
use alexnet_model::Network;
use alexnet_ops::{Backend, Key};
use alexnet_train::{Classifier, Elapsed, UpdateRule, optimizer};
use alexnet_weights::Weights;
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use burn::train::TrainStep;

use crate::support::{Held, experiments, preset, stderr, succeed, tiny_idx, tiny_scale, tolerance};

fn backends() -> [Backend; 2] {
    if let Ok(names) = std::env::var("ALEXNET_BURN_DEVICES") {
        let (one, other) = names.split_once(',').unwrap();
        return [one, other].map(|name| name.parse().unwrap());
    }
    let all = Backend::in_this_build();
    [all[0], *all.last().unwrap()]
}

fn two() -> [Device; 2] {
    backends().map(|backend| backend.device().unwrap().autodiff())
}

/// As `--devices` names them.
fn names() -> String {
    backends().map(|backend| backend.to_string()).join(",")
}

/// Sums in another order on the other device, or factors of fewer bits.
fn rounding() -> f64 {
    backends().iter().map(|backend| f64::from(tolerance(backend.name(), 1e-5))).fold(0.0, f64::max)
}

/// Values by the path of each parameter: its own, or its gradient's.
struct Collect<'a> {
    gradients: Option<&'a GradientsParams>,
    path: Vec<String>,
    found: Vec<(String, Vec<f32>)>,
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = match self.gradients {
            Some(gradients) => gradients.get::<D>(param.id).expect("every parameter has a gradient"),
            None => param.val().inner(),
        };
        self.found.push((self.path.join("."), value.into_data().try_to_vec().unwrap()));
    }
}

fn values(model: &Classifier, gradients: Option<&GradientsParams>) -> Vec<(String, Vec<f32>)> {
    let mut collect = Collect { gradients, path: Vec::new(), found: Vec::new() };
    model.visit(&mut collect);
    collect.found
}

/// `‖a − b‖ ≤ tolerance · ‖b‖` for each tensor.
fn close(what: &str, ours: &[(String, Vec<f32>)], theirs: &[(String, Vec<f32>)], tolerance: f64) {
    assert_eq!(ours.len(), theirs.len());
    let mut worst = 0f64;
    for ((name, a), (_, b)) in ours.iter().zip(theirs) {
        let norm =
            |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let (error, size) = (norm(&mut a.iter().zip(b).map(|(a, b)| a - b)), norm(&mut b.iter().copied()));
        assert!(error <= tolerance * size + 1e-12, "{what}, {name}: off by {error} of {size}");
        worst = worst.max(error / size.max(1e-12));
    }
    println!("{what}: {worst:.1e}");
}

fn batch(network: &Network, images: usize, step: usize, device: &Device) -> Batch {
    let side = network.input.size;
    let count = images * network.input.channels * side * side;
    let pixels: Vec<f32> = (0..count).map(|at| ((at * 7919 + step * 31) % 255) as f32 - 127.0).collect();
    let shape = [images, network.input.channels, side, side];
    Batch {
        images: Tensor::from_data(TensorData::new(pixels, shape), device),
        targets: (0..images).map(|at| (at * 3 + step) % network.classes).collect(),
        keys: (0..images).map(|at| Key::new([7, step as u64, at as u64, 0])).collect(),
    }
}

#[test]
fn towers_on_two_devices_are_the_network_on_one() {
    let network = preset("mini");
    let devices = two();
    let mut one = Classifier::new(&network, 3, &devices[0]).unwrap();
    let mut apart = Classifier::new_on(&network, 3, &devices).unwrap();
    assert_ne!(devices[0], devices[1]);
    let mut optimizers = [(); 2].map(|()| {
        optimizer(&network, &UpdateRule::default(), &Elapsed::default(), alexnet_ops::Implementation::Fast)
    });
    let images = 6;
    for step in 0..10 {
        let batch = batch(&network, images, step, &devices[0]);
        let (ours, theirs) = (apart.step(batch.clone()), one.step(batch));
        assert!(
            (ours.item.loss() - theirs.item.loss()).abs() <= rounding() * theirs.item.loss(),
            "step {step}"
        );
        assert_eq!(ours.grads.len(), apart.network().learned_tensors());
        let gradients = [values(&apart, Some(&ours.grads)), values(&one, Some(&theirs.grads))];
        close(&format!("gradients of step {step}"), &gradients[0], &gradients[1], rounding());
        apart = optimizers[0].step(0.01, apart, ours.grads);
        one = optimizers[1].step(0.01, one, theirs.grads);
    }
    close("after ten steps", &values(&apart, None), &values(&one, None), rounding());
    assert_eq!(apart.network().devices(), devices, "each tower stays where it was");
    // Only conv3 and the fully connected layers read the other tower.
    let layers = network.trace().unwrap().layers;
    let exchanging: Vec<&str> =
        layers.iter().filter(|it| it.exchanged > 0).map(|it| it.name.as_str()).collect();
    assert_eq!(exchanging, ["conv3", "fc6", "fc7", "fc8"]);
    let numbers: usize = layers.iter().map(|layer| layer.exchanged).sum();
    assert_eq!(apart.network().exchanged_bytes(), (10 * images * 4 * numbers) as u64);
    assert_eq!(one.network().exchanged_bytes(), 0);
}

/// To train [`tiny_scale`] on few images, 36, so the last batch of seven is one image for two devices.
fn training(folder: &Path, out: &str, more: &[&str]) -> Command {
    let (scale, data) = (tiny_scale(folder), tiny_idx(&folder.join("images"), 4));
    let mut command = experiments(folder);
    command.args(["train", scale.to_str().unwrap(), "--data", data.to_str().unwrap(), "--out", out]);
    command.args(["--set", "recipe.batch_size=7", "--set", "recipe.learning_rate=0.001"]).args(more);
    command
}

/// The weights that a training ends with.
fn train(folder: &Path, out: &str, more: &[&str]) -> Weights {
    succeed(&mut training(folder, out, more));
    let mut runs = std::fs::read_dir(folder.join(out)).unwrap().map(|entry| entry.unwrap().path());
    Weights::read(&runs.next().unwrap().join("weights.bpk")).unwrap()
}

fn close_weights(what: &str, ours: &Weights, theirs: &Weights) {
    let list = |weights: &Weights| -> Vec<(String, Vec<f32>)> {
        weights.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.values.clone())).collect()
    };
    close(what, &list(ours), &list(theirs), rounding());
}

/// The same devices give the same bits, but for a GPU, on which Burn chooses kernels by timing them.
fn the_same(what: &str, ours: &Weights, theirs: &Weights) {
    if backends().iter().any(|backend| backend.name() == "cuda") {
        return close_weights(what, ours, theirs);
    }
    assert!(ours == theirs, "{what}: other bits");
}

#[test]
fn a_run_may_be_divided_by_towers_or_by_images_and_go_on_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let epochs = ["--epochs", "2"];
    let first = backends()[0].to_string();
    let one = train(folder, "one", &[&epochs[..], &["--backend", &first]].concat());
    let names = names();
    let devices = ["--epochs", "2", "--devices", &names];
    close_weights("towers", &train(folder, "towers", &devices), &one);
    let parallel = [&devices[..], &["--data-parallel"]].concat();
    let straight = train(folder, "parallel", &parallel);
    close_weights("data parallel", &straight, &one);
    // On a GPU no two runs give the same bits, so this says nothing there.
    assert!(straight != one, "sums of parts are rounded otherwise: the batches were not divided");
    the_same("again", &train(folder, "again", &parallel), &straight);
}

#[test]
fn what_cannot_be_placed_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let fails = |arguments: &[&str], expected: &str| {
        let output = experiments(folder.path()).args(arguments).output().unwrap();
        let message = stderr(&output);
        assert!(!output.status.success());
        assert!(message.contains(expected), "{message}");
    };
    let train = ["train", "mini", "--epochs", "1", "--devices"];
    fails(&[&train[..], &["flex"]].concat(), "takes several");
    fails(&[&train[..], &["flex,flex,flex"]].concat(), "3 devices for 2 tower(s)");
    fails(&[&train[..], &["flex,nothing"]].concat(), "there is no backend `nothing`");
    fails(&["train", "mini", "--data-parallel"], "--devices");
    let ddp = ["flex,flex", "--data-parallel=ddp"];
    fails(&[&train[..], &ddp].concat(), "`flex` is none, or named twice");
    let batch_norm = "network.conv.conv2.stages=[{batch-norm={epsilon=1e-5,momentum=0.1}}]";
    let parallel = ["flex,flex", "--data-parallel", "--set", batch_norm];
    fails(&[&train[..], &parallel].concat(), "batch normalization averages over whole batches");
}

/// Begins what [`train`] would train, and kills it in the third epoch of six steps and one for validation each.
fn kill(folder: &Path, out: &str, more: &[&str]) {
    Held::after(2 * 7 + 3, &mut training(folder, out, more)).ok().unwrap().kill();
}

/// The run in `out` was not begun again from nothing.
fn went_on(out: &Path) {
    let runs = std::fs::read_dir(out).unwrap().map(|run| run.unwrap().path());
    let record = runs.filter_map(|run| std::fs::read(run.join("run.json")).ok()).next().unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    let from = record["sessions"].as_array().unwrap().last().unwrap()["from_epoch"].as_u64().unwrap();
    assert!(from > 1, "it began in epoch {from}");
}

#[test]
fn a_run_killed_on_two_devices_goes_on_on_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let epochs = ["--epochs", "4"];
    let one = train(folder, "one", &epochs);
    kill(folder, "killed", &[&epochs[..], &["--devices", &names()]].concat());
    close_weights("on one device", &train(folder, "killed", &epochs), &one);
    went_on(&folder.join("killed"));
}

#[test]
fn a_run_with_divided_batches_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let names = names();
    let parallel = ["--epochs", "4", "--devices", &names, "--data-parallel"];
    let straight = train(folder, "straight", &parallel);
    kill(folder, "killed", &parallel);
    the_same("resumed", &train(folder, "killed", &parallel), &straight);
    went_on(&folder.join("killed"));
}
