use std::path::Path;

use libjpeg_turbo_rs::{PixelFormat, Subsampling};

use crate::support::{experiments, stderr, stdout, succeed};

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn photograph(path: &Path, colour: png::ColorType) {
    let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), 40, 30);
    encoder.set_color(colour);
    let pixels: Vec<u8> = (0..1200 * colour.samples()).map(|at| (at * 31 % 251) as u8).collect();
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
}

#[test]
fn a_network_is_looked_into_with_pictures_and_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let train = ["train", "mini", "--epochs", "1", "--plain", "--format", "json"];
    let found = succeed(experiments(folder).args(train));
    let found: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    let (run, test) = (found["run"].as_str().unwrap(), &found["result"]["tests"][0]);
    let out = folder.join("out");
    let analyze = |words: &[&str]| {
        stdout(&succeed(experiments(folder).arg("analyze").args(words).args(["--out", "out"])))
    };
    let set = ["--set", "fashion-mnist-mini"];

    analyze(&["kernels", run]);
    let kernels = json(&out.join("kernels.json"));
    assert_eq!(kernels["towers"][1].as_array().unwrap().len(), 8);
    assert_eq!(kernels["means"][0], 0.0, "grey images have no colour");

    analyze(&[&["predictions", run, "--mistakes", "--count", "3"][..], &set].concat());
    let predictions = json(&out.join("predictions.json"));
    assert_eq!(predictions["top1_error"], test["top1_error"]);
    assert_eq!(predictions["classes"].as_array().unwrap().len(), 10);
    let shown = predictions["shown"].as_array().unwrap();
    assert!(shown.len() == 3 && shown.iter().all(|one| one["label"] != one["top"][0][0]), "{shown:?}");

    let nearest = [&["nearest", run, "--queries", "40", "-k", "3"][..], &set].concat();
    analyze(&nearest);
    let first = json(&out.join("nearest.json"));
    let precision = |kind: &str| first["precision"][kind].as_f64().unwrap();
    assert!((precision("chance") - 0.1).abs() < 0.01);
    assert!(precision("features") > 0.5 && precision("pixels") > 0.5, "{first}");
    // Half of the features are there, as a kill leaves them: the rest is extracted, and the answer is the same.
    let features = out.join("features-fc7.f32");
    let length = std::fs::metadata(&features).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&features).unwrap().set_len(length / 2 + 5).unwrap();
    analyze(&nearest);
    assert_eq!(json(&out.join("nearest.json")), first);
    assert_eq!(std::fs::metadata(&features).unwrap().len(), length);

    photograph(&folder.join("a.png"), png::ColorType::Grayscale);
    let text = analyze(&[&["nearest", run, "a.png"][..], &set].concat());
    assert!(json(&out.join("nearest.json"))["precision"].is_null(), "{text}");
    analyze(&["occlusion", run, "a.png", "--class", "3"]);
    let occlusion = &json(&out.join("occlusion.json"))[0];
    // A square of 5 every pixel of 28.
    assert_eq!(occlusion["map"].as_array().unwrap().len(), 24);
    assert_eq!(occlusion["class"], 3);
    analyze(&["saliency", run, "a.png"]);
    assert_eq!(json(&out.join("saliency.json"))[0]["map"].as_array().unwrap().len(), 28);
    analyze(&["grad-cam", run, "a.png", "--layer", "conv2"]);
    // The maps before the pooling of conv2.
    assert_eq!(json(&out.join("grad-cam.json"))[0]["map"].as_array().unwrap().len(), 6);
    // The test images are those of the run's data set.
    let text = analyze(&["confusion", run]);
    let confusion = json(&out.join("confusion.json"));
    let right: u64 = (0..10).map(|class| confusion["counts"][class][class].as_u64().unwrap()).sum();
    assert_eq!(right as f64, (10_000.0 * (1.0 - test["top1_error"].as_f64().unwrap())).round(), "{text}");
    analyze(&["embedding", run, "--images", "50"]);
    let embedding = json(&out.join("embedding.json"));
    let explained = |axis: usize| embedding["explained"][axis].as_f64().unwrap();
    assert_eq!((embedding["images"].as_array().unwrap().len(), &embedding["layer"]), (50, &"fc7".into()));
    assert!(explained(0) >= explained(1) && explained(0) + explained(1) <= 1.0, "{}", embedding["explained"]);
    analyze(&["maps", run, "a.png", "--layer", "conv3", "--all", "--zoom", "4"]);
    let file = std::fs::File::open(out.join("maps.png")).unwrap();
    let info = png::Decoder::new(std::io::BufReader::new(file)).read_info().unwrap();
    // 16 columns of 3 pixels, four times as large, with gaps of 3: narrower than the image of 112 and the title need not be.
    assert_eq!(info.info().width, 16 * (3 * 4 + 3) + 3);
    let text = analyze(&[&["maps", run, "a.png", "--images", "200"][..], &set].concat());
    let maps = json(&out.join("maps.json"));
    let layer = |at: usize| &maps["layers"][at];
    assert_eq!(
        (&layer(0)["maps"], &layer(0)["side"], &layer(5)["maps"]),
        (&16.into(), &6.into(), &256.into())
    );
    assert!(layer(0)["dead"].is_array() && layer(7)["dead"].is_null(), "{text}");

    let codes = ["codes", run, "--queries", "40", "-k", "3", "--epochs", "2", "--bits", "28"];
    analyze(&[&codes[..], &set].concat());
    let codes = json(&out.join("codes.json"));
    assert_eq!(codes["features"]["precision"], first["precision"]["features"]);
    assert_eq!(codes["pixels"]["precision"], first["precision"]["pixels"]);
    let of = |at: usize| (&codes["codes"][at]["of"], codes["codes"][at]["precision"].as_f64().unwrap());
    assert!(of(0).0 == "features" && of(0).1 > 0.4 && of(1).0 == "pixels", "{codes}");
    assert_eq!(codes["codes"][0]["bytes_per_image"], 4);

    for name in [
        "kernels",
        "predictions",
        "nearest",
        "occlusion-0",
        "saliency-0",
        "grad-cam-0",
        "maps",
        "codes-28",
        "confusion",
        "embedding",
    ] {
        let file = std::fs::File::open(out.join(format!("{name}.png"))).unwrap();
        assert!(png::Decoder::new(std::io::BufReader::new(file)).read_info().is_ok(), "{name}");
    }

    std::fs::create_dir_all(folder.join("few/one")).unwrap();
    photograph(&folder.join("few/one/a.png"), png::ColorType::Rgb);
    let fails = |words: &[&str], expected: &str| {
        let output = experiments(folder).arg("analyze").args(words).args(["--out", "out"]).output().unwrap();
        let message = stderr(&output);
        assert!(!output.status.success());
        assert!(message.contains(expected) && message.lines().count() == 1, "{message}");
    };
    fails(&["nearest", run, "a.png", "--in", "few"], "1 images are fewer than the 6 neighbours");
    fails(&["nearest", run, "--layer", "conv9", "--in", "few"], "has no layer `conv9`; it has conv1");
    fails(&["predictions", run, "--data", "few"], "tells 10 classes apart, the data has 1");
    fails(&["codes", run, "--in", "few"], "1 images are fewer than the 6 neighbours");
    fails(&["codes", run, "--in", "few", "-k", "1"], "these images have no splits");
    fails(&["localize", run, "--set", "fashion-mnist-mini"], "no test image has a box around an object");
    fails(&["maps", run, "none.png"], "cannot read none.png");
    fails(&["occlusion", run, "a.png", "--square", "29"], "covers the input of 28 whole");
    fails(&["saliency", run, "a.png", "--class", "10"], "there is no class 10");
    fails(
        &["grad-cam", run, "a.png", "--layer", "fc6"],
        "has no convolutional layer `fc6`; it has conv1, conv2",
    );
    fails(&["maps", run, "a.png", "--zoom", "256"], "give a smaller `--zoom`");
    fails(&["maps", run, "a.png", "--layer", "conv9"], "has no layer `conv9`");
    fails(&["saliency", run, "none.png"], "cannot read none.png");
    fails(&["kernels", "few"], "has no run.json");
}

