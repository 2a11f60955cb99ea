use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Held, experiments, stderr, succeed, tiny_idx, tiny_scale};

/// The one run folder in `out`.
fn run_folder(out: &Path) -> PathBuf {
    let mut folders = fs::read_dir(out)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("run.json").exists());
    let folder = folders.next().unwrap();
    assert!(folders.next().is_none());
    folder
}

/// `metrics.jsonl` without the times, which are nobody's.
fn metrics(run: &Path) -> Vec<String> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| line.split(",\"seconds\"").next().unwrap().to_owned()).collect()
}

fn arguments(folder: &Path, out: &str) -> Vec<String> {
    let scale = tiny_scale(folder);
    let data = tiny_idx(&folder.join("images"), 60);
    let mut arguments: Vec<String> =
        ["train", scale.to_str().unwrap(), "--data", data.to_str().unwrap()].map(str::to_owned).into();
    for word in
        ["--epochs", "3", "--set", "recipe.batch_size=8", "--set", "recipe.learning_rate=0.001", "--out", out]
    {
        arguments.push(word.to_owned());
    }
    arguments
}

/// Running averages are no gradients, and records know only what has been brought together.
#[test]
#[cfg(unix)]
fn a_run_with_batch_normalization_that_is_stopped_in_mid_epoch_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let stages = "network.conv.conv2.stages=[{batch-norm={epsilon=1e-5,momentum=0.1}}, \"activation\", \
                  {max-pool={size=3,stride=2,padding=0,rounding=\"ceil\"}}]";
    let all =
        |out: &str| [arguments(folder.path(), out), vec!["--set".to_owned(), stages.to_owned()]].concat();
    succeed(experiments(folder.path()).args(all("straight")));
    stop_again_and_again(folder.path(), "stopped", &all("stopped"), "-INT");
    assert_same(&folder.path().join("straight"), &folder.path().join("stopped"));
}

/// Two runs have the same rows, weights and answers, bit by bit.
fn assert_same(one: &Path, other: &Path) {
    let [one, other] = [one, other].map(run_folder);
    assert_eq!(metrics(&one), metrics(&other));
    for file in ["weights.bpk", "answers-centre.json"] {
        assert!(fs::read(one.join(file)).unwrap() == fs::read(other.join(file)).unwrap(), "{file}");
    }
}

/// Steps of an epoch of [`arguments`]: 540 images are trained and 60 validated, eight at a time.
const EPOCH: usize = 540usize.div_ceil(8) + 60usize.div_ceil(8);

#[test]
fn a_killed_run_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let [straight, killed] = ["straight", "killed"].map(|out| folder.path().join(out));
    succeed(experiments(folder.path()).args(arguments(folder.path(), "straight")));
    // In the second epoch, in the second again, in the validation of the third, and in the test.
    for steps in [EPOCH + 4, 30, 2 * EPOCH - 2, EPOCH + 1] {
        let mut command = experiments(folder.path());
        Held::after(steps, command.args(arguments(folder.path(), "killed"))).ok().unwrap().kill();
    }
    succeed(experiments(folder.path()).args(arguments(folder.path(), "killed")));
    assert_same(&straight, &killed);
    let record = fs::read_to_string(run_folder(&killed).join("run.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let begun: Vec<_> =
        record["sessions"].as_array().unwrap().iter().map(|it| it["from_epoch"].as_u64().unwrap()).collect();
    assert_eq!(begun, [1, 2, 2, 3, 4], "it went on where its last checkpoint was");
}

#[test]
#[cfg(unix)]
fn an_interrupted_run_goes_on_in_mid_epoch_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    succeed(experiments(folder.path()).args(arguments(folder.path(), "straight")));
    stop_again_and_again(folder.path(), "stopped", &arguments(folder.path(), "stopped"), "-TERM");
    assert_same(&folder.path().join("straight"), &folder.path().join("stopped"));
    // In the test, which follows on the last epoch.
    let mut command = experiments(folder.path());
    let tested = Held::after(3 * EPOCH + 1, command.args(arguments(folder.path(), "tested"))).ok().unwrap();
    let (status, said) = tested.signal("-INT");
    assert!(status.code() == Some(130) && said.contains("tests again"), "{said}");
    succeed(experiments(folder.path()).args(arguments(folder.path(), "tested")));
    assert_same(&folder.path().join("straight"), &folder.path().join("tested"));
}

