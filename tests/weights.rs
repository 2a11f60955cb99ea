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
    assert_eq!(read(&folder.path().join("ours.safetensors")), read(Path::new(&weights)));
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
    fails(&["predict", &weights, "a.png"], "fit no preset; say which network with `--preset`");
    fails(&["predict", &weights, "a.png", "--preset", "torchvision"], "tensor `");
    fails(&["predict", "none.pth", "a.png"], "cannot read none.pth");
    fails(&["predict", "a.png", "a.png"], "neither a PyTorch file nor safetensors");
    fails(&["predict", &weights, "text.png", "--preset", &network], "text.png: neither a JPEG nor a PNG");
    fails(&["predict", &weights, "none.png", "--preset", &network], "cannot read none.png");
    let layer = ["predict", &weights, "a.png", "--preset", &network, "--logits", "o", "--features", "conv9"];
    fails(&layer, "has no layer `conv9`; it has conv1, conv2");
    let out = ["weights", "export", &weights, "--preset", &network, "--out", "no/such/folder"];
    fails(&out, "cannot write no/such/folder");
}
