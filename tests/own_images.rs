//! Images of one's own: a folder, and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::support::{experiments, stderr, stdout, succeed};

/// Pictures of `width` × `height` in class folders: bright and dark ones.
pub(crate) fn pictures(folder: &Path, per_class: u8, [width, height]: [u32; 2]) -> PathBuf {
    let root = folder.join("my photos");
    for (class, shade) in [("bright", 200u8), ("dark", 30)] {
        let place = root.join(class);
        fs::create_dir_all(&place).unwrap();
        for number in 0..per_class {
            let pixels: Vec<u8> =
                (0..width * height * 3).map(|at| shade + (at * 7 + u32::from(number)) as u8 % 40).collect();
            let mut bytes = Vec::new();
            let mut encoder = png::Encoder::new(&mut bytes, width, height);
            encoder.set_color(png::ColorType::Rgb);
            encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
            fs::write(place.join(format!("{number}.png")), bytes).unwrap();
        }
    }
    root
}

fn run(folder: &Path, words: &[&str]) -> Output {
    experiments(folder).args(words).output().unwrap()
}

/// The only run's folder in `out`.
fn only_run(out: &Path) -> PathBuf {
    let runs = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path());
    let runs: Vec<PathBuf> = runs.filter(|path| path.join("run.json").is_file()).collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs[0].clone()
}

#[test]
fn a_folder_is_trained_on_tested_and_predicted_without_any_other_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let images = pictures(folder, 20, [30, 24]);
    let small = ["--network", "mini", "--size", "16"];
    let trained = succeed(
        experiments(folder)
            .args(["train", "--data", "my photos", "--epochs", "2", "--plain", "--out", "runs"])
            .args(small),
    );
    let said = stderr(&trained);
    for line in [
        "2 classes, 40 images of 30×24 on average, resized to 16",
        "34 to train on, 2 set aside for validation, 4 set aside for the test",
        "network `mini`, epochs: 2, images in a batch: 32",
        "few images to train on (17 of class `bright`)",
    ] {
        assert!(said.contains(line), "no `{line}` in {said}");
    }
    let told = stdout(&trained);
    let run_folder = only_run(&folder.join("runs"));
    let name = run_folder.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("mini-my-photos-seed0-"), "{name}");
    assert!(told.contains("top-1 error") && !told.contains("top-5"), "{told}");
    assert!(told.contains(&format!("experiments predict runs/{name} photo.jpg")), "{told}");
    let page = fs::read_to_string(run_folder.join("report/index.html")).unwrap();
    assert!(page.contains("my-photos") && page.contains("kernels.png"), "{page}");

    // The words that were said do what they say.
    let predicted =
        run(folder, &["predict", &format!("runs/{name}"), "my photos/dark/3.png", "--format", "json"]);
    let predictions: Value = serde_json::from_str(&stdout(&predicted)).unwrap();
    assert_eq!(predictions[0]["top"].as_array().unwrap().len(), 2, "{predictions}");
    let weights = format!("runs/{name}");
    let table = run(folder, &["predict", &weights, "my photos", "my photos/dark/*.png", "--format", "csv"]);
    let lines: Vec<String> = stdout(&table).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 1 + 2 * 60, "{}", stderr(&table));
    assert!(lines[1].starts_with("\"my photos/bright/0.png\",1,"), "{}", lines[1]);
    let page = run(folder, &["predict", &weights, "my photos/dark", "--format", "html"]);
    assert_eq!(stdout(&page).matches("<img").count(), 20, "{}", stderr(&page));
    let nothing = run(folder, &["predict", &weights, "my photos/*.gif"]);
    assert!(stderr(&nothing).contains("no JPEG or PNG file matches"), "{}", stderr(&nothing));
    let tested = run(folder, &["evaluate", &format!("runs/{name}"), "--data", "my photos"]);
    assert!(stdout(&tested).contains("(4 images, 1 view(s) each)"), "{}", stderr(&tested));
    // Its own test images, and not all images: by the folder, by an archive of it, and by the file of weights.
    let mut archive = tar::Builder::new(fs::File::create(folder.join("packed.tar")).unwrap());
    archive.append_dir_all("my photos", &images).unwrap();
    archive.finish().unwrap();
    let error = |text: &str| {
        let at = text.find("top-1 error").unwrap();
        text[at..].split(',').next().unwrap().to_owned()
    };
    let bpk = format!("{weights}/weights.bpk");
    for words in [
        ["evaluate", &weights, "--data", "my photos"],
        ["evaluate", &weights, "--data", "packed.tar"],
        ["evaluate", &bpk, "--data", "my photos"],
    ] {
        let found = stdout(&succeed(experiments(folder).args(words)));
        assert!(found.contains("(4 images") && error(&found) == error(&told), "{words:?}: {found}");
    }
    // More images are another data set.
    fs::copy(images.join("dark/3.png"), images.join("dark/other.png")).unwrap();
    let other = run(folder, &["evaluate", &format!("runs/{name}"), "--data", "my photos"]);
    assert!(stderr(&other).contains("was trained on other images than these"), "{}", stderr(&other));

    // Training goes on from a run with another number of classes: the last layer is drawn anew.
    fs::create_dir(images.join("middle")).unwrap();
    for number in 0..9 {
        fs::copy(images.join(format!("dark/{number}.png")), images.join(format!("middle/{number}.png")))
            .unwrap();
    }
    let from = format!("runs/{name}");
    let words =
        ["train", "--data", "my photos", "--from", &from, "--epochs", "1", "--plain", "--out", "more"];
    let tuned = run(folder, &words);
    assert!(tuned.status.success(), "{}", stderr(&tuned));
    let record: Value =
        serde_json::from_slice(&fs::read(only_run(&folder.join("more")).join("run.json")).unwrap()).unwrap();
    assert_eq!(record["config"]["initial"]["anew"], serde_json::json!(["fc8"]));
    assert_eq!(record["config"]["network"]["input"]["size"], 16);
    // Two runs beside each other.
    let tuned = only_run(&folder.join("more"));
    succeed(experiments(folder).args(["report", &from, tuned.to_str().unwrap(), "--out", "both"]));
    let both = fs::read_to_string(folder.join("both/index.html")).unwrap();
    assert!(both.contains("network.classes") && both.contains("2 runs"), "{both}");
}

