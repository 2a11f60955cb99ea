use std::fs;

use serde_json::Value;

use crate::support::{ablation, experiments, stderr, stdout, succeed, tiny_idx, tiny_scale};

/// The runs of a study, by arm and seed.
fn run_of(folder: &std::path::Path, out: &str, arm: usize, seed: usize) -> std::path::PathBuf {
    let study = fs::read(folder.join(out).join("ablations/lrn-mini/study.json")).unwrap();
    let study: Value = serde_json::from_slice(&study).unwrap();
    folder.join(out).join(study["arms"][arm]["runs"][seed].as_str().unwrap())
}

/// Changes every session in a run's record.
fn change_sessions(run: &std::path::Path, change: impl Fn(&mut Value)) {
    let path = run.join("run.json");
    let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    record["sessions"].as_array_mut().unwrap().iter_mut().for_each(change);
    fs::write(path, serde_json::to_vec(&record).unwrap()).unwrap();
}

#[test]
fn runs_of_mixed_versions_are_not_compared_unless_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    assert!(ablation(folder.path(), &["--seeds", "2"]).status.success());
    let report = |more: &[&str]| {
        let words = [&["report", "runs/ablations/lrn-mini"], more].concat();
        stdout(&succeed(experiments(folder.path()).args(words)))
    };
    let json = |more: &[&str]| -> Value {
        serde_json::from_str(&report(&[&["--format", "json"], more].concat())).unwrap()
    };
    let plain = json(&[]);
    assert_eq!(plain["arms"][1]["versions"].as_array().unwrap().len(), 1);
    assert_eq!(plain["arms"][1]["versions"][0]["results"], alexnet_train::RESULTS);
    assert!(report(&[]).contains("Computed by results "));

    // Another commit with the same results is shown and compared.
    change_sessions(&run_of(folder.path(), "runs", 1, 0), |session| {
        session["code_version"] = "0.1.0+another".into();
    });
    let commits = json(&[]);
    assert_eq!(commits["arms"][1]["verdict"], plain["arms"][1]["verdict"]);
    assert_eq!(commits["arms"][1]["versions"].as_array().unwrap().len(), 2);
    assert!(report(&[]).contains("0.1.0+another"));

    for (key, value, what) in [
        ("processor", Value::from("wasm32-narrow-nofma"), "processor"),
        ("operations", "composed".into(), "operations"),
        ("backend", "wgpu".into(), "backend"),
        ("results", 1.into(), "results"),
        ("results", Value::Null, "results"),
    ] {
        let run = run_of(folder.path(), "runs", 1, 0);
        let record = fs::read(run.join("run.json")).unwrap();
        change_sessions(&run, |session| session[key] = value.clone());
        let refused = json(&[]);
        assert_eq!(refused["arms"][1]["verdict"], "not-compared", "{key}");
        assert_eq!(refused["arms"][1]["mixed"], serde_json::json!([what]));
        assert_eq!(refused["arms"][2]["verdict"], plain["arms"][2]["verdict"], "the others are");
        let table = report(&[]);
        assert!(table.contains("not compared: mixed versions"), "{table}");
        assert!(table.contains(&format!("off: its runs differ in {what}")), "{table}");
        let power = ["power", "lrn", "--format", "json"];
        let power: Value =
            serde_json::from_str(&stdout(&succeed(experiments(folder.path()).args(power)))).unwrap();
        assert_eq!(power["arms"][0]["verdict"], "not-compared");

        let asked = json(&["--mixed-versions"]);
        assert_eq!(asked["mixed_versions"], true);
        assert_eq!(asked["arms"][1]["verdict"], plain["arms"][1]["verdict"]);
        assert_eq!(asked["arms"][1]["mixed"], serde_json::json!([what]));
        assert!(report(&["--mixed-versions"]).contains(", mixed versions"));
        let page =
            fs::read_to_string(folder.path().join("runs/ablations/lrn-mini/report/index.html")).unwrap();
        assert!(page.contains(", mixed versions"), "the page is marked");
        fs::write(run.join("run.json"), record).unwrap();
    }
    assert_eq!(json(&[])["arms"][1]["verdict"], plain["arms"][1]["verdict"]);
}

