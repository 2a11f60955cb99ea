use std::path::{Path, PathBuf};

use crate::support::{experiments, stderr, stdout, succeed};

fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    path.display().to_string()
}

/// A photograph of one colour.
fn photograph(folder: &Path, name: &str, size: [u32; 2], colour: [u8; 3]) -> PathBuf {
    let path = folder.join(name);
    let mut encoder = png::Encoder::new(std::fs::File::create(&path).unwrap(), size[0], size[1]);
    encoder.set_color(png::ColorType::Rgb);
    let pixels = colour.repeat((size[0] * size[1]) as usize);
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    path
}

#[test]
fn photographs_are_predicted_in_their_order_and_features_written() {
    let folder = tempfile::tempdir().unwrap();
    photograph(folder.path(), "tall.png", [20, 33], [200, 30, 30]);
    photograph(folder.path(), "wide.png", [40, 16], [20, 90, 240]);
    let (weights, network) = (golden("two_towers.pth"), golden("two_towers.toml"));
    for views in ["1", "10"] {
        let output = succeed(experiments(folder.path()).args([
            "predict",
            &weights,
            "wide.png",
            "tall.png",
            "--preset",
            &network,
            "--top",
            "2",
            "--views",
            views,
            "--logits",
            "out.safetensors",
            "--features",
            "conv2",
            "--format",
            "json",
        ]));
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!([&found[0]["image"], &found[1]["image"]], ["wide.png", "tall.png"]);
        for image in found.as_array().unwrap() {
            let top = image["top"].as_array().unwrap();
            assert_eq!(top.len(), 2);
            let [first, second] = [0, 1].map(|at| top[at]["probability"].as_f64().unwrap());
            assert!(first >= second && first + second <= 1.0 + 1e-6, "{image}");
            assert_eq!(top[0]["label"], format!("class {}", top[0]["index"]));
        }
        let file = alexnet_weights::Weights::read(&folder.path().join("out.safetensors")).unwrap();
        assert_eq!(file.tensors["logits"].shape, [2, 4]);
        let images = 2 * views.parse::<usize>().unwrap();
        assert_eq!(file.tensors["conv2"].shape, [images, 6, 2, 2]);
    }
}

#[test]
fn what_is_exported_is_the_same_weights_under_other_names() {
    let folder = tempfile::tempdir().unwrap();
    let (weights, network) = (golden("two_towers-legacy.pth"), golden("two_towers.toml"));
    let out = succeed(experiments(folder.path()).args([
        "weights",
        "export",
        &weights,
        "--preset",
        &network,
        "--out",
        "ours.safetensors",
    ]));
    assert!(stdout(&out).contains("ours.safetensors"));
    let read = |path: &Path| alexnet_weights::Weights::read(path).unwrap();
    let ours = read(&folder.path().join("ours.safetensors"));
    assert!(ours.tensors == read(Path::new(&weights)).tensors);
    assert!(!ours.metadata.contains_key("classes"), "nobody has said what its four classes are");
    let out = succeed(experiments(folder.path()).args(["weights", "inspect", "ours.safetensors"]));
    let text = stdout(&out);
    assert!(text.contains("conv1.weight") && text.contains("6 × 3 × 5 × 5"), "{text}");
    assert!(text.contains("fits no preset"), "{text}");
}

