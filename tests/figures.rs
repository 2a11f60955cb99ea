//! Weights and curves that come with the repository, and the figures from them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::documents::block;
use crate::support::{experiments, repository, stderr, stdout, succeed};

fn weights() -> BTreeMap<String, Value> {
    serde_json::from_slice(&std::fs::read(repository("experiments/weights/weights.json")).unwrap()).unwrap()
}

#[test]
fn the_weights_are_those_that_the_list_describes() {
    let mut bytes = 0;
    let mut rows = String::from(
        "| weights | parameters | data | epochs | test error, % | of this file, % | SHA-256 |\n|---|---|---|---|---|---|---|\n",
    );
    for (name, about) in weights() {
        let file = repository(&format!("experiments/weights/{name}.safetensors"));
        bytes += std::fs::metadata(&file).unwrap().len();
        let sum = alexnet_data::file_sha256(&file).unwrap();
        assert_eq!(about["sha256"], sum, "{name}");
        rows += &format!(
            "| `{name}` | {} | {} | {} | {} | {} | `{}…` |\n",
            about["parameters"],
            about["data"].as_str().unwrap(),
            about["epochs"],
            about["test_error"],
            about["test_error_of_the_file"],
            &sum[..12]
        );
    }
    assert!(bytes < 8_000_000, "{bytes} bytes");
    block("experiments/weights/README.md", "weights", &rows);
}

#[test]
fn weights_have_names_anywhere_and_the_test_error_that_the_list_says() {
    let folder = tempfile::tempdir().unwrap();
    let run = |words: &[&str]| stdout(&succeed(experiments(folder.path()).args(words)));
    let found: Value = serde_json::from_str(&run(&["evaluate", "mini", "--format", "json"])).unwrap();
    let error = 100.0 * found["test"]["top1_error"].as_f64().unwrap();
    // Another backend may round another way; an image or two in 10,000.
    let expected = weights()["mini"]["test_error_of_the_file"].as_f64().unwrap();
    assert!((error - expected).abs() < 0.03, "{error} and {expected}");
    assert!(run(&["analyze", "kernels", "cifar10"]).contains("of the energy of conv1 is colour"));
    assert!(run(&["list"]).contains("`mini` on fashion-mnist-mini"));
    // A file of that name goes before.
    std::fs::write(folder.path().join("mini"), "no weights").unwrap();
    let refused = experiments(folder.path()).args(["evaluate", "mini"]).output().unwrap();
    assert!(
        !refused.status.success() && stderr(&refused).contains("mini: is a text file"),
        "{}",
        stderr(&refused)
    );
}

#[test]
fn all_figures_are_drawn_as_svg_and_png_with_captions() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("figures");
    let text = stdout(&succeed(experiments(folder.path()).arg("figures")));
    assert!(text.contains("figures with their captions"), "{text}");
    let page = std::fs::read_to_string(out.join("index.html")).unwrap();
    let names = [
        "activation",
        "lrn",
        "pooling",
        "views",
        "dropout",
        "kernels",
        "kernels-over-epochs",
        "predictions",
        "retrieval",
        "codes",
        "evidence",
        "maps",
        "embedding",
        "confusion",
    ];
    for name in names {
        let svg = std::fs::read_to_string(out.join(format!("{name}.svg"))).unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && !svg.contains("NaN"), "{name}");
        let file = std::fs::File::open(out.join(format!("{name}.png"))).unwrap();
        let info = png::Decoder::new(std::io::BufReader::new(file)).read_info().unwrap();
        assert_eq!(info.info().width, 1920, "{name}");
        assert!(page.contains(&format!("src='{name}.svg'")), "{name}");
        let item = page.split(&format!("<figure id='{name}'>")).nth(1).unwrap();
        let caption = item.split("<figcaption>").nth(1).unwrap().split(" <a").next().unwrap();
        assert!(caption.len() > 40 && svg.contains(&caption[..12]), "{name}: {caption}");
    }
    let again = succeed(experiments(folder.path()).args(["figures", "--only", "lrn", "--out", "again"]));
    assert!(stdout(&again).contains("lrn in again"), "{}", stdout(&again));
    assert!(!folder.path().join("again/index.html").exists(), "the page of all figures is not that of one");
    let svg = |out: &str| std::fs::read(folder.path().join(out).join("lrn.svg")).unwrap();
    assert_eq!(svg("figures"), svg("again"));
    let unknown = experiments(folder.path()).args(["figures", "--only", "lnr"]).output().unwrap();
    assert!(
        !unknown.status.success() && stderr(&unknown).contains("there are activation, lrn, pooling"),
        "{}",
        stderr(&unknown)
    );
}