/// Stops a run by a signal again and again, each time later, until it is through.
#[cfg(unix)]
fn stop_again_and_again(folder: &Path, out: &str, arguments: &[String], signal: &str) {
    let mut middles = 0;
    for steps in (3..).step_by(29) {
        let held = match Held::after(steps, experiments(folder).args(arguments)) {
            Ok(held) => held,
            Err((status, said)) => {
                assert!(status.success(), "{said}");
                break;
            }
        };
        let (status, said) = held.signal(signal);
        assert_eq!(status.code(), Some(130), "{said}");
        assert!(said.contains("goes on in epoch") || said.contains("tests again"), "{said}");
        let newest = checkpoints(&folder.join(out)).pop().unwrap();
        middles += usize::from(newest.to_string_lossy().contains('+'));
    }
    assert!(middles >= 3, "the run was stopped in the middle of an epoch {middles} times");
}

/// A kill comes at any moment; these are all moments between two changes to the folder.
#[test]
fn a_run_that_ends_after_any_change_to_a_file_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = |out: &str| {
        let few = ["--set", "recipe.batch_size=128", "--set", "recipe.final_weights=best"];
        [arguments(folder.path(), out), few.map(str::to_owned).into()].concat()
    };
    succeed(experiments(folder.path()).args(arguments("straight")));
    let mut changes = 0;
    loop {
        let out = format!("crashed-{}", changes + 1);
        let mut command = experiments(folder.path());
        command.args(arguments(&out)).env("ALEXNET_BURN_HOOK", format!("crash={}", changes + 1));
        if command.output().unwrap().status.success() {
            break;
        }
        changes += 1;
        succeed(experiments(folder.path()).args(arguments(&out)));
        assert_same(&folder.path().join("straight"), &folder.path().join(out));
    }
    // run.json and metrics.jsonl, thrice rows and a checkpoint of three files and a rename, then the results.
    assert!(changes >= 25, "only {changes} changes");
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before_it() {
    let folder = tempfile::tempdir().unwrap();
    succeed(experiments(folder.path()).args(arguments(folder.path(), "straight")));
    let out = folder.path().join("damaged");
    let mut command = experiments(folder.path());
    Held::after(2 * EPOCH + 5, command.args(arguments(folder.path(), "damaged"))).ok().unwrap().kill();
    let model = run_folder(&out).join("checkpoints/epoch-2/model.bpk");
    let mut bytes = fs::read(&model).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&model, bytes).unwrap();
    let resumed = succeed(experiments(folder.path()).args(arguments(folder.path(), "damaged")));
    let said = stderr(&resumed);
    assert!(said.contains("is damaged") && said.contains("going on from epoch-1"), "{said}");
    assert_same(&folder.path().join("straight"), &out);
    // With none left, nothing is trained over it.
    let mut command = experiments(folder.path());
    command.args(arguments(folder.path(), "lost"));
    Held::after(EPOCH + 5, &mut command).ok().unwrap().kill();
    fs::write(run_folder(&folder.path().join("lost")).join("checkpoints/epoch-1/progress.json"), "{")
        .unwrap();
    let output = command.env_remove("ALEXNET_BURN_HOOK").output().unwrap();
    let said = stderr(&output);
    assert!(!output.status.success() && said.contains("progress.json is damaged"), "{said}");
    assert!(said.contains("--fresh"), "{said}");
    succeed(experiments(folder.path()).args(arguments(folder.path(), "lost")).arg("--fresh"));
    assert_same(&folder.path().join("straight"), &folder.path().join("lost"));
}