#[test]
fn what_cannot_be_used_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    photograph(folder.path(), "a.png", [16, 16], [1, 2, 3]);
    std::fs::write(folder.path().join("text.png"), "not an image").unwrap();
    let (weights, network) = (golden("two_towers.pth"), golden("two_towers.toml"));
    let fails = |arguments: &[&str], expected: &str| {
        let output = experiments(folder.path()).args(arguments).output().unwrap();
        let message = stderr(&output);
        assert!(!output.status.success());
        assert!(message.contains(expected) && message.lines().count() == 1, "{message}");
    };
    fails(
        &["predict", &weights, "a.png"],
        "fit no preset (the first tensor is `conv1.bias`); say which network with `--preset`",
    );
    fails(&["predict", &weights, "a.png", "--preset", "torchvision"], "tensor `");
    fails(&["predict", "none.pth", "a.png"], "cannot read none.pth");
    fails(&["predict", "a.png", "a.png"], "neither PyTorch's, safetensors, Caffe's nor this project's");
    let of = |more: &[&str], expected: &str| {
        fails(&[more, &["--preset", &network, "--preprocessing", "paper"]].concat(), expected);
    };
    of(&["predict", &weights, "text.png"], "text.png: not an image of a format known here");
    of(&["predict", &weights, "none.png"], "cannot read none.png");
    let layer = ["predict", &weights, "a.png", "--logits", "o", "--features", "conv9"];
    of(&layer, "has no layer `conv9`; it has conv1, conv2");
    of(&["weights", "export", &weights, "--out", "no/such/folder"], "cannot write no/such/folder");
    of(&["weights", "import", &weights, "--out", "a.json"], "records end in `.bpk`");
    fails(
        &["predict", &weights, "a.png", "--preset", &network, "--preprocessing", "none"],
        "neither torchvision, caffe nor paper, and no file",
    );
    // 8 GB out of a file of one number.
    let hostile = ["predict", &golden("expanded.pth"), "a.png"];
    fails(&hostile, "tensor `features.0.weight`: would have read 8589934592 bytes by now, out of a file of");
    let read = |change: &dyn Fn(&mut alexnet_weights::Weights)| {
        let mut file = alexnet_weights::Weights::read(Path::new(&weights)).unwrap();
        change(&mut file);
        std::fs::write(folder.path().join("changed.safetensors"), file.to_bytes().unwrap()).unwrap();
    };
    // What is read is not written over.
    read(&|_| ());
    let over = "the output would overwrite an input";
    of(&["predict", "changed.safetensors", "a.png", "--logits", "changed.safetensors"], over);
    of(&["predict", "changed.safetensors", "a.png", "--logits", "./a.png"], over);
    of(&["weights", "export", "changed.safetensors", "--out", "changed.safetensors"], over);
    std::fs::write(folder.path().join("notes.json"), "{\"mine\": 1}").unwrap();
    of(&["weights", "import", "changed.safetensors", "--out", "notes.bpk"], "would replace notes.json");
    read(&|file| drop(file.tensors.remove("conv1.weight")));
    of(&["predict", "changed.safetensors", "a.png"], "tensor `conv1.weight`: is missing");
    read(&|file| file.tensors.get_mut("conv1.weight").unwrap().values.fill(-3e38));
    of(&["predict", "changed.safetensors", "a.png"], "non-finite logits for a.png");
    read(&|file| {
        drop(file.tensors.insert("two\nlines\x1b[31m".to_owned(), file.tensors["conv1.bias"].clone()));
    });
    of(&["predict", "changed.safetensors", "a.png"], r"tensor `two\nlines\u{1b}[31m`: is no part");
    let endless = r#"
        name = "endless"
        sources = []
        input = { channels = 3, size = 16384 }
        classes = 4
        towers = 1
        activation = "relu"
        dropout = "inverted"
        [[conv]]
        name = "conv1"
        filters = 131072
        kernel = 4096
        stride = 1
        padding = { top = 0, left = 0, bottom = 0, right = 0 }
        reads = "all"
        shared = false
        weight_std = 0.0
        bias = 0.0
        stages = [{ batch-norm = { epsilon = 1e-5, momentum = 0.1 } }]
        [[fc]]
        name = "fc2"
        units = 4
        reads = "all"
        weight_std = 0.0
        bias = 0.0
        stages = []
    "#;
    read(&|file| drop(file.metadata.insert("network".to_owned(), endless.to_owned())));
    fails(&["predict", "changed.safetensors", "a.png"], "`conv1`: more than 1099511627776 parameters");
    read(&|file| drop(file.metadata.insert("classes".to_owned(), "1000".to_owned())));
    of(&["predict", "changed.safetensors", "a.png"], "changed.safetensors: the `classes` in the metadata");
    // A run whose record is damaged is no reason to guess.
    std::fs::create_dir(folder.path().join("run")).unwrap();
    std::fs::write(folder.path().join("run/run.json"), "{").unwrap();
    std::fs::write(folder.path().join("run/weights.bpk"), "").unwrap();
    fails(&["predict", "run/weights.bpk", "a.png"], "run.json is damaged");
}