#[test]
fn runs_without_a_number_of_results_are_read_and_marked() {
    let folder = tempfile::tempdir().unwrap();
    assert!(ablation(folder.path(), &["--seeds", "2"]).status.success());
    for (arm, seed) in (0..3).flat_map(|arm| [(arm, 0), (arm, 1)]) {
        change_sessions(&run_of(folder.path(), "runs", arm, seed), |session| {
            let session = session.as_object_mut().unwrap();
            session.remove("results");
            session.remove("host");
        });
    }
    let report = || stdout(&succeed(experiments(folder.path()).args(["report", "runs/ablations/lrn-mini"])));
    let table = report();
    assert!(table.contains("from before results were numbered") && table.contains("undecided"), "{table}");
    // Their commit is all that tells them apart.
    change_sessions(&run_of(folder.path(), "runs", 0, 1), |session| {
        session["code_version"] = "0.1.0+another".into();
    });
    assert!(report().contains("differ in code"), "{}", report());
}

#[test]
fn a_form_of_the_operations_has_runs_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    assert!(ablation(folder.path(), &["--seeds", "1"]).status.success());
    let output = ablation(folder.path(), &["--seeds", "1", "--ops", "composed"]);
    assert!(output.status.success() && !stderr(&output).contains("finished before"), "{}", stderr(&output));
    let list = succeed(experiments(folder.path()).args(["runs", "list", "--format", "json"]));
    let list: Value = serde_json::from_str(&stdout(&list)).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 6);
    let data = folder.path().join("images");
    // What `submit` and `--jobs` start is told the form; with another it would train other runs than the study's.
    let other = experiments(folder.path())
        .args(["work", "runs/ablations/lrn-mini", "--data", data.to_str().unwrap(), "--task", "0"])
        .output()
        .unwrap();
    assert!(!other.status.success() && stderr(&other).contains("another `--ops`"), "{}", stderr(&other));
}

#[test]
fn seeds_added_or_left_out_after_a_table_mark_the_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let report = |seeds: &str, more: &[&str]| -> Value {
        let output = ablation(folder.path(), &[&["--seeds", seeds, "--format", "json"], more].concat());
        serde_json::from_str(&stdout(&output)).unwrap()
    };
    let mark = |report: &Value| report["arms"][1]["after_look"].clone();
    assert_eq!(mark(&report("2", &[])), Value::Null);
    assert_eq!(mark(&report("2", &[])), Value::Null, "the same table again is no other look");
    assert_eq!(mark(&report("3", &[])), "extended");
    assert_eq!(mark(&report("2", &[])), "reduced");
    let output = ablation(folder.path(), &["--seeds", "3"]);
    let table = stdout(&output);
    assert!(table.contains(", extended after a look"), "{table}");
    let unwrapped = table.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(unwrapped.contains("`--until-decided` fixes looks in advance"), "{table}");
    let page = fs::read_to_string(folder.path().join("runs/ablations/lrn-mini/report/index.html")).unwrap();
    assert!(page.contains(", extended after a look"), "the page is marked");
    let power = stdout(&succeed(experiments(folder.path()).args(["power", "lrn"])));
    assert!(power.contains("`extended after a look`") && power.contains("--until-decided"), "{power}");
    // Other runs are another study, and so is one that is begun anew.
    assert_eq!(mark(&report("4", &["--set", "recipe.momentum=0.8"])), Value::Null);
    assert_eq!(
        mark(&report("4", &[])),
        "extended",
        "another study between does not undo the looks of this one"
    );
    let late =
        ablation(folder.path(), &["--until-decided", "--max-seeds", "4", "--set", "recipe.momentum=0.8"]);
    assert!(stderr(&late).contains("was made with 4 seeds, and looks must be fixed"), "{}", stderr(&late));
    assert_eq!(mark(&report("3", &["--set", "recipe.momentum=0.8", "--fresh"])), Value::Null);
    assert_ne!(mark(&report("3", &[])), Value::Null, "--fresh removes the looks at its own comparisons only");
}

