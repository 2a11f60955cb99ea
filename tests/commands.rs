use std::fs;

use serde_json::Value;

use crate::support::{experiments, stderr, stdout, succeed, tiny_idx, tiny_scale};

/// An ablation of one epoch on few images; returns its folder.
fn ablation(folder: &std::path::Path, more: &[&str]) -> std::process::Output {
    ablation_command(folder, &["ablation"], more).output().unwrap()
}

fn ablation_command(folder: &std::path::Path, verb: &[&str], more: &[&str]) -> std::process::Command {
    let (scale, data) = (tiny_scale(folder), tiny_idx(&folder.join("images"), 12));
    let mut command = experiments(folder);
    command
        .args(verb)
        .args(["lrn", "--epochs", "1", "--scale", scale.to_str().unwrap()])
        .args(["--data", data.to_str().unwrap(), "--set", "recipe.learning_rate=0.001"])
        .args(more);
    command
}

#[test]
fn an_ablation_ends_in_a_table_and_is_not_trained_twice() {
    let folder = tempfile::tempdir().unwrap();
    let output = ablation(folder.path(), &["--seeds", "2"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let table = stdout(&output);
    for expected in ["gain-only", "±", "+1.4", "§3.3", "alpha·S/k", "runs/ablations/lrn-mini"] {
        assert!(table.contains(expected), "no `{expected}` in\n{table}");
    }
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    assert!(table.contains("adjusted") && table.contains("97.5 %, and 95 %"), "{table}");
    for file in ["study.json", "report.json", "runs.csv", "table.txt", "curves.svg", "report/index.html"] {
        assert!(folder.path().join("runs/ablations/lrn-mini").join(file).is_file(), "{file}");
    }
    let again = ablation(folder.path(), &["--seeds", "2", "--format", "json"]);
    assert_eq!(stderr(&again).matches("finished before").count(), 6, "{}", stderr(&again));
    let report: Value = serde_json::from_str(&stdout(&again)).unwrap();
    assert_eq!(report["arms"][1]["name"], "off");
    assert_eq!(report["arms"][1]["difference"]["seeds"], 2);
    assert_eq!(report["seeds"], serde_json::json!([0, 1]));

    let report = experiments(folder.path()).args(["report", "runs/ablations/lrn-mini"]).output().unwrap();
    assert_eq!(stdout(&report).trim(), table.trim());

    let runs: Vec<_> = fs::read_dir(folder.path().join("runs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("run.json").exists())
        .collect();
    assert_eq!(runs.len(), 6);
    let data = folder.path().join("images");
    let evaluate = experiments(folder.path())
        .args([
            "evaluate",
            "--ensemble",
            "--views",
            "10",
            "--data",
            data.to_str().unwrap(),
            "--format",
            "json",
        ])
        .args(&runs[..2])
        .output()
        .unwrap();
    assert!(evaluate.status.success(), "{}", stderr(&evaluate));
    let evaluated: Value = serde_json::from_str(&stdout(&evaluate)).unwrap();
    assert_eq!(evaluated["runs"].as_array().unwrap().len(), 2);
    assert_eq!(evaluated["ensemble"]["images"], 20);
}

#[test]
fn any_number_of_jobs_gives_the_same_results() {
    let folder = tempfile::tempdir().unwrap();
    let results = |jobs: &str, out: &str, more: &[&str]| -> Vec<(String, Vec<u8>)> {
        let words = [&["--seeds", "2", "--jobs", jobs, "--out", out], more].concat();
        let output = ablation(folder.path(), &words);
        assert!(output.status.success(), "{}", stderr(&output));
        let runs = fs::read_dir(folder.path().join(out)).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = runs
            .filter(|run| run.join("run.json").exists())
            .map(|run| {
                let name = run.file_name().unwrap().to_string_lossy().into_owned();
                (name, fs::read(run.join("weights.bpk")).unwrap())
            })
            .collect();
        files.sort();
        files
    };
    let one = results("1", "1", &[]);
    assert_eq!(one.len(), 6);
    assert!(results("3", "3", &[]) == one, "three processes train to other weights than one");
    for job in 1..=3 {
        let log = folder.path().join(format!("3/ablations/lrn-mini/logs/job-{job}.log"));
        assert!(fs::read_to_string(&log).unwrap().contains("epoch 1"), "{}", log.display());
    }
    // A job may have one thread, for which the threads of the parts must not wait for each other.
    let divided = ["--devices", "flex,flex", "--data-parallel"];
    let parts = results("1", "parts", &divided);
    assert!(parts != one, "the batches were not divided");
    assert!(results("3", "parts-3", &divided) == parts, "three processes train to other weights than one");
}

#[test]
fn a_job_that_does_not_start_leaves_its_share_to_the_others() {
    let folder = tempfile::tempdir().unwrap();
    // Where its log should be is a folder, so job 2 cannot start.
    fs::create_dir_all(folder.path().join("runs/ablations/lrn-mini/logs/job-2.log")).unwrap();
    let output = ablation(folder.path(), &["--seeds", "2", "--jobs", "2"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("job 2 does not start: cannot write"), "{}", stderr(&output));
    let list = succeed(experiments(folder.path()).args(["runs", "list", "--format", "json"]));
    let list: Value = serde_json::from_str(&stdout(&list)).unwrap();
    assert_eq!(list.as_array().unwrap().iter().filter(|run| run["state"] == "finished").count(), 6);
}

#[test]
fn a_grid_has_an_arm_for_each_combination_but_the_base() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rates.toml");
    let head = "name = \"rates\"\nquestion = \"Which?\"\nquantity = \"test-error\"\ndelta = 0.3\n\
        [claim]\ntext = \"none\"\nsection = \"none\"\ndata = \"none\"\n\
        [base]\nname = \"base\"\nabout = \"base\"\n[grid]\n";
    let (scale, data) = (tiny_scale(folder.path()), tiny_idx(&folder.path().join("images"), 12));
    let run = |grid: &str| {
        fs::write(&path, format!("{head}{grid}")).unwrap();
        experiments(folder.path())
            .args(["ablation", path.to_str().unwrap(), "--seeds", "1", "--epochs", "1", "--format", "json"])
            .args(["--scale", scale.to_str().unwrap(), "--data", data.to_str().unwrap()])
            .output()
            .unwrap()
    };
    let output =
        run("set = { \"recipe.momentum\" = [0.9, 0.5], \"network.activation\" = [\"relu\", \"tanh\"] }");
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let names: Vec<&str> =
        report["arms"].as_array().unwrap().iter().map(|arm| arm["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "base",
            "activation relu, momentum 0.5",
            "activation tanh, momentum 0.9",
            "activation tanh, momentum 0.5"
        ]
    );
    let message = stderr(&run("set = { \"recipe.momentum\" = [] }"));
    assert!(message.contains("`recipe.momentum` has an empty list"), "{message}");
    let message = stderr(&run("set = { \"recipe.momentun\" = [0.5] }"));
    assert!(message.contains("has no `momentun`"), "{message}");
}

#[test]
fn runs_are_listed_shown_compared_and_watched() {
    let folder = tempfile::tempdir().unwrap();
    assert!(ablation(folder.path(), &["--seeds", "2"]).status.success());
    let run = |words: &[&str]| stdout(&succeed(experiments(folder.path()).args(words)));
    let list: Value = serde_json::from_str(&run(&["runs", "list", "--format", "json"])).unwrap();
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 6);
    assert!(list.iter().all(|run| run["state"] == "finished" && run["epochs"] == 1));
    let study: Value =
        serde_json::from_slice(&fs::read(folder.path().join("runs/ablations/lrn-mini/study.json")).unwrap())
            .unwrap();
    let path =
        |arm: usize, seed: usize| format!("runs/{}", study["arms"][arm]["runs"][seed].as_str().unwrap());
    let text = run(&["runs", "show", &path(0, 0)]);
    for expected in ["network.conv.conv1.stages = activation, lrn, max-pool", "from epoch 1", "validation"] {
        assert!(text.contains(expected), "no `{expected}` in\n{text}");
    }
    let diff: Value =
        serde_json::from_str(&run(&["runs", "diff", &path(0, 0), &path(1, 0), "--format", "json"])).unwrap();
    let keys: Vec<&str> =
        diff["config"].as_array().unwrap().iter().map(|found| found["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["network.conv.conv1.stages", "network.conv.conv2.stages"]);
    let alone = |key: &str| diff["mcnemar"][key].as_f64().unwrap();
    let errors = &diff["test_top1_error"];
    let difference = errors[1].as_f64().unwrap() - errors[0].as_f64().unwrap();
    assert!((difference - 100.0 * (alone("first_alone") - alone("second_alone")) / 20.0).abs() < 1e-9);
    assert!(run(&["runs", "diff", &path(0, 0), &path(0, 1)]).contains("seed"));

    let power: Value = serde_json::from_str(&run(&["power", "lrn", "--format", "json"])).unwrap();
    assert_eq!(power["arms"][0]["seeds"], 2);
    assert!(power["arms"][0]["seeds_needed_for_paper"].is_number());

    // A run that is not finished: what it was at is kept, and it is nobody's now.
    fs::remove_file(folder.path().join(path(2, 1)).join("result.json")).unwrap();
    fs::write(folder.path().join(path(2, 1)).join("failure.txt"), "the disk is full\n").unwrap();
    let watched = run(&["watch"]);
    assert!(watched.contains("5 finished, 0 running, 1 failed, 0 stopped"), "{watched}");
    assert!(watched.contains("the disk is full"), "{watched}");
    let report = run(&["report", "runs/ablations/lrn-mini", "--out", "page"]);
    assert!(report.contains("the disk is full"), "{report}");
    let page = fs::read_to_string(folder.path().join("page/index.html")).unwrap();
    assert!(page.contains("the disk is full"));
    assert!(
        !page.contains(folder.path().to_str().unwrap()),
        "a page says where nothing of this machine lies"
    );
}

#[test]
fn a_job_script_has_a_task_for_each_run() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        ablation_command(folder.path(), &["submit", "slurm"], &["--seeds", "2", "--dry-run", "--cpus", "3"])
            .output()
            .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let script = fs::read_to_string(folder.path().join("runs/ablations/lrn-mini/slurm.sh")).unwrap();
    for expected in ["#SBATCH --array=0-5", "#SBATCH --cpus-per-task=3", "--requeue", "--threads 3", "--task"]
    {
        assert!(script.contains(expected), "no `{expected}` in\n{script}");
    }
    // What a job does, and what it does when it is queued again.
    let data = folder.path().join("images");
    let task = |number: &str| {
        experiments(folder.path())
            .args(["work", "runs/ablations/lrn-mini", "--data", data.to_str().unwrap(), "--task", number])
            .output()
            .unwrap()
    };
    assert!(task("5").status.success());
    assert!(stderr(&task("5")).contains("finished before"));
    assert!(stderr(&task("6")).contains("there is no task 6; the study has 6, counted from 0"));
    let none = ablation_command(folder.path(), &["submit", "slurm"], &["--seeds", "1"])
        .env("PATH", "")
        .output()
        .unwrap();
    assert!(stderr(&none).contains("cannot start sbatch"), "{}", stderr(&none));
}

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
        ("processor", Value::from("sparc-vis"), "processor"),
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
    let late =
        ablation(folder.path(), &["--until-decided", "--max-seeds", "4", "--set", "recipe.momentum=0.8"]);
    assert!(stderr(&late).contains("was made with 4 seeds, and looks must be fixed"), "{}", stderr(&late));
    assert_eq!(mark(&report("3", &["--set", "recipe.momentum=0.8", "--fresh"])), Value::Null);
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

    // What a kill leaves: the runs of the last look are gone, and with them its table.
    let gone = |seed: usize| (0..3).map(move |arm| (arm, seed));
    for (arm, seed) in gone(4).chain(gone(5)) {
        let _ = fs::remove_dir_all(run_of(folder.path(), "runs", arm, seed));
    }
    let interim = stdout(&succeed(experiments(folder.path()).args(["report", "runs/ablations/lrn-mini"])));
    assert!(!interim.contains("not trained"), "looks to come are no missing runs\n{interim}");
    // But for times and memory.
    let found = |report: &Value| -> Vec<Value> {
        let keys = ["name", "values", "difference", "verdict", "look"];
        let arms = report["arms"].as_array().unwrap().iter();
        arms.map(|arm| keys.iter().map(|key| arm[*key].clone()).collect()).collect()
    };
    assert_eq!(found(&report(&[])), found(&first), "it goes on to the same table");

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
                && stderr(&refused).contains("--fresh"),
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

#[test]
fn one_seed_is_undecided_and_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let output = ablation(folder.path(), &["--seeds", "1"]);
    assert!(output.status.success());
    assert!(stdout(&output).contains("undecided: one seed"), "{}", stdout(&output));
}

#[test]
fn a_diverging_arm_is_reported_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rate.toml");
    fs::write(
        &path,
        r#"
        name = "rate"
        question = "How fast?"
        quantity = "test-error"
        delta = 1.0
        [claim]
        text = "none"
        section = "none"
        data = "none"
        [base]
        name = "slow"
        about = "slow"
        [[arms]]
        name = "mad"
        about = "too fast"
        set = { "recipe.learning_rate" = 1e30 }
        "#,
    )
    .unwrap();
    let (scale, data) = (tiny_scale(folder.path()), tiny_idx(&folder.path().join("images"), 12));
    let output = experiments(folder.path())
        .args(["ablation", path.to_str().unwrap(), "--seeds", "1", "--epochs", "2"])
        .args(["--scale", scale.to_str().unwrap(), "--data", data.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let table = stdout(&output);
    assert!(table.contains("no finished run") && table.contains("the loss became"), "{table}");
}

#[test]
fn every_ablation_resolves_at_mini_cifar10_tiny_imagenet_and_imagenet() {
    // A wrong key, an idle arm or a layer that does not fit is found before any data is looked for,
    // so a missing data set is the only thing left to complain about.
    let folder = tempfile::tempdir().unwrap();
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/ablations")).unwrap();
    let mut names: Vec<std::path::PathBuf> = files.map(|file| file.unwrap().path()).collect();
    names.sort();
    assert!(names.len() >= 13);
    for ablation in names.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()) {
        for scale in ["cifar10", "tiny-imagenet", "imagenet"] {
            let output =
                experiments(folder.path()).args(["ablation", ablation, "--scale", scale]).output().unwrap();
            let message = stderr(&output);
            assert!(message.contains("is not here"), "{ablation} at {scale}: {message}");
        }
        let missing = ["ablation", ablation, "--data", "/nowhere"];
        let message = stderr(&experiments(folder.path()).args(missing).output().unwrap());
        assert!(message.contains("--data /nowhere: no such file"), "{ablation} at mini: {message}");
    }
}

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
            "`recipe` has no `rate`; it has batch_size",
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