/// In a process that ends if it asks for more than a gibibyte.
#[test]
#[cfg(unix)]
fn files_that_are_no_weights_or_would_take_all_memory_are_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let long = &b"x".repeat(100_000)[..];
    let files: [(&str, Vec<u8>, &str); 9] = [
        (
            "doubling.pth",
            [b"\x80\x02)q\0", &b"h\0h\0\x86q\0".repeat(40)[..], b"."].concat(),
            "more than 256 MiB",
        ),
        (
            "deep.pth",
            [b"\x80\x02)", &b"\x85".repeat(2_000_000)[..], b"."].concat(),
            "nesting exceeds 1000 levels",
        ),
        (
            "names.pth",
            [b"\x80\x02c", long, b"\n", long, b"\nq\0(", &b"h\0".repeat(20_000), b"t."].concat(),
            "more than 256 MiB",
        ),
        ("layers.caffemodel", [0x12, 0].repeat(20_000_000), "more than 100000 layers and blobs"),
        (
            "pointer.pth",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n".to_vec(),
            "run `git lfs pull`",
        ),
        ("page.safetensors", b"<!DOCTYPE html><html></html>".to_vec(), "is an HTML page"),
        ("packed.pth", b"\xfd7zXZ\0\0\x04".to_vec(), "is compressed with xz; unpack it first"),
        ("empty.bpk", vec![], "is empty"),
        ("keras.h5", b"\x89HDF\r\n\x1a\n\0".to_vec(), "is an HDF5 file"),
    ];
    for (name, bytes, expected) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        let output = std::process::Command::new("sh")
            .args(["-c", "ulimit -v 1048576 && exec \"$0\" weights inspect \"$1\""])
            .args([experiments(folder.path()).get_program(), name.as_ref()])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{name}: {message}");
        assert!(message.contains(expected) && message.lines().count() == 1, "{name}: {message}");
    }
}

#[test]
fn the_entry_taken_of_a_training_checkpoint_is_reported() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/pytorch_zip/checkpoint.pth");
    let folder = tempfile::tempdir().unwrap();
    let inspect = ["weights", "inspect", &file.display().to_string()].map(str::to_owned);
    let output = succeed(experiments(folder.path()).args(inspect));
    let notes = stderr(&output);
    assert!(notes.ends_with("its weights are those of `model`, not of `ema`\n"), "{notes}");
    assert!(stdout(&output).contains("a.weight") && !stdout(&output).contains("momentum"));
}

#[test]
fn a_last_layer_for_other_classes_is_taken_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    photograph(folder.path(), "a.png", [16, 16], [1, 2, 3]);
    let (weights, network) = (golden("two_towers.pth"), golden("two_towers.toml"));
    let mut file = alexnet_weights::Weights::read(Path::new(&weights)).unwrap();
    for kind in ["weight", "bias"] {
        let tensor = file.tensors.get_mut(&format!("fc8.{kind}")).unwrap();
        tensor.values.truncate(tensor.values.len() / 2);
        tensor.shape[0] = 2;
    }
    std::fs::write(folder.path().join("two.safetensors"), file.to_bytes().unwrap()).unwrap();
    for (file, classes) in [(weights.as_str(), 4), ("two.safetensors", 2)] {
        let predict = ["predict", file, "a.png", "--preset", &network, "--logits", "out.safetensors"];
        succeed(experiments(folder.path()).args(predict));
        let out = alexnet_weights::Weights::read(&folder.path().join("out.safetensors")).unwrap();
        assert_eq!(out.tensors["logits"].shape, [1, classes]);
    }
}