/// As Tiny-ImageNet has them: ten classes of grey pictures of 28 pixels, a bright square somewhere in each, with its box.
fn squares(folder: &Path) {
    let root = folder.join("squares");
    let (mut wnids, mut annotations) = (String::new(), String::new());
    let jpeg = |path: &Path, left: usize, top: usize, side: usize| {
        let inside =
            |at: usize| (left..left + side).contains(&(at % 28)) && (top..top + side).contains(&(at / 28));
        let pixels: Vec<u8> =
            (0..784).map(|at| if inside(at) { 230 } else { (at * 31 % 40) as u8 }).collect();
        let (format, sampling) = (PixelFormat::Grayscale, Subsampling::S444);
        let bytes = libjpeg_turbo_rs::compress(&pixels, 28, 28, format, 95, sampling).unwrap();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let place = |number: usize| (number * 7 % 15, number * 11 % 14, 9 + number % 4);
    for class in 0..10 {
        let wnid = format!("n{class:08}");
        wnids += &format!("{wnid}\n");
        let mut boxes = String::new();
        for number in 0..30 {
            let (left, top, side) = place(class + 10 * number);
            let name = format!("{wnid}_{number}.JPEG");
            jpeg(&root.join("train").join(&wnid).join("images").join(&name), left, top, side);
            boxes += &format!("{name}\t{left}\t{top}\t{}\t{}\n", left + side, top + side);
        }
        std::fs::write(root.join("train").join(&wnid).join(format!("{wnid}_boxes.txt")), boxes).unwrap();
        for number in 0..5 {
            let (left, top, side) = place(class + 10 * number + 301);
            let name = format!("val_{}.JPEG", class * 5 + number);
            jpeg(&root.join("val/images").join(&name), left, top, side);
            // One box has no area, one lies outside the image.
            let [left, right] = match class * 5 + number {
                0 => [left, left],
                1 => [40, 50],
                _ => [left, left + side],
            };
            annotations += &format!("{name}\t{wnid}\t{left}\t{top}\t{right}\t{}\n", top + side);
        }
    }
    std::fs::write(root.join("wnids.txt"), wnids).unwrap();
    std::fs::write(root.join("val/val_annotations.txt"), annotations).unwrap();
}

#[test]
fn a_box_is_learned_from_features_and_beats_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    squares(folder);
    let train = ["train", "mini", "--epochs", "1", "--plain", "--format", "json"];
    let found = succeed(experiments(folder).args(train));
    let found: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    let words =
        ["analyze", "localize", found["run"].as_str().unwrap(), "--in", "squares", "--layer", "conv1"];
    let text = stdout(&succeed(experiments(folder).args(words).args(["--epochs", "300", "--out", "out"])));
    assert!(text.contains("2 boxes of val images have no area inside their image"), "{text}");
    let found = json(&folder.join("out/localize.json"));
    assert_eq!((&found["training_images"], &found["test_images"]), (&300.into(), &48.into()));
    let right = |at: usize| found["boxes"][at]["boxes_right"].as_f64().unwrap();
    assert!(right(0) > right(1) + 0.2 && right(1) > right(2), "{text}");
    let error = |at: usize| found["boxes"][at]["top5_localization_error"].as_f64().unwrap();
    assert!(error(0) >= found["top5_error"].as_f64().unwrap() && error(0) >= 1.0 - right(0), "{text}");
    assert!(folder.join("out/localize.png").is_file());
}

#[test]
fn an_empty_set_and_a_network_without_kernels_are_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("empty")).unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let [weights, network] = ["two_towers.pth", "two_towers.toml"].map(|name| golden.join(name));
    let [weights, network] = [weights.to_str().unwrap(), network.to_str().unwrap()];
    let words =
        ["analyze", "nearest", weights, "--preset", network, "--preprocessing", "paper", "--in", "empty"];
    let output = experiments(folder.path()).args(words).output().unwrap();
    assert!(!output.status.success() && stderr(&output).lines().count() == 1, "{}", stderr(&output));
    let words = ["analyze", "kernels", weights, "--preset", network, "--out", "out", "--per-kernel"];
    let text = stdout(&succeed(experiments(folder.path()).args(words)));
    assert!(text.contains("random halves"), "{text}");
}
