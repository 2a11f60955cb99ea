//! `--precision` from the command line.

use std::path::Path;

use crate::support::{experiments, stderr, stdout, succeed, tiny_idx, tiny_scale};

/// The `run.json` of a training of one epoch.
fn trained(folder: &Path, out: &str, more: &[&str]) -> serde_json::Value {
    let (scale, data) = (tiny_scale(folder), tiny_idx(&folder.join("images"), 4));
    let mut command = experiments(folder);
    command.args(["train", scale.to_str().unwrap(), "--data", data.to_str().unwrap(), "--out", out]);
    succeed(command.args(["--backend", "flex", "--epochs", "1", "--set", "recipe.batch_size=12"]).args(more));
    let run = std::fs::read_dir(folder.join(out)).unwrap().next().unwrap().unwrap().path();
    std::fs::copy(run.join("weights.bpk"), folder.join(format!("{out}.bpk"))).unwrap();
    serde_json::from_slice(&std::fs::read(run.join("run.json")).unwrap()).unwrap()
}

#[test]
fn the_precision_is_part_of_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let plain = trained(folder, "plain", &[]);
    let named = trained(folder, "device", &["--precision", "device"]);
    assert_eq!(plain["identity"], named["identity"]);
    assert!(plain["config"]["recipe"].get("precision").is_none(), "runs from before it keep their names");
    let weights = |out: &str| std::fs::read(folder.join(format!("{out}.bpk"))).unwrap();
    let values = |out: &str| alexnet_weights::Weights::read(&folder.join(format!("{out}.bpk"))).unwrap();
    let mut identities = vec![plain["identity"].clone()];
    for precision in ["f32", "bf16"] {
        let run = trained(folder, precision, &["--precision", precision]);
        assert_eq!(run["config"]["recipe"]["precision"], precision);
        assert!(!identities.contains(&run["identity"]), "{precision}");
        identities.push(run["identity"].clone());
        assert_eq!(values(precision) == values("plain"), precision == "f32", "Flex multiplies in f32");
    }
    let again = trained(folder, "again", &["--set", "recipe.precision=bf16"]);
    assert_eq!(again["identity"], identities[2]);
    assert!(weights("again") == weights("bf16"), "other bits");
}

#[test]
fn a_precision_that_the_device_lacks_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (scale, data) = (tiny_scale(folder), tiny_idx(&folder.join("images"), 4));
    let data = ["--data", data.to_str().unwrap()];
    let commands: [&[&str]; 4] = [
        &["train", scale.to_str().unwrap(), "--epochs", "1"],
        &["ablation", "lrn", "--scale", scale.to_str().unwrap(), "--epochs", "1"],
        &["find-rate", scale.to_str().unwrap()],
        &["bench", "mini", "--batch", "2"],
    ];
    for command in commands {
        let data = if command[0] == "bench" { &[][..] } else { &data[..] };
        let arguments = [command, data, &["--backend", "flex", "--precision", "tf32"]].concat();
        let output = experiments(folder).args(&arguments).output().unwrap();
        let message = stderr(&output);
        assert!(
            !output.status.success() && message.contains("this device does not multiply in `tf32`"),
            "{message}"
        );
        assert!(message.contains("`f32`, `bf16`") && message.contains("precision:"), "{message}");
    }
    let bench =
        ["bench", "mini", "--backend", "flex", "--batch", "2", "--samples", "1", "--whole", "--infer"];
    let output = succeed(experiments(folder).args(bench).args(["--precision", "bf16", "--format", "json"]));
    let measured: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(measured["precision"], "bf16");
}

#[test]
fn predictions_take_a_precision() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    trained(folder, "plain", &[]);
    let run = std::fs::read_dir(folder.join("plain")).unwrap().next().unwrap().unwrap().path();
    let photograph = folder.join("photograph.png");
    let pixels: Vec<u8> = (0..28 * 28).map(|at| (at * 7 % 251) as u8).collect();
    let file = std::fs::File::create(&photograph).unwrap();
    let mut encoder = png::Encoder::new(file, 28, 28);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    let logits = |precision: &str| {
        let out = folder.join(format!("{precision}.safetensors"));
        let mut command = experiments(folder);
        command.args(["predict", run.to_str().unwrap(), photograph.to_str().unwrap(), "--backend", "flex"]);
        succeed(command.args(["--precision", precision, "--logits", out.to_str().unwrap()]));
        alexnet_weights::Weights::read(&out).unwrap().tensors["logits"].values.clone()
    };
    let (device, f32, bf16) = (logits("device"), logits("f32"), logits("bf16"));
    assert!(device == f32 && f32 != bf16, "{device:?} {bf16:?}");
    assert!(bf16.iter().all(|logit| logit.to_bits() & 0xffff == 0), "{bf16:?}");
}
