use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{experiments, stderr, succeed, tiny_idx, tiny_scale};

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
    let [straight, stopped] = ["straight", "stopped"].map(|out| run_folder(&folder.path().join(out)));
    assert_eq!(metrics(&straight), metrics(&stopped));
    assert!(
        fs::read(straight.join("weights.bpk")).unwrap() == fs::read(stopped.join("weights.bpk")).unwrap()
    );
}

#[test]
fn a_killed_run_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let straight = folder.path().join("straight");
    succeed(experiments(folder.path()).args(arguments(folder.path(), "straight")));

    let killed = folder.path().join("killed");
    let mut interrupted = 0;
    for _ in 0..20 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_experiments"))
            .current_dir(folder.path())
            .args(arguments(folder.path(), "killed"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Kill it in mid-epoch: some time after it wrote another checkpoint.
        let before = checkpoints(&killed);
        let begun = Instant::now();
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success());
                break true;
            }
            if checkpoints(&killed) != before {
                break false;
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "no progress");
            std::thread::sleep(Duration::from_millis(2));
        };
        if ended {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        interrupted += 1;
    }
    assert!(interrupted >= 1, "the run ended before it could be killed");
    let (straight, killed) = (run_folder(&straight), run_folder(&killed));
    assert_eq!(metrics(&straight), metrics(&killed));
    assert_eq!(
        fs::read(straight.join("weights.bpk")).unwrap(),
        fs::read(killed.join("weights.bpk")).unwrap()
    );
    let record = fs::read_to_string(killed.join("run.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let sessions = record["sessions"].as_array().unwrap();
    assert!(sessions.len() >= 2, "each time it was worked on is recorded");
    assert!(sessions.last().unwrap()["from_epoch"].as_u64() > Some(1), "it went on and was not begun again");
}

#[test]
#[cfg(unix)]
fn an_interrupted_run_goes_on_in_mid_epoch_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    succeed(experiments(folder.path()).args(arguments(folder.path(), "straight")));
    let out = folder.path().join("stopped");
    stop_again_and_again(folder.path(), "stopped", &arguments(folder.path(), "stopped"), "-TERM");
    let (straight, stopped) = (run_folder(&folder.path().join("straight")), run_folder(&out));
    assert_eq!(metrics(&straight), metrics(&stopped));
    for file in ["weights.bpk", "answers-centre.json"] {
        assert_eq!(fs::read(straight.join(file)).unwrap(), fs::read(stopped.join(file)).unwrap(), "{file}");
    }
}

/// Stops a run by a signal again and again, a little later each time, until it is through; in the middle of an epoch at least
/// once.
fn stop_again_and_again(folder: &Path, out: &str, arguments: &[String], signal: &str) {
    let (out, mut middles) = (folder.join(out), 0);
    for patience in 1..40 {
        let child = Command::new(env!("CARGO_BIN_EXE_experiments"))
            .current_dir(folder)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        // From when it has a run folder to itself, it is training or about to.
        while !run_json_newer(&out, patience) && begun.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(10 * patience as u64));
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            break;
        }
        assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
        let message = stderr(&output);
        assert!(message.contains("goes on in epoch") || message.contains("tests again"), "{message}");
        middles += usize::from(checkpoints(&out).iter().any(|path| path.to_string_lossy().contains("+")));
    }
    assert!(middles >= 1, "the run was never stopped in the middle of an epoch");
}

/// Whether the run in `out` has been begun this often.
fn run_json_newer(out: &Path, sessions: usize) -> bool {
    let runs = fs::read_dir(out).into_iter().flatten().filter_map(Result::ok);
    let records = runs.filter_map(|run| fs::read_to_string(run.path().join("run.json")).ok());
    records.into_iter().any(|text| text.matches("\"from_epoch\"").count() >= sessions)
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
    let mut first = Command::new(env!("CARGO_BIN_EXE_experiments"))
        .current_dir(folder.path())
        .args(arguments(folder.path(), "runs"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while checkpoints(&folder.path().join("runs")).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the first process does not start");
        std::thread::sleep(Duration::from_millis(2));
    }
    let second = experiments(folder.path()).args(arguments(folder.path(), "runs")).output().unwrap();
    let _ = first.kill();
    first.wait().unwrap();
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