#[test]
fn others_metadata_is_no_harm_and_what_is_left_out_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let header = serde_json::json!({
        "__metadata__": { "network": "a GAN", "classes": "1000" },
        "fc8.bias": { "dtype": "F32", "shape": [10], "data_offsets": [0, 40] },
        "steps\u{1b}[31m": { "dtype": "I64", "shape": [1], "data_offsets": [40, 48] },
    });
    let header = header.to_string();
    let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 48]].concat();
    std::fs::write(folder.path().join("a.safetensors"), file).unwrap();
    let inspect = |format: &str| {
        let arguments = ["weights", "inspect", "a.safetensors", "--format", format];
        stdout(&succeed(experiments(folder.path()).args(arguments)))
    };
    let text = inspect("text");
    assert!(text.contains(r"steps\u{1b}[31m"), "{text}");
    assert!(text.contains("left out: I64"), "{text}");
    assert!(text.contains("fits no preset (of the nearest, `"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&inspect("json")).unwrap();
    assert_eq!(json["tensors"][0]["not_finite"], 0);
    assert_eq!(json["metadata"], serde_json::json!({}));
}

/// The image and the mean of `tests/golden/caffe.py`; the mean is a file of Caffe's, blue first.
fn caffe_image_and_mean(folder: &Path) {
    let mut encoder = png::Encoder::new(std::fs::File::create(folder.join("image.png")).unwrap(), 256, 256);
    encoder.set_color(png::ColorType::Rgb);
    let pixel = |x: usize, y: usize, c: usize| ((x * 3 + y * 5 + c * 70 + x * y / 64) % 256) as u8;
    let pixels: Vec<u8> = (0..256 * 256 * 3).map(|at| pixel(at / 3 % 256, at / 768, at % 3)).collect();
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    // Extents as four numbers, then the packed values.
    let mut mean = vec![0x08, 1, 0x10, 3, 0x18, 0x80, 2, 0x20, 0x80, 2, 0x2a, 0x80, 0x80, 0x30];
    let value = |at: usize| (100 + 10 * (at / 65_536) + at / 256 % 256 % 7) as f32;
    mean.extend((0..3 * 65_536).flat_map(|at| value(at).to_le_bytes()));
    std::fs::write(folder.join("mean.binaryproto"), mean).unwrap();
}

/// Against OpenCV, which reads Caffe's files itself.
#[test]
fn caffes_networks_give_what_opencv_makes_of_them_layer_by_layer() {
    let folder = tempfile::tempdir().unwrap();
    caffe_image_and_mean(folder.path());
    for name in ["caffe-alexnet", "caffenet"] {
        let [model, network] = ["caffemodel", "toml"].map(|ending| golden(&format!("{name}.{ending}")));
        let theirs = golden(&format!("{name}.safetensors"));
        let theirs = alexnet_weights::Weights::read(Path::new(&theirs)).unwrap();
        for (layer, expected) in &theirs.tensors {
            let features = if layer == "logits" { "fc8" } else { layer };
            let mut command = experiments(folder.path());
            command.args([
                "predict",
                &model,
                "image.png",
                "--preset",
                &network,
                "--logits",
                "out.safetensors",
            ]);
            succeed(command.args(["--mean", "mean.binaryproto", "--features", features]));
            let ours = alexnet_weights::Weights::read(&folder.path().join("out.safetensors")).unwrap();
            let ours = &ours.tensors[layer];
            assert_eq!(ours.shape, expected.shape, "{name} {layer}");
            let norm =
                |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v * v)).sum::<f64>().sqrt();
            let error = norm(&mut ours.values.iter().zip(&expected.values).map(|(a, b)| a - b));
            let size = norm(&mut expected.values.iter().copied());
            // Sums of thousands of products in another order; OpenCV's power is its own.
            assert!(error <= 1e-4 * size, "{name} {layer}: off by {error} of {size}");
        }
    }
}

