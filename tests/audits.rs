use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{experiments, repository, stderr, stdout, succeed, tiny_idx, tiny_scale};

/// An audit of two tested statements and one that is not, on tiny data.
fn tiny_audit(folder: &Path, rate: &str) {
    tiny_idx(&folder.join("fetched/tiny-idx"), 8);
    let scale = tiny_scale(folder);
    for (ablation, arm) in [("lrn", "off"), ("pooling", "2/2")] {
        fs::write(
            folder.join(format!("{ablation}.toml")),
            format!(
                r#"
            name = "tiny-{ablation}"
            about = "made for a test"
            scale = {:?}
            ablation = "{ablation}"
            quantity = "test-error"
            seeds = 2
            first_seed = 10000
            diverged = "leave-out-pair"
            base_rate = {rate}
            arms = [{{ name = "{arm}", rate = 0.004, delta = 0.3, pilot_sd = 0.4 }}]
            "#,
                scale.to_str().unwrap()
            ),
        )
        .unwrap();
    }
    fs::write(
        folder.join("audit.toml"),
        r#"
        name = "tiny"
        about = "made for a test"
        [[statements]]
        id = "lrn"
        section = "§3.3"
        text = "Without LRN the error is higher."
        paper = "+1.4 points"
        design = "./lrn.toml"
        arm = "off"
        direction = "higher"
        [[statements]]
        id = "pooling"
        section = "§3.4"
        text = "Windows of 2 give a higher error."
        paper = "+0.4 points"
        design = "./pooling.toml"
        arm = "2/2"
        direction = "higher"
        [[statements]]
        id = "views"
        section = "§6"
        text = "One view is worse."
        paper = "+1.5 points"
        untested = "No images."
        "#,
    )
    .unwrap();
}

fn audit(folder: &Path, more: &[&str]) -> std::process::Output {
    experiments(folder).args(["audit", "./audit.toml", "--plain"]).args(more).output().unwrap()
}

#[test]
fn an_audit_trains_what_is_missing_and_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tiny_audit(folder, "0.004");
    let read = |out: &str| -> Value {
        serde_json::from_slice(&fs::read(folder.join(out).join("audit.json")).unwrap()).unwrap()
    };

    let nothing = audit(folder, &["--budget", "0", "--out", "none"]);
    assert!(nothing.status.success(), "{}", stderr(&nothing));
    assert_eq!(read("none")["statements"][0]["untested"], "not run yet");

    let first = audit(folder, &["--jobs", "2"]);
    assert!(first.status.success(), "{}", stderr(&first));
    assert!(stderr(&first).contains("design tiny-lrn: 4 of 4 runs to train"), "{}", stderr(&first));
    assert!(stdout(&first).contains("3 statements: "), "{}", stdout(&first));
    let found = read("runs");
    let statement = &found["statements"][0];
    assert_eq!((&statement["seeds"], &statement["complete"]), (&2.into(), &true.into()), "{statement}");
    assert_eq!((&statement["setting"], &statement["design"]["name"]), (&"mini".into(), &"tiny-lrn".into()));
    assert!(statement["difference"].is_number() && statement["verdict"].is_string(), "{statement}");
    assert!(found["settings"]["mini"]["runs"] == 6, "{found}");
    let page = fs::read_to_string(folder.join("runs/audit.html")).unwrap();
    assert!(page.contains("href='audits/tiny-lrn/report/index.html'"), "{page}");
    assert!(folder.join("runs/audits/tiny-lrn/report/index.html").is_file());

    // Nothing is trained twice, and the results are the same.
    let again = audit(folder, &[]);
    assert!(!stderr(&again).contains("to train"), "{}", stderr(&again));
    assert_eq!(read("runs"), found);
    // A design that was changed after its runs gives no result.
    let design = fs::read_to_string(folder.join("lrn.toml")).unwrap();
    fs::write(folder.join("lrn.toml"), design.replace("delta = 0.3", "delta = 0.1")).unwrap();
    let changed = audit(folder, &["--out", "runs", "--budget", "0"]);
    assert!(!changed.status.success());
    assert!(stderr(&changed).contains("holds runs of another design of this name"), "{}", stderr(&changed));
    assert_eq!(read("runs")["statements"][0]["untested"], "its runs here cannot be used");
    assert_eq!(read("runs")["statements"][1], found["statements"][1]);
    fs::write(folder.join("lrn.toml"), design).unwrap();
    assert!(audit(folder, &["--budget", "0"]).status.success());
    assert_eq!(read("runs"), found);
    // Another machine's runs are not trained again: all of them, then all but one.
    let earlier = folder.join("runs/audit-runs.jsonl");
    let with = |budget: &str, out: &str| {
        let output = audit(folder, &["--budget", budget, "--out", out, "--earlier", "runs/audit-runs.jsonl"]);
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    };
    let taken = with("0", "none");
    assert!(taken.contains("design tiny-lrn: 4 runs taken over"), "{taken}");
    assert_eq!(read("none")["statements"], found["statements"]);
    assert_eq!(fs::read(folder.join("none/audit-runs.jsonl")).unwrap(), fs::read(&earlier).unwrap());
    // A design that is not asked for is not touched.
    assert!(audit(folder, &["--only", "tiny-lrn", "--out", "only"]).status.success());
    assert!(
        folder.join("only/audits/tiny-lrn").is_dir() && !folder.join("only/audits/tiny-pooling").exists()
    );
    assert_eq!(read("only")["statements"][1]["untested"], "not run yet");
    let lines = fs::read_to_string(&earlier).unwrap();
    fs::write(&earlier, lines.split_inclusive('\n').skip(1).collect::<String>()).unwrap();
    let taken = with("1", "rest");
    assert!(taken.contains("1 of 4 runs to train"), "{taken}");
    assert_eq!(read("rest")["statements"], found["statements"]);
    // Runs of other results are of no study.
    fs::write(&earlier, lines.replace("\"results\":", "\"results\":1")).unwrap();
    assert!(!with("0", "other").contains("taken over"));
    assert_eq!(read("other")["statements"][0]["untested"], "not run yet");
}