#[test]
fn a_design_looks_as_it_was_fixed_and_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["--until-decided", "--max-seeds", "6", "--jobs", "2"];
    let study = || -> Value {
        let path = folder.path().join("runs/ablations/lrn-mini/study.json");
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    };
    let output = ablation(folder.path(), &words);
    assert!(output.status.success(), "{}", stderr(&output));
    let (table, lines) = (stdout(&output), stderr(&output));
    assert!(lines.contains("look 1 of 2, at 4 seeds: off "), "{lines}");
    assert!(table.contains("Looks fixed in advance, at 4, 6 seeds."), "{table}");
    let design = study()["design"].clone();
    let level = |look: usize| design["looks"][look]["level"].as_f64().unwrap();
    assert_eq!((&design["arms"], &design["looks"][0]["seeds"]), (&2.into(), &4.into()));
    assert!((level(0) - 0.01).abs() < 1e-12 && (level(1) - 0.015).abs() < 1e-12, "{design}");

    // An arm stands at the look that decided it, or at the last, and the interval has that look's level.
    let report = |more: &[&str]| -> Value {
        let output = ablation(folder.path(), &[&words[..], &["--format", "json"], more].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_str(&stdout(&output)).unwrap()
    };
    let first = report(&[]);
    for arm in &first["arms"].as_array().unwrap()[1..] {
        let look = arm["look"].as_u64().unwrap() as usize;
        let decided = arm["verdict"]["undecided"].is_null();
        assert!(decided || look == 6, "{arm}");
        assert_eq!(arm["difference"]["seeds"], look);
        assert_eq!(arm["difference"]["level"].as_f64(), Some(level(usize::from(look == 6))));
        assert_eq!(arm["after_look"], Value::Null);
    }

    // Both looks are made: the same command passes the first, although the second arm stands at the second.
    let again = ablation(folder.path(), &words);
    assert!(again.status.success() && stdout(&again) == table, "{}", stdout(&again));
    assert!(!stderr(&again).contains("waits for runs"), "{}", stderr(&again));

    // What a kill leaves: the runs of the last look are gone, and with them its table.
    let gone = |seed: usize| (0..3).map(move |arm| (arm, seed));
    for (arm, seed) in gone(4).chain(gone(5)) {
        let _ = fs::remove_dir_all(run_of(folder.path(), "runs", arm, seed));
    }
    let interim = stdout(&succeed(experiments(folder.path()).args(["report", "runs/ablations/lrn-mini"])));
    assert!(!interim.contains("not trained"), "looks to come are no missing runs\n{interim}");
    // A run that diverged counts as ended, and another failure does not.
    for (arm, seed) in gone(4).chain(gone(5)) {
        fs::create_dir_all(run_of(folder.path(), "runs", arm, seed)).unwrap();
    }
    let looks = |failure: &str| -> Vec<Value> {
        for (arm, seed) in gone(4).chain(gone(5)) {
            fs::write(run_of(folder.path(), "runs", arm, seed).join("failure.txt"), failure).unwrap();
        }
        let words = ["report", "runs/ablations/lrn-mini", "--format", "json"];
        let report: Value =
            serde_json::from_str(&stdout(&succeed(experiments(folder.path()).args(words)))).unwrap();
        report["arms"].as_array().unwrap()[1..].iter().map(|arm| arm["look"].clone()).collect()
    };
    let decided = |look: u64| {
        let of = |arm: &Value| if arm["look"] == 4 { 4 } else { look };
        first["arms"].as_array().unwrap()[1..].iter().map(of).map(Value::from).collect::<Vec<_>>()
    };
    assert_ne!(decided(4), decided(6), "an arm must go on to the second look");
    assert_eq!(looks("the disk is full\n"), decided(4));
    assert_eq!(looks("the loss became NaN\ndiverged\n"), decided(6));
    for (arm, seed) in gone(4).chain(gone(5)) {
        fs::remove_dir_all(run_of(folder.path(), "runs", arm, seed)).unwrap();
    }
    // But for times and memory.
    let found = |report: &Value| -> Vec<Value> {
        let keys = ["name", "values", "difference", "verdict", "look"];
        let arms = report["arms"].as_array().unwrap().iter();
        arms.map(|arm| keys.iter().map(|key| arm[*key].clone()).collect()).collect()
    };
    assert_eq!(found(&report(&[])), found(&first), "it goes on to the same table");

    // A run of the first look cannot be written: the look waits, and later runs do not begin.
    for (arm, seed) in (0..3).flat_map(|arm| [(arm, 4), (arm, 5)]).chain([(1, 3)]) {
        let _ = fs::remove_dir_all(run_of(folder.path(), "runs", arm, seed));
    }
    fs::write(run_of(folder.path(), "runs", 1, 3), "in the way").unwrap();
    let waiting = ablation(folder.path(), &words);
    assert!(!waiting.status.success());
    assert!(
        stderr(&waiting).contains("the look at 4 seeds waits for runs that failed"),
        "{}",
        stderr(&waiting)
    );
    assert!(!run_of(folder.path(), "runs", 0, 4).exists());
    fs::remove_file(run_of(folder.path(), "runs", 1, 3)).unwrap();
    assert_eq!(found(&report(&[])), found(&first), "it goes on once the run can be written");
    let fresh = ablation(folder.path(), &[&words[..], &["--format", "json", "--fresh"]].concat());
    let lines = stderr(&fresh);
    assert!(
        lines.contains("look 1 of 2, at 4 seeds: off ") && lines.contains("look 2 of 2, at 6"),
        "{lines}"
    );
    let fresh = serde_json::from_str(&stdout(&fresh)).unwrap();
    assert_eq!(found(&fresh), found(&first), "all runs are trained again, look by look");

    // Its design stays.
    for (other, expected) in [
        (vec!["--until-decided", "--max-seeds", "8"], "this command has others"),
        (vec!["--seeds", "6"], "`--until-decided` and `--max-seeds` go on with it"),
        (vec!["--until-decided", "--max-seeds", "6", "--set", "recipe.momentum=0.8"], "runs are others"),
    ] {
        let refused = ablation(folder.path(), &other);
        assert!(!refused.status.success());
        assert!(
            stderr(&refused).contains("the design of this study is fixed, looks at 4, 6 seeds over 2 arms")
                && stderr(&refused).contains(expected)
                && stderr(&refused).contains("--seed-base"),
            "{}",
            stderr(&refused)
        );
        assert_eq!(study()["design"], design);
    }
    assert!(ablation(folder.path(), &["--seeds", "1", "--fresh"]).status.success());
    assert_eq!(study()["design"], Value::Null);
}

