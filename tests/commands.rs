use std::fs;

use serde_json::Value;

use crate::support::{experiments, repository, stderr, stdout, succeed, tiny_idx, tiny_scale};

#[test]
fn errors_say_what_where_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.toml");
    let lrn = include_str!("../experiments/ablations/lrn.toml");
    let scale = include_str!("../experiments/scales/mini.toml");
    let cases: Vec<(Vec<&str>, Option<String>, &str)> = vec![
        (vec!["ablation", "lnr"], None, "there is no ablation `lnr`; choose one of lrn"),
        (vec!["ablation", "lrn", "--scale", "huge"], None, "there is no scale `huge`"),
        (vec!["ablation", "lrn", "--backend", "tpu"], None, "there is no backend `tpu`"),
        (vec!["ablation", "lrn", "--backend", "flex:7"], None, "no number 7"),
        (vec!["ablation", "lrn", "--seeds", "0"], None, "at least 1"),
        (vec!["ablation", "lrn", "--epochs", "0"], None, "at least 1"),
        (
            vec!["ablation", "lrn", "--set", "recipe.rate=1"],
            None,
            "`recipe` has no `rate`; it has average_weights",
        ),
        (vec!["ablation", "lrn", "--set", "recipe.momentum=high"], None, "at `recipe.momentum`"),
        (vec!["ablation", "lrn", "--set", "network.classes=7"], None, "`classes` is 7"),
        (
            vec!["ablation", "lrn", "--set", "recipe.batch_size=0"],
            None,
            "recipe.batch_size: must be at least 1",
        ),
        (
            vec!["train", "mini", "--set", "network.conv.conv1.stages.lrn.size=100000000"],
            None,
            "lrn.size is 100000000 and must be 1 to 4096",
        ),
        (vec!["train", "mini", "--set", "network.conv.conv1.stages.lrn.k=0.0"], None, "k above 0"),
        (vec!["train", "mini", "--set", "recipe.batch_size=4000000000"], None, "training takes at least"),
        (vec!["ablation", "lrn", "--max-seeds", "8"], None, "--until-decided"),
        (vec!["ablation", "lrn", "--until-decided", "--seeds", "8"], None, "cannot be used with"),
        (vec!["ablation", "lrn", "--until-decided", "--max-seeds", "1"], None, "at least 2"),
        (vec!["submit", "slurm", "lrn", "--until-decided"], None, "has no `--until-decided`"),
        (
            vec!["train", "mini", "--set", "network.conv.conv5.stride=100000"],
            None,
            "a stride of 4096 is the most",
        ),
        (
            vec!["train", "mini", "--set", "network.conv.conv5.stages.max-pool.stride=1099511627776"],
            None,
            "4096 are the most",
        ),
        (
            vec!["train", "mini", "--set", "network.name=../elsewhere"],
            None,
            "may contain only letters, digits",
        ),
        (
            vec!["train", "mini", "--set", "data.augmentation.crop.padding=9223372036854775807"],
            None,
            "without a pixel of the image",
        ),
        (
            vec!["train", "mini", "--set", "network.conv.conv1.update.weight_rate=-5.0"],
            None,
            "-5 in layer `conv1` must be finite",
        ),
        (vec!["train", "mini", "--set", "recipe.epochs=9223372036854775807"], None, "are too many to count"),
        (vec!["ablation", "BAD"], Some(lrn.replace("delta", "detla")), "unknown field `detla`"),
        (vec!["ablation", "BAD"], Some(lrn.replace("lrn.alpha", "lrn.alhpa")), "has no `alhpa`"),
        (
            vec!["ablation", "BAD"],
            Some(lrn.replace("lrn.alpha\" = 0.0", "lrn.alpha\" = 1e-4")),
            "equal to the base",
        ),
        (
            vec!["ablation", "BAD"],
            Some(format!("{lrn}\n[[arms]]\nname = \"x\"\nabout = \"x\"\nset = {{ \"network.towers\" = 1 }}")),
            "say `changes = [\"parameters\"]`",
        ),
        (
            vec!["ablation", "BAD"],
            Some(format!(
                "{lrn}\n[[arms]]\nname = \"x\"\nabout = \"x\"\nset = {{ \"network.conv.conv5.stages.max-pool.padding\" = 0 }}\ntimes = {{ \"network.fc.fc6.weight_std\" = 2.0 }}\nchanges = [\"parameters\"]"
            )),
            "say `changes = [\"map-sizes\"]`",
        ),
        (vec!["ablation", "BAD"], Some("name = ".to_owned()), "not TOML"),
        (
            vec!["train", "BAD"],
            Some(scale.replace("momentum", "momentun")),
            "at `recipe.momentun`: unknown field `momentun`",
        ),
        (vec!["train", "BAD"], Some(scale.replace("flip = 0.0", "flip = 2.0")), "data.augmentation.flip: 2"),
        (vec!["train", "/nowhere.toml"], None, "cannot read scale /nowhere.toml"),
        (vec!["train", "cifar10"], None, "data set `cifar10` is not here: download it"),
        (
            vec!["train", "mini", "--out", "/proc/nowhere", "--epochs", "1"],
            None,
            "cannot write /proc/nowhere",
        ),
        (vec!["evaluate", "/nowhere"], None, "is no run folder"),
        (vec!["evaluate", "/nowhere", "--preset", "mini"], None, "is no run folder"),
        (vec!["report", "/nowhere"], None, "give the folder of an ablation"),
        (vec!["power", "lrn"], None, "train it first, `experiments ablation lrn --scale mini --out runs`"),
        (vec!["runs", "list", "/nowhere"], None, "cannot read /nowhere"),
        (vec!["runs", "show", "/nowhere"], None, "is no run folder"),
        (vec!["runs", "diff", "/nowhere", "/nowhere"], None, "is no run folder"),
        (vec!["watch", "/nowhere"], None, "cannot read /nowhere"),
        (vec!["work", "/nowhere"], None, "give the folder of an ablation"),
        (vec!["data", "check", "mnits"], None, "there is no data set `mnits`"),
        (vec!["data", "fetch", "imagenet"], None, "cannot be downloaded"),
        (
            vec!["data", "check", "cifar10", "--data", "BAD"],
            Some("no archive".repeat(99)),
            "not a whole tar archive",
        ),
    ];
    for (words, file, expected) in cases {
        if let Some(text) = file {
            fs::write(&bad, text).unwrap();
        }
        let words: Vec<&str> =
            words.into_iter().map(|word| if word == "BAD" { bad.to_str().unwrap() } else { word }).collect();
        let output = experiments(folder.path()).args(&words).output().unwrap();
        let message = stderr(&output);
        assert!(!output.status.success(), "{words:?} succeeded");
        assert!(message.contains(expected), "{words:?}: expected `{expected}` in\n{message}");
        assert!(message.lines().count() <= 15, "{words:?}:\n{message}");
        assert!(!message.contains("panicked"), "{words:?}:\n{message}");
    }
}