/// The checkpoints of the run in `out`.
fn checkpoints(out: &Path) -> Vec<PathBuf> {
    let runs = fs::read_dir(out).into_iter().flatten().filter_map(Result::ok);
    let entries = runs.filter_map(|run| fs::read_dir(run.path().join("checkpoints")).ok()).flatten();
    let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.retain(|path| path.file_name().is_some_and(|name| name != "unfinished"));
    paths.sort();
    paths
}

#[test]
fn nothing_but_the_final_weights_sees_the_test_labels() {
    let folder = tempfile::tempdir().unwrap();
    succeed(experiments(folder.path()).args(arguments(folder.path(), "true")));
    // Permute the test labels on disk.
    let labels = folder.path().join("images/t10k-labels-idx1-ubyte");
    let mut bytes = fs::read(&labels).unwrap();
    bytes[8..].rotate_left(3);
    let arguments = arguments(folder.path(), "permuted");
    fs::write(&labels, bytes).unwrap();
    succeed(experiments(folder.path()).args(arguments));
    let (truth, permuted) =
        (run_folder(&folder.path().join("true")), run_folder(&folder.path().join("permuted")));
    let (truth_rows, permuted_rows) = (metrics(&truth), metrics(&permuted));
    let test = |row: &String| row.contains("\"split\":\"test\"");
    let before = |rows: &[String]| rows.iter().filter(|row| !test(row)).cloned().collect::<Vec<_>>();
    assert_eq!(before(&truth_rows), before(&permuted_rows));
    assert_ne!(truth_rows, permuted_rows, "the test itself does see them");
    let weights = |run: &Path| fs::read(run.join("weights.bpk")).unwrap();
    assert_eq!(weights(&truth), weights(&permuted));
}

#[test]
fn a_loss_that_is_no_number_ends_that_run_and_keeps_its_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = arguments(folder.path(), "runs");
    arguments.extend(["--set", "recipe.learning_rate=1e30"].map(str::to_owned));
    let output = experiments(folder.path()).args(arguments).output().unwrap();
    assert!(!output.status.success());
    let message = stderr(&output);
    assert!(message.contains("epoch 1, step") && message.contains("learning rate 9.999e29"), "{message}");
    assert!(message.lines().count() <= 15, "{message}");
}

#[test]
fn two_processes_on_one_run_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = experiments(folder.path());
    let first = Held::after(1, first.args(arguments(folder.path(), "runs"))).ok().unwrap();
    let second = experiments(folder.path()).args(arguments(folder.path(), "runs")).output().unwrap();
    first.kill();
    assert!(!second.status.success());
    assert!(stderr(&second).contains("another process"), "{}", stderr(&second));
}

#[test]
fn kernels_and_composed_operations_train_to_the_same_loss() {
    let folder = tempfile::tempdir().unwrap();
    let losses = |operations: &str| -> Vec<f64> {
        let mut arguments = arguments(folder.path(), operations);
        // Few and large steps: in many small ones training amplifies the last digit to a hundredth of the
        // loss, and a test that allows for that sees little.
        let steps = ["--set", "recipe.batch_size=60", "--set", "recipe.learning_rate=0.004"];
        arguments.extend(["--ops", operations].into_iter().chain(steps).map(str::to_owned));
        succeed(experiments(folder.path()).args(arguments));
        let rows = metrics(&run_folder(&folder.path().join(operations)));
        let rows =
            rows.iter().map(|row| serde_json::from_str::<serde_json::Value>(&format!("{row}}}")).unwrap());
        rows.map(|row| row["loss"].as_f64().unwrap()).collect()
    };
    let (fast, composed) = (losses("fast"), losses("composed"));
    assert_eq!(fast.len(), composed.len());
    for (fast, composed) in fast.iter().zip(&composed) {
        // Orders of summation differ by some 1e-7 a step; it was 1e-8 in all when this was written.
        assert!((fast - composed).abs() <= 1e-5 * composed, "{fast} is not {composed}");
    }
    assert_ne!(fast, composed, "the two forms are the same code");
}
