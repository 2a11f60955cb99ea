//! What others rely on, written down: names of runs, keys of JSON output, files of a run's folder. Each is compared with a
//! committed file; `ALEXNET_BURN_WRITE=1 cargo test --workspace --test integration -- frozen` writes those anew.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{experiments, golden, stdout, succeed, tiny_idx, tiny_scale};

#[test]
fn names_of_runs_are_what_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let mut lines = String::new();
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/ablations")).unwrap();
    let names: BTreeSet<_> =
        files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    for ablation in &names {
        let words = ["submit", "slurm", ablation, "--dry-run", "--seeds", "1", "--out", "runs"];
        succeed(experiments(folder.path()).args(words));
        let study = folder.path().join(format!("runs/ablations/{ablation}-mini/study.json"));
        let study: Value = serde_json::from_slice(&std::fs::read(study).unwrap()).unwrap();
        let source = study["source"].as_object().map(|source| ("source", &source["runs"][0]));
        let arms = study["arms"].as_array().unwrap().iter();
        let arms = arms.map(|arm| (arm["name"].as_str().unwrap(), &arm["runs"][0]));
        for (arm, run) in source.into_iter().chain(arms) {
            lines.push_str(&format!("{ablation}\t{arm}\t{}\n", run.as_str().unwrap()));
        }
    }
    golden("tests/golden/frozen/runs.tsv", &lines);
}

/// The paths of all keys, to a depth; whatever is in a list counts as one.
fn keys(value: &Value, path: &str, depth: usize, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) if depth > 0 => {
            for (key, value) in map {
                let path = format!("{path}.{key}");
                keys(value, &path, depth - 1, found);
                found.insert(path);
            }
        }
        Value::Array(values) => {
            values.iter().for_each(|value| keys(value, &format!("{path}[]"), depth, found));
        }
        _ => {}
    }
}

#[test]
fn keys_of_json_and_files_of_a_run_are_what_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let (scale, images) = (tiny_scale(root), tiny_idx(&root.join("images"), 12));
    let (scale, images) = (scale.to_str().unwrap(), images.to_str().unwrap());
    let mut text = String::new();
    let mut json = |title: &str, command: &mut Command| {
        let output = stdout(&succeed(command.args(["--format", "json"])));
        let mut found = BTreeSet::new();
        keys(&serde_json::from_str(&output).unwrap(), "", 3, &mut found);
        text.push_str(&format!(
            "{title}\n{}",
            found.iter().map(|key| format!("  {key}\n")).collect::<String>()
        ));
    };
    let command = |words: &[&str]| {
        let mut command = experiments(root);
        command.args(words);
        command
    };
    let train = ["--scale", scale, "--data", images, "--epochs", "1", "--set", "recipe.learning_rate=0.001"];
    json("ablation", &mut command(&[&["ablation", "lrn", "--seeds", "2"], &train[..]].concat()));
    let study = "runs/ablations/lrn-mini";
    json("report", &mut command(&["report", study]));
    json("power", &mut command(&["power", study]));
    let mut runs: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(root.join("runs")).unwrap() {
        let path = entry.unwrap().path();
        if path.join("run.json").is_file() {
            runs.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
    // A run with LRN comes first: its result has more keys. Names are hashes, so their order says nothing.
    runs.sort_by_key(|run| {
        let config = std::fs::read_to_string(root.join(run).join("run.json")).unwrap();
        (!config.contains("\"lrn\""), run.clone())
    });
    json("runs list", &mut command(&["runs", "list"]));
    json("runs show", &mut command(&["runs", "show", &runs[0]]));
    json("runs diff", &mut command(&["runs", "diff", &runs[0], &runs[1]]));
    json("evaluate", &mut command(&["evaluate", &runs[0], "--data", images]));
    json("train", &mut command(&["train", scale, "--data", images, "--epochs", "1", "--out", "one"]));
    json("model", &mut command(&["model", "mini"]));
    json("bench", &mut command(&["bench", "mini", "--batch", "2", "--samples", "1", "--infer"]));
    json("data check", &mut command(&["data", "check", "fashion-mnist-mini"]));
    json("weights inspect", &mut command(&["weights", "inspect", &runs[0]]));
    golden("tests/golden/frozen/keys.txt", &text);

    let mut files = Vec::new();
    below(&root.join(&runs[0]), "", &mut files);
    files.sort();
    golden("tests/golden/frozen/files.txt", &files.concat());
}

fn below(folder: &Path, prefix: &str, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        match entry.file_type().unwrap().is_dir() {
            true => below(&entry.path(), &format!("{name}/"), files),
            // TensorBoard's file has host and time in its name.
            false => files.push(format!(
                "{}\n",
                if name.contains("tfevents") { "events.out.tfevents.*" } else { &name }
            )),
        }
    }
}
