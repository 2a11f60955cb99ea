use std::fs;

use serde_json::Value;

use crate::support::{
    ablation, ablation_command, experiments, repository, stderr, stdout, succeed, tiny_idx, tiny_scale,
};

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
    // Without a claim, since the question is of no paper.
    let head = "name = \"rates\"\nquestion = \"Which?\"\nquantity = \"test-error\"\ndelta = 0.3\n\
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
    let options = ["--seeds", "2", "--seed-base", "40", "--dry-run", "--cpus", "3"];
    let output = ablation_command(folder.path(), &["submit", "slurm"], &options).output().unwrap();
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
    let runs = fs::read_dir(folder.path().join("runs")).unwrap();
    let names: Vec<String> = runs.map(|run| run.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().any(|name| name.contains("-seed41-")), "the second seed from 40: {names:?}");
    assert!(stderr(&task("5")).contains("finished before"));
    assert!(stderr(&task("6")).contains("there is no task 6; the study has 6, counted from 0"));
    let none = ablation_command(folder.path(), &["submit", "slurm"], &["--seeds", "1"])
        .env("PATH", "")
        .output()
        .unwrap();
    assert!(stderr(&none).contains("cannot start sbatch"), "{}", stderr(&none));
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
    let ablation = |more: &[&str]| {
        experiments(folder.path())
            .args(["ablation", path.to_str().unwrap(), "--seeds", "1", "--epochs", "2"])
            .args(["--scale", scale.to_str().unwrap(), "--data", data.to_str().unwrap()])
            .args(more)
            .output()
            .unwrap()
    };
    let reported = |output: &std::process::Output| {
        let table = stdout(output);
        assert!(table.contains("no finished run") && table.contains("the loss became"), "{table}");
    };
    let first = ablation(&[]);
    assert!(!first.status.success());
    reported(&first);
    let again = ablation(&[]);
    assert!(stderr(&again).contains("diverged before, not trained again"), "{}", stderr(&again));
    reported(&again);
    let fresh = ablation(&["--fresh"]);
    assert!(!fresh.status.success() && !stderr(&fresh).contains("diverged before"), "{}", stderr(&fresh));
}

#[test]
fn every_later_idea_trains_alone_together_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let (scale, data) = (tiny_scale(folder.path()), tiny_idx(&folder.path().join("images"), 12));
    let words = ["ablation", "modern", "--seeds", "1", "--epochs", "1", "--format", "json", "--scale"];
    let output = experiments(folder.path()).args(words).arg(scale).arg("--data").arg(data).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let arms = report["arms"].as_array().unwrap();
    let named = |name: &str| arms.iter().find(|arm| arm["name"] == name).unwrap();
    assert!(arms.iter().all(|arm| arm["mean"].is_number() && arm["step_time"].is_number()), "{report}");
    assert_eq!(arms[0]["step_time"], 1.0);
    let together = named("all")["together"].as_array().unwrap();
    assert_eq!((arms.len(), together.len()), (1 + 12 + 1 + 11, 11));
    for idea in together {
        let left_out = named(&format!("without-{}", idea.as_str().unwrap()));
        assert_eq!((&left_out["without"], &left_out["against"]), (idea, &"all".into()));
    }
    let page = folder.path().join("runs/ablations/modern-mini/report/index.html");
    assert!(fs::read_to_string(page).unwrap().contains("From 2012 to all, idea by idea"));
}

#[test]
fn every_pilot_resolves() {
    let folder = tempfile::tempdir().unwrap();
    for file in fs::read_dir(repository("experiments/pilots")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let scale = if path.ends_with("figure-1.toml") { "figure-1" } else { "fashion" };
            let mut command = experiments(folder.path());
            let output = command.arg("ablation").arg(&path).args(["--scale", scale]).output().unwrap();
            assert!(stderr(&output).contains("is not here"), "{}: {}", path.display(), stderr(&output));
        }
    }
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