#[test]
fn a_learning_rate_is_found_without_a_study() {
    let folder = tempfile::tempdir().unwrap();
    let run = |words: &[&str]| experiments(folder.path()).args(words).output().unwrap();
    let found = stdout(&run(&["find-rate", "mini"]));
    let suggested = found.split("recipe.learning_rate=").nth(1).unwrap().split(' ').next().unwrap();
    // The scale's rate is 0.004, chosen by trials.
    assert!((0.0008..0.04).contains(&suggested.parse::<f64>().unwrap()), "{found}");
    // The processor gives the same bits everywhere; the document has its figure.
    let document = std::fs::read_to_string(repository("docs/reports.md")).unwrap();
    assert!(document.contains(&format!("at `mini` it suggests {suggested},")), "{suggested}");
    let drawn = run(&["find-rate", "mini", "--steps", "20"]);
    assert!(drawn.status.success(), "{}", stderr(&drawn));
    assert!(folder.path().join("analysis/find-rate.png").is_file());
    let wrong = run(&["find-rate", "mini", "--from", "0.1", "--to", "0.01"]);
    assert!(stderr(&wrong).contains("`--from 0.1` is not below `--to 0.01`"), "{}", stderr(&wrong));
}

#[test]
fn runs_have_names_tags_and_the_settings_in_which_they_differ() {
    let folder = tempfile::tempdir().unwrap();
    let run = |words: &[&str]| stdout(&succeed(experiments(folder.path()).args(words)));
    let train = ["train", "mini", "--epochs", "1", "--plain"];
    run(&[&train[..], &["--name", "the first", "--tag", "slow"]].concat());
    run(&[&train[..], &["--set", "recipe.learning_rate=0.002"]].concat());
    let list = run(&["runs", "list"]);
    assert!(list.contains("the first  #slow  recipe.learning_rate=0.004"), "{list}");
    assert!(list.contains("    recipe.learning_rate=0.002"), "{list}");
    let all: Value = serde_json::from_str(&run(&["runs", "list", "--format", "json"])).unwrap();
    let other = all.as_array().unwrap().iter().find(|run| run.get("name").is_none()).unwrap();
    assert_eq!(other["settings"]["recipe.learning_rate"], "0.002");
    let other = format!("runs/{}", other["run"].as_str().unwrap());
    run(&["runs", "label", &other, "--tag", "slow", "--tag", "half"]);
    assert_eq!(run(&["runs", "list", "--tag", "slow"]).matches("finished").count(), 2);
    assert_eq!(run(&["runs", "list", "--tag", "half"]).matches("finished").count(), 1);
    assert!(run(&["runs", "list", "--tag", "none"]).contains("with the tag `none`"));
    let wrong = experiments(folder.path()).args(["runs", "label", "nowhere", "--tag", "x"]).output().unwrap();
    assert!(!wrong.status.success() && stderr(&wrong).contains("nowhere"), "{}", stderr(&wrong));
}

#[test]
fn what_a_network_or_the_images_do_not_have_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let images = crate::own_images::pictures(path, 12, [40, 40]);
    let pool = r#"["activation", { max-pool = { size = 3, stride = 2, padding = 0, rounding = "ceil" } }]"#;
    let without = ["conv1", "conv2"].map(|layer| format!("network.conv.{layer}.stages={pool}"));
    let train = [
        "train",
        "--epochs",
        "1",
        "--plain",
        "--format",
        "json",
        "--set",
        &without[0],
        "--set",
        &without[1],
        "--data",
    ];
    let found = succeed(experiments(path).args(train).arg(&images));
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    let run = found["run"].as_str().unwrap();
    let output = succeed(experiments(path).args(["figures", run, "--data"]).arg(&images));
    let said = stderr(&output);
    assert!(said.contains("`lrn` is left out: the network has no local response normalization"), "{said}");
    assert!(said.contains("`retrieval` is left out: the images have no training split"), "{said}");
    assert!(!path.join("figures/retrieval.svg").exists());
    let predictions = std::fs::read_to_string(path.join("figures/predictions.svg")).unwrap();
    assert!(predictions.contains("the run&#39;s test"), "the images that the run set aside");
}