#[test]
fn an_ablation_runs_on_a_folder_and_a_study_goes_on_in_other_processes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    pictures(folder, 8, [16, 16]);
    let words =
        ["ablation", "lrn", "--data", "my photos", "--network", "mini", "--size", "16", "--epochs", "1"];
    let more = ["--seeds", "1", "--jobs", "2", "--plain", "--out", "runs"];
    let output = experiments(folder).args(words).args(more).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("gain-only"), "{}", stdout(&output));
    assert!(folder.join("runs/ablations/lrn-my-photos-mini-16/report/index.html").is_file());
}

#[test]
fn what_does_not_fit_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let images = pictures(folder, 4, [20, 20]);
    fs::create_dir_all(folder.join("single/only")).unwrap();
    fs::copy(images.join("dark/0.png"), folder.join("single/only/0.png")).unwrap();
    fs::write(folder.join("net.toml"), alexnet_model_toml()).unwrap();
    let prepare = ["data", "prepare", "my photos", "--out", "shards", "--size", "100"];
    succeed(experiments(folder).args(prepare));
    for (words, expected) in [
        (vec!["train"], "give a scale (mini, fashion"),
        (vec!["train", "--data", "nowhere"], "--data nowhere: no such file or folder"),
        (vec!["train", "cifar10", "--network", "mini"], "give them with `--data FOLDER`"),
        (vec!["train", "cifar10", "--network", "mini", "--data", "my photos"], "leave the scale out"),
        (vec!["ablation", "lrn", "--network", "mini"], "give them with `--data FOLDER`"),
        (vec!["ablation", "lrn", "--data", "nowhere"], "--data nowhere: no such file or folder"),
        (vec!["train", "cifar10", "--data", "my photos"], "need neither a scale nor a name"),
        (vec!["train", "my photos"], "images are given with `--data my photos`"),
        (vec!["train", "--data", "my photos/dark"], "has no class folders"),
        (vec!["train", "--data", "single"], "only one class"),
        (vec!["train", "--data", "my photos/dark/0.png"], "one image; give a folder"),
        (vec!["train", "--data", "my photos", "--out", "my photos/runs"], "lies in the folder of the images"),
        (vec!["train", "./net.toml", "--data", "my photos"], "net.toml is a network, not a scale"),
        (vec!["train", "--data", "my photos", "--network", "nothing"], "nothing"),
        (vec!["train", "--data", "shards", "--network", "mini"], "prepare the images with `--size 32`"),
        (vec!["train", "--data", "my photos", "--size", "3"], "the smallest that fits is"),
        (vec!["train", "--data", "shards", "--network", "mini", "--size", "88"], "takes 1 channel(s)"),
    ] {
        let output = run(folder, &words);
        assert!(!output.status.success(), "{words:?}");
        assert!(stderr(&output).contains(expected), "{words:?}: {}", stderr(&output));
    }
    succeed(experiments(folder).args(["data", "check", "my photos"]));
    // A prepared folder keeps the name of its source.
    let prepared = ["train", "--data", "shards", "--size", "88", "--epochs", "1", "--plain"];
    succeed(experiments(folder).args(prepared));
    assert!(only_run(&folder.join("runs")).to_str().unwrap().contains("small-my-photos-seed0"));
    // One image cannot be divided into three splits.
    for (class, number) in
        ["bright", "dark"].into_iter().flat_map(|class| (1..4).map(move |number| (class, number)))
    {
        fs::remove_file(images.join(format!("{class}/{number}.png"))).unwrap();
    }
    let few = run(folder, &["train", "--data", "my photos", "--network", "mini", "--size", "16"]);
    assert!(stderr(&few).contains("each class needs at least three images"), "{}", stderr(&few));
}

fn alexnet_model_toml() -> &'static str {
    alexnet_model::Preset::ALL.iter().find(|preset| preset.name == "mini").unwrap().toml
}

/// All a manifest needs is a name.
#[test]
fn a_manifest_needs_only_what_cannot_be_inferred() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    pictures(folder, 6, [20, 20]);
    fs::write(folder.join("mine.toml"), "name = \"mine\"\nclass = []\n").unwrap();
    let check = ["data", "check", "./mine.toml", "--data", "my photos"];
    let unknown = run(folder, &check);
    assert!(stderr(&unknown).contains("unknown field `class`"), "{}", stderr(&unknown));
    fs::write(folder.join("mine.toml"), "name = \"mine\"\n").unwrap();
    let checked = run(folder, &check);
    assert!(checked.status.success(), "{}", stderr(&checked));
}
