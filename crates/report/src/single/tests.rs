use std::fs;

use super::*;

const CONFIG: &str = include_str!("../../../../experiments/scales/mini.toml");

/// Writes the folder of a finished run and returns it.
fn run(out: &Path, seed: u64, rate: f64, classes: &[&str]) -> SingleRun {
    let scale = [alexnet_config::BuiltIn { name: "mini", toml: CONFIG }];
    let mut changes = alexnet_config::Diff::default();
    changes.parse_set(&format!("recipe.learning_rate={rate}")).unwrap();
    let config = alexnet_study::Scale::load(&scale, "mini").unwrap().config(&changes).unwrap();
    let folder = out.join(format!("run-{seed}-{rate}"));
    fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, value: serde_json::Value| {
        fs::write(folder.join(name), serde_json::to_vec(&value).unwrap()).unwrap();
    };
    write(
        "run.json",
        serde_json::json!({
            "identity": "x", "seed": seed, "data": "d", "checksum": "0123456789abcdef", "config": config, "sessions": [],
        }),
    );
    write(
        "result.json",
        serde_json::json!({
            "epochs": 2, "steps": 2, "final_epoch": 2, "parameters": 7, "lrn": [],
            "tests": [{ "views": "centre", "images": 8, "loss": 1.0, "top1_error": 0.375, "top5_error": 0.125 }],
        }),
    );
    write("classes.json", serde_json::json!(classes));
    write(
        "answers-centre.json",
        serde_json::json!({ "targets": [0, 0, 0, 1, 1, 1, 2, 2], "predicted": [0, 1, 1, 1, 1, 0, 2, 2] }),
    );
    let row = |epoch: usize, split: &str, error: f64| {
        serde_json::json!({
            "epoch": epoch, "step": epoch, "split": split, "loss": error, "top1_error": error, "top5_error": 0.0,
            "learning_rate": 0.1 / epoch as f64, "seconds": 1.5,
        })
        .to_string()
    };
    let rows = [
        (1, "train", 0.5),
        (1, "validation", 0.4),
        (2, "train", 0.3),
        (2, "validation", 0.35),
        (2, "test", 0.375),
    ]
    .map(|(epoch, split, error)| row(epoch, split, error));
    fs::write(folder.join("metrics.jsonl"), rows.join("\n") + "\n").unwrap();
    SingleRun::read(&folder).unwrap()
}

#[test]
fn confusions_are_counted_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let found = run(folder.path(), 0, 0.1, &["cat", "dog", "cow"]);
    let first = Confusion { class: "cat".into(), taken_for: "dog".into(), images: 2, of: 3 };
    assert_eq!(found.confusions()[0], first);
    assert_eq!(found.most_confused().unwrap(), "cat taken for dog (2 of 3); dog taken for cat (1 of 3)");
}

#[test]
fn the_page_of_a_run_has_its_curves_its_test_and_its_confusions() {
    let folder = tempfile::tempdir().unwrap();
    let one = run(folder.path(), 3, 0.1, &["cat", "dog", "cow"]);
    let pictures = [("Kernels".to_owned(), "kernels.png".to_owned())];
    RunsPage::of(vec![one]).write(folder.path(), &pictures).unwrap();
    let html = fs::read_to_string(folder.path().join("index.html")).unwrap();
    // By scipy: binomtest(3, 8).proportion_ci(method="exact") is 0.0852, 0.7551.
    assert!(html.contains("37.50 % of 8 test images, 95 % interval [8.52, 75.51]"), "{html}");
    for expected in
        ["<polyline", "<rect x='", "src='kernels.png'", ">cow</th>", "guessing errs on 66.7 %", " images/s<"]
    {
        assert!(html.contains(expected), "no {expected} in {html}");
    }
    // Three classes have no error among five.
    assert!(!html.contains("top-5") && !html.contains("NaN"), "{html}");
}

#[test]
fn the_page_of_several_runs_has_the_settings_in_which_they_differ() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..21).map(|class| format!("<b>{class}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let runs = vec![run(folder.path(), 0, 0.1, &names), run(folder.path(), 0, 0.2, &names)];
    let html = RunsPage::of(runs).html(&[]);
    assert!(html.contains("recipe.learning_rate</th><td class=''>0.1</td><td class=''>0.2</td>"), "{html}");
    assert!(html.contains("recipe.learning_rate 0.2") && html.contains("top-5 12.50 %"), "{html}");
    // Many classes are listed by pairs, and no name is markup.
    assert!(html.contains("The most frequent confusions") && !html.contains("<b>"), "{html}");
}