/// An arm that cannot learn is decided at the first look and not trained further; the other goes on.
#[test]
fn a_decided_arm_is_trained_no_further() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rate.toml");
    let arm = |name: &str, set: &str| {
        format!("[[arms]]\nname = \"{name}\"\nabout = \"{name}\"\nset = {{ {set} }}\n")
    };
    let head = "name = \"rate\"\nquestion = \"Which?\"\nquantity = \"test-error\"\ndelta = 0.001\n\
        [claim]\ntext = \"none\"\nsection = \"none\"\ndata = \"none\"\n\
        [base]\nname = \"base\"\nabout = \"base\"\n";
    let (still, close) =
        (arm("still", "\"recipe.learning_rate\" = 0.0"), arm("close", "\"recipe.momentum\" = 0.89"));
    fs::write(&path, format!("{head}{still}{close}")).unwrap();
    let (scale, data) = (tiny_scale(folder.path()), tiny_idx(&folder.path().join("images"), 30));
    let output = experiments(folder.path())
        .args(["ablation", path.to_str().unwrap(), "--epochs", "4", "--format", "json"])
        .args(["--set", "recipe.batch_size=10", "--until-decided", "--max-seeds", "6"])
        .args(["--scale", scale.to_str().unwrap(), "--data", data.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let [base, still, close] = [0, 1, 2].map(|arm| &report["arms"][arm]);
    assert_eq!(
        (&still["look"], &still["verdict"]),
        (&4.into(), &serde_json::json!({"differs": {"larger": true}}))
    );
    let runs = |arm: &Value| arm["runs"].as_array().unwrap().len();
    assert_eq!((runs(base), runs(still), runs(close)), (6, 4, 6), "{}", stderr(&output));
    assert!(close["look"] == 6, "{close}");
}
