//! Weights that training begins with: fine-tuning, and the ablation that asks what it is worth.

use std::path::{Path, PathBuf};
use std::process::Output;

use alexnet_weights::Weights;

use crate::support::{experiments, stderr, stdout, succeed, tiny_idx, tiny_scale};

/// Trains the mini network on few images; returns the run's folder.
fn train(folder: &Path, more: &[&str]) -> PathBuf {
    let words = ["train", "tiny.toml", "--epochs", "1", "--plain", "--format", "json"];
    let output = succeed(experiments(folder).args(words).args(more));
    let found: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    folder.join(found["run"].as_str().unwrap())
}

#[test]
fn fine_tuning_keeps_frozen_layers_and_draws_a_new_head() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tiny_idx(&folder.join("idx"), 4);
    tiny_scale(folder);
    // Learned first: darker images, whose mean is another.
    let dark = tiny_idx(&folder.join("dark"), 4);
    let images = dark.join("train-images-idx3-ubyte");
    let mut bytes = std::fs::read(&images).unwrap();
    bytes[16..].iter_mut().for_each(|pixel| *pixel /= 3);
    std::fs::write(&images, bytes).unwrap();
    let first = train(folder, &["--data", "dark"]);
    let (first_name, frozen) = (first.to_str().unwrap(), "conv1,conv2,conv3,fc6");
    let head = ["--set", "network.classes=4", "--set", "network.fc.fc8.units=4"];
    let head = [&head[..], &["--set", "data.classes=[5, 1, 2, 8]"]].concat();
    let tuned =
        [&["--data", "idx", "--from", first_name, "--new", "fc8", "--freeze", frozen][..], &head].concat();
    let second = train(folder, &tuned);
    let [before, after] =
        [&first, &second].map(|run| Weights::read(&run.join("weights.bpk")).unwrap().tensors);
    let frozen = ["conv.0", "conv.1", "conv.2", "fc.0"];
    for (name, tensor) in &before {
        let layer = name.rsplit_once('.').unwrap().0;
        assert_eq!(after[name] == *tensor, frozen.contains(&layer), "{name}");
    }
    assert_eq!(after["fc.2.weight"].shape, [4, 256]);
    // What it began with is part of what a run is, and no path is kept.
    let record = std::fs::read_to_string(second.join("run.json")).unwrap();
    assert!(record.contains("\"anew\": [\n        \"fc8\"") && !record.contains(first_name), "{record}");
    // Tested once more, as it was trained: with the preparation of its weights.
    let words = ["evaluate", second.to_str().unwrap(), "--data", "idx", "--format", "json"];
    let again: serde_json::Value =
        serde_json::from_str(&stdout(&succeed(experiments(folder).args(words)))).unwrap();
    let result: serde_json::Value =
        serde_json::from_slice(&std::fs::read(second.join("result.json")).unwrap()).unwrap();
    let loss = |test: &serde_json::Value| test["loss"].as_f64().unwrap();
    let (again, before) = (loss(&again["runs"][0]["test"]), loss(&result["tests"][0]));
    // The gain goes through its inverse and back, which may cost its last bit.
    assert!((again - before).abs() < 1e-5 * before, "{again} and {before}");
    assert_eq!(result["tests"][0]["images"], 8, "two of each of four classes");

    let fails = |more: &[&str], expected: &str| {
        let words = ["train", "tiny.toml", "--data", "idx", "--epochs", "1", "--plain"];
        let output: Output = experiments(folder).args(words).args(more).output().unwrap();
        let message = stderr(&output);
        assert!(!output.status.success() && message.contains(expected), "{message}");
        assert!(!message.contains("panicked"), "{message}");
    };
    fails(&["--from", "nowhere"], "nowhere");
    fails(&["--freeze", "conv9"], "has no such layer");
    fails(&["--new", "fc8"], "--from");
    fails(&["--from", first_name, "--new", "fc9"], "no such layer to draw anew");
    fails(&[&["--from", first_name][..], &head].concat(), "say `--new fc8`");
    fails(&["--set", "data.classes=[1, 1]"], "named twice");
    fails(&["--set", "data.classes=[1, 10]"], "has no class 10");
    fails(&["--set", "initial.anew=[\"fc8\"]"], "no weights are given");
}

#[test]
fn the_source_is_trained_once_a_seed_and_its_arms_begin_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tiny_idx(&folder.join("idx"), 14);
    tiny_scale(folder);
    let ablation = |jobs: &str| -> serde_json::Value {
        let words = [
            "ablation",
            "transfer",
            "--data",
            "idx",
            "--epochs",
            "1",
            "--seeds",
            "1",
            "--plain",
            "--scale",
            "tiny.toml",
        ];
        let more = ["--jobs", jobs, "--out", jobs, "--format", "json"];
        serde_json::from_str(&stdout(&succeed(experiments(folder).args(words).args(more)))).unwrap()
    };
    let (one, two) = (ablation("1"), ablation("2"));
    for (one, two) in one["arms"].as_array().unwrap().iter().zip(two["arms"].as_array().unwrap()) {
        assert_eq!(one["values"], two["values"], "{}", one["name"]);
    }
    let arms = one["arms"].as_array().unwrap();
    let arm = |name: &str| arms.iter().find(|arm| arm["name"] == name).unwrap();
    // Of 14 images a class one is set aside.
    assert_eq!([&arm("tuned, all")["training_images"], &arm("tuned, 10")["training_images"]], [65, 50]);
    assert_eq!(arm("tuned, 10")["against"], "scratch, 10");
    let value = |name: &str| arm(name)["values"][0].as_f64().unwrap();
    let difference = arm("tuned, 10")["difference"]["mean"].as_f64().unwrap();
    assert!((difference - (value("tuned, 10") - value("scratch, 10"))).abs() < 1e-9);
    assert_ne!(
        value("scratch, 10"),
        value("scratch, all"),
        "or it would not matter which it is held against"
    );
    assert_eq!(arm("tuned, 10")["runs"][0]["epochs"], 10);
    let folders: Vec<_> = std::fs::read_dir(folder.join("1")).unwrap().map(|it| it.unwrap().path()).collect();
    let runs = folders.iter().filter(|folder| folder.join("result.json").is_file()).count();
    assert_eq!(runs, 12 + 1, "the arms and one source");
    let source = folders.iter().find_map(|folder| {
        let record = std::fs::read_to_string(folder.join("run.json")).ok()?;
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        (record["config"]["data"]["classes"] == serde_json::json!([0, 2, 4, 6, 8])).then_some(record)
    });
    let of = |arm: &serde_json::Value| {
        let run = folder.join("1").join(arm["runs"][0]["folder"].as_str().unwrap());
        let record = std::fs::read_to_string(run.join("run.json")).unwrap();
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        record["config"]["initial"]["weights"].clone()
    };
    assert_eq!(of(arm("frozen, 40")), source.unwrap()["identity"]);
    assert_eq!(of(arm("scratch, 40")), "");
    for file in ["labels.svg", "curves.svg", "report/index.html"] {
        assert!(folder.join("1/ablations/transfer-mini").join(file).is_file(), "{file}");
    }
}