#[test]
fn an_audit_says_what_does_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tiny_audit(folder, "0.005");
    let refused = |more: &[&str]| {
        let output = audit(folder, more);
        assert!(!output.status.success());
        stderr(&output)
    };
    let rate = refused(&[]);
    assert!(rate.contains("arm `on` is registered with a learning rate of 0.005, and has 0.004"), "{rate}");
    tiny_audit(folder, "0.004");
    for (file, from, to) in [
        ("audit.toml", r#""off""#, r#""without-gelu""#),
        ("lrn.toml", r#"ablation = "lrn""#, r#"ablation = "modern""#),
        ("lrn.toml", r#""off", rate = 0.004"#, r#""without-gelu", rate = 0.0004"#),
    ] {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(folder.join(file), text.replace(from, to)).unwrap();
    }
    let apart = refused(&[]);
    assert!(apart.contains("arm `without-gelu` is compared with `all`, which it lacks"), "{apart}");
    tiny_audit(folder, "0.004");
    assert!(
        refused(&["--only", "nothing"])
            .contains("the audit has no such design; it has tiny-lrn, tiny-pooling")
    );
    assert!(refused(&["--data", "here"]).contains("--data here: give the name of a data set"));
    let unknown = refused(&["--data", "tiny=here"]);
    assert!(unknown.contains("--data tiny=here: no design is trained on `tiny`"), "{unknown}");
    assert!(refused(&["--budget=-1"]).contains("hours"));
    fs::write(folder.join("runs.jsonl"), "{}\n").unwrap();
    let damaged = refused(&["--earlier", "runs.jsonl"]);
    assert!(
        damaged.contains("runs.jsonl is damaged: line 1 is not a finished run: missing field"),
        "{damaged}"
    );
    assert!(refused(&["--earlier", "nowhere"]).contains("cannot read nowhere"));
    fs::remove_dir_all(folder.join("fetched")).unwrap();
    let absent = audit(folder, &[]);
    assert!(
        absent.status.success() && stderr(&absent).contains("is not here; give it with"),
        "{}",
        stderr(&absent)
    );
}

/// All built-in designs fit their ablations and scales, and the committed document is what the committed results say.
#[test]
fn the_papers_audit_fits_its_designs_and_its_document() {
    let folder = tempfile::tempdir().unwrap();
    succeed(experiments(folder.path()).args(["audit", "--budget", "0", "--out", "out"]));
    let committed = repository("docs/audit.json");
    if committed.is_file() {
        let report: alexnet_report::AuditReport =
            serde_json::from_slice(&fs::read(&committed).unwrap()).unwrap();
        crate::support::golden("docs/audit.md", &report.markdown());
        // The chart's dashes are the paper's effects, and a delta is half of one; both are rounded.
        for statement in &report.statements {
            if let (Some(paper), Some(found)) = (statement.paper_difference, &statement.comparison) {
                assert!(
                    (paper - 2.0 * found.delta).abs() < 0.015,
                    "{}: {paper}, {}",
                    statement.id,
                    found.delta
                );
            }
        }
    }
}