#[test]
fn weights_become_a_record_that_is_read_again_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let (model, network) = (golden("caffenet.caffemodel"), golden("caffenet.toml"));
    let import = ["weights", "import", &model, "--preset", &network, "--out", "a.bpk"];
    succeed(experiments(folder.path()).args(import));
    for (from, out) in [(model.as_str(), "a.safetensors"), ("a.bpk", "b.safetensors")] {
        let export = ["weights", "export", from, "--preset", &network, "--out", out];
        succeed(experiments(folder.path()).args(export));
    }
    let read = |name: &str| alexnet_weights::Weights::read(&folder.path().join(name)).unwrap();
    assert!(read("a.safetensors").tensors == read("b.safetensors").tensors);
    let whole = std::fs::read(folder.path().join("a.bpk")).unwrap();
    for length in (0..whole.len()).step_by(997) {
        std::fs::write(folder.path().join("cut.bpk"), &whole[..length]).unwrap();
        let output = experiments(folder.path()).args(["weights", "inspect", "cut.bpk"]).output().unwrap();
        assert!(!output.status.success() && stderr(&output).lines().count() == 1, "{length}: {output:?}");
    }
}

#[test]
fn a_run_is_tested_and_asked_like_any_weights() {
    let folder = tempfile::tempdir().unwrap();
    let train = ["train", "mini", "--epochs", "1", "--plain", "--out", "runs", "--format", "json"];
    // The order of the classes goes with the weights.
    let order = ["--set", "recipe.batch_size=256", "--set", "data.classes=[9,8,7,6,5,4,3,2,1,0]"];
    let found = succeed(experiments(folder.path()).args(train).args(order));
    let found: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    let run = found["run"].as_str().unwrap();
    let weights = format!("{run}/weights.bpk");
    succeed(experiments(folder.path()).args(["weights", "export", run, "--out", "a.safetensors"]));
    for file in [weights.as_str(), "a.safetensors"] {
        let evaluate = ["evaluate", file, "--set", "fashion-mnist-mini", "--format", "json"];
        let tested = succeed(experiments(folder.path()).args(evaluate));
        let tested: serde_json::Value = serde_json::from_slice(&tested.stdout).unwrap();
        // The same arithmetic in other batches: the same answers.
        assert_eq!(tested["test"]["top1_error"], found["result"]["tests"][0]["top1_error"], "{file}");
    }
    let output = experiments(folder.path()).args(["evaluate", run, "--preset", "mini"]).output().unwrap();
    assert!(stderr(&output).contains("a run is tested as it was trained"), "{}", stderr(&output));
    let import = ["weights", "import", "a.safetensors", "--out", &weights];
    let output = experiments(folder.path()).args(import).output().unwrap();
    assert!(stderr(&output).contains("a run's folder has its own weights alone"), "{}", stderr(&output));
    // Classes are called as the data call them; away from its folder a record knows nothing, and that is said.
    photograph(folder.path(), "a.png", [28, 28], [90, 90, 90]);
    std::fs::copy(folder.path().join(&weights), folder.path().join("away.bpk")).unwrap();
    let said = |file: &str| {
        let output = succeed(experiments(folder.path()).args(["predict", file, "a.png", "--format", "json"]));
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (found[0]["top"][0]["label"].as_str().unwrap().to_owned(), stderr(&output))
    };
    for file in [run, "a.safetensors"] {
        let (label, notes) = said(file);
        assert!(!label.starts_with("class ") && notes.is_empty(), "{file}: {label}, {notes}");
    }
    let (label, notes) = said("away.bpk");
    assert!(label.starts_with("class "), "{label}");
    assert!(notes.contains("taken for `mini`") && notes.contains("pixels of 0 to 255"), "{notes}");
}