#[test]
fn broken_idx_files_are_errors_that_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let scale = tiny_scale(folder.path());
    let images = folder.path().join("images");
    type Damage = fn(&mut Vec<u8>);
    let breaks: [(&str, Damage, &str); 5] = [
        ("train-images-idx3-ubyte", |bytes| bytes.truncate(500), "after its header"),
        ("train-images-idx3-ubyte", |bytes| bytes.truncate(9), "ends inside its header"),
        ("t10k-images-idx3-ubyte", |bytes| bytes[3] = 1, "not an IDX file"),
        ("train-labels-idx1-ubyte", |bytes| bytes[20] = 10, "label 10 of image 12"),
        (
            "t10k-labels-idx1-ubyte",
            |bytes| {
                bytes.pop();
            },
            "after its header",
        ),
    ];
    for (name, damage, expected) in breaks {
        tiny_idx(&images, 3);
        let mut bytes = fs::read(images.join(name)).unwrap();
        damage(&mut bytes);
        fs::write(images.join(name), bytes).unwrap();
        let output = experiments(folder.path())
            .args(["train", scale.to_str().unwrap(), "--data", images.to_str().unwrap()])
            .output()
            .unwrap();
        let message = stderr(&output);
        assert!(
            !output.status.success() && message.contains(expected) && message.contains(name),
            "{message}"
        );
    }
    tiny_idx(&images, 3);
    fs::remove_file(images.join("train-labels-idx1-ubyte")).unwrap();
    let output = experiments(folder.path())
        .args(["train", scale.to_str().unwrap(), "--data", images.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(stderr(&output).contains("holds neither `train-labels-idx1-ubyte.gz`"), "{}", stderr(&output));
}

#[test]
fn class_folders_and_tars_of_them_are_the_same_data() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("photos");
    let manifest = folder.path().join("photos.toml");
    fs::write(
        &manifest,
        "name = \"photos\"\nabout = \"\"\norigin = \"\"\nlicence = \"\"\nlayout = \"folders\"\nclasses = []\nchannels = 3\nsize = 8\n",
    )
    .unwrap();
    for split in ["train", "test"] {
        for (class, shade) in [("cat", 40u8), ("dog", 200)] {
            let place = images.join(split).join(class);
            fs::create_dir_all(&place).unwrap();
            for number in 0..4u8 {
                let file = fs::File::create(place.join(format!("{number}.png"))).unwrap();
                let mut encoder = png::Encoder::new(file, 8, 8);
                encoder.set_color(png::ColorType::Rgb);
                encoder.write_header().unwrap().write_image_data(&[shade + number; 192]).unwrap();
            }
        }
    }
    let archive = folder.path().join("photos.tar");
    let mut builder = tar::Builder::new(fs::File::create(&archive).unwrap());
    builder.append_dir_all("photos", &images).unwrap();
    builder.finish().unwrap();
    let check = |path: &std::path::Path| -> Value {
        let output = experiments(folder.path())
            .args([
                "data",
                "check",
                manifest.to_str().unwrap(),
                "--format",
                "json",
                "--data",
                path.to_str().unwrap(),
            ])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_str(&stdout(&output)).unwrap()
    };
    let (unpacked, packed) = (check(&images), check(&archive));
    assert_eq!(unpacked, packed);
    assert_eq!(unpacked["classes"], serde_json::json!(["cat", "dog"]));
    assert_eq!(
        (&unpacked["train"], &unpacked["validation"], &unpacked["test"]),
        (&6.into(), &2.into(), &8.into())
    );
    // The README's command for images of one's own, which needs no manifest.
    let classes = ["--set", "network.classes=2", "--set", "network.fc.fc8.units=2"];
    let words = [
        "train",
        "cifar10",
        "--epochs",
        "1",
        "--set",
        "data.set=class-folders",
        "--format",
        "json",
        "--data",
    ];
    let output = succeed(experiments(folder.path()).args(words).arg(&images).args(classes));
    let trained: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(trained["result"]["tests"][0]["images"], 8);
    fs::write(images.join("train/cat/0.png"), "no image").unwrap();
    let output = experiments(folder.path())
        .args(["data", "check", manifest.to_str().unwrap(), "--data", images.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(
        stderr(&output).contains("train/cat/0.png: not an image of a format known here"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn list_stats_completions_and_help_work() {
    let folder = tempfile::tempdir().unwrap();
    for (words, expected) in [
        (vec!["list"], "alexnet-2012-half"),
        (vec!["data", "check", "fashion-mnist-mini"], "train           9000 images, 900 to 900 a class"),
        (vec!["data", "stats", "fashion-mnist-mini"], "channel means"),
        (vec!["data", "fetch", "fashion-mnist-mini"], "already here"),
        (vec!["completions", "bash"], "_experiments"),
        (vec!["ablation", "--help"], "--seeds"),
    ] {
        let output = experiments(folder.path()).args(&words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", stderr(&output));
        assert!(stdout(&output).contains(expected), "{words:?}: {}", stdout(&output));
    }
}

#[test]
fn a_bench_measures_the_network_and_each_layer() {
    let folder = tempfile::tempdir().unwrap();
    for (mode, backward) in [("--train", true), ("--infer", false)] {
        let output = succeed(
            experiments(folder.path())
                .args(["bench", "mini", "--batch", "3", "--samples", "2", "--threads", "1", mode])
                .args(["--format", "json"]),
        );
        let found: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(found["seconds_per_step"]["samples"].as_array().unwrap().len(), 2);
        assert_eq!(found["threads"], 1);
        let (rate, step) = (&found["images_per_second"], &found["seconds_per_step"]["median"]);
        assert!((rate.as_f64().unwrap() * step.as_f64().unwrap() - 3.0).abs() < 1e-9);
        assert!(found["matmul_gflops"].as_f64().unwrap() > 0.0 && found["gflops"].as_f64().unwrap() > 0.0);
        let layers = found["layers"].as_array().unwrap();
        assert_eq!(layers.len(), 8);
        assert!(layers.iter().all(|layer| layer["backward_seconds"].is_number() == backward));
    }
    let output = experiments(folder.path()).args(["bench", "nosuch"]).output().unwrap();
    assert!(!output.status.success() && stderr(&output).contains("there is no network `nosuch`"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_output_is_an_error_and_a_closed_one_is_none() {
    let folder = tempfile::tempdir().unwrap();
    for words in [&["list"][..], &["completions", "bash"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = experiments(folder.path()).args(words).stdout(full).output().unwrap();
        assert!(!output.status.success());
        assert!(stderr(&output).contains("cannot write standard output"), "{}", stderr(&output));
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = experiments(folder.path()).args(words).stdout(writer).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
}

/// What `config show` prints is the config, and a key that a file leaves out can be set.
#[test]
fn every_scale_is_shown_as_its_whole_config() {
    let folder = tempfile::tempdir().unwrap();
    let show =
        |words: &[&str]| stdout(&succeed(experiments(folder.path()).args(["config", "show"]).args(words)));
    for file in fs::read_dir(repository("experiments/scales")).unwrap() {
        let path = file.unwrap().path();
        let scale = path.file_stem().unwrap().to_str().unwrap();
        let shown: alexnet_train::RunConfig = toml::from_str(&show(&[scale])).unwrap();
        let known = [alexnet_config::BuiltIn { name: "it", toml: fs::read_to_string(&path).unwrap().leak() }];
        let config = alexnet_study::Scale::load(&known, "it").unwrap();
        assert_eq!(shown, config.config(&alexnet_config::Diff::default()).unwrap(), "{scale}");
    }
    let resized = show(&["mini", "--set", "data.size=40", "--set", "network.conv.conv1.groups=1"]);
    let resized: alexnet_train::RunConfig = toml::from_str(&resized).unwrap();
    assert_eq!(resized.data.size, 40);
    let schema = stdout(&succeed(experiments(folder.path()).args(["config", "schema", "ablation"])));
    let schema: Value = serde_json::from_str(&schema).unwrap();
    assert!(schema["properties"]["arms"].is_object(), "{schema}");
}
