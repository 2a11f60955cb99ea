//! Terminals that are closed, dumb or tiny, and streams that nobody reads: no reason to lose a run.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::support::{experiments, stderr, tiny_idx, tiny_scale};

/// The arguments of a training of three epochs, 68 steps and eight batches of validation each.
fn training(folder: &Path, more: &[&str]) -> Vec<String> {
    let (scale, data) = (tiny_scale(folder), tiny_idx(&folder.join("images"), 60));
    let words = ["train", scale.to_str().unwrap(), "--data", data.to_str().unwrap(), "--epochs", "3"];
    let words = words.iter().chain(&["--set", "recipe.batch_size=8", "--out", "runs"]).chain(more);
    words.map(|word| (*word).to_owned()).collect()
}

/// The program in a terminal of its own, of so many rows and columns; and the other end of that terminal.
fn in_terminal(
    folder: &Path,
    [rows, columns]: [u16; 2],
    term: &str,
    arguments: &[String],
    hook: &str,
) -> (Child, File) {
    const O_NOCTTY: i32 = 0x100;
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&master, size).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let terminal =
        || File::options().read(true).write(true).custom_flags(O_NOCTTY).open(&name).expect("a terminal");
    // util-linux's: it makes the terminal that of the program's own session, so that closing it is heard there.
    let mut command = Command::new("setsid");
    command.args(["--ctty", env!("CARGO_BIN_EXE_experiments")]).args(arguments).current_dir(folder);
    command.env("TERM", term).env("ALEXNET_BURN_HOOK", hook);
    command.stdin(terminal()).stdout(terminal()).stderr(terminal());
    (command.spawn().unwrap(), File::from(master))
}

/// What the terminal showed up to the line `held`, or to the end.
fn shown(terminal: &mut File) -> String {
    let (mut shown, mut buffer) = (Vec::new(), [0; 4096]);
    while !shown.windows(4).any(|four| four == b"held") {
        // Once the program has ended, reading is an error on Linux.
        match terminal.read(&mut buffer) {
            Ok(read) if read > 0 => shown.extend_from_slice(&buffer[..read]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&shown).into_owned()
}

fn run_folder(folder: &Path) -> PathBuf {
    let mut runs = fs::read_dir(folder.join("runs")).unwrap().map(|run| run.unwrap().path());
    runs.find(|run| run.join("run.json").exists()).unwrap()
}

#[test]
fn a_run_whose_terminal_is_closed_writes_a_checkpoint_and_ends() {
    for (more, dashboard) in [(&[][..], true), (&["--plain"], false)] {
        let folder = tempfile::tempdir().unwrap();
        let arguments = training(folder.path(), more);
        let (mut child, mut terminal) = in_terminal(folder.path(), [24, 80], "xterm", &arguments, "hold=20");
        let shown = shown(&mut terminal);
        assert!(shown.contains("held"), "{shown}");
        assert_eq!(shown.contains("\x1b[?1049h"), dashboard, "the other screen: {shown}");
        drop(terminal);
        assert_eq!(child.wait().unwrap().code(), Some(130), "{more:?}");
        let run = run_folder(folder.path());
        assert!(run.join("checkpoints/epoch-0+20").exists(), "no checkpoint where it was: {more:?}");
        assert!(!run.join("failure.txt").exists(), "{more:?}");
    }
}

#[test]
fn a_terminal_that_cannot_show_the_dashboard_gets_lines() {
    for (size, term) in [([24, 80], "dumb"), ([24, 80], ""), ([3, 10], "xterm")] {
        let folder = tempfile::tempdir().unwrap();
        let arguments = training(folder.path(), &[]);
        let (mut child, mut terminal) = in_terminal(folder.path(), size, term, &arguments, "");
        let shown = shown(&mut terminal);
        assert_eq!(child.wait().unwrap().code(), Some(0), "{shown}");
        assert!(!shown.contains('\x1b'), "{term} {size:?}: {shown}");
        assert!(shown.contains("epoch 3, train error"), "{shown}");
    }
}

#[test]
fn a_run_whose_lines_nobody_reads_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    for (out, errors) in [("closed", Stdio::from(writer)), ("full", Stdio::from(full))] {
        let arguments = training(folder.path(), &["--set", "recipe.batch_size=64"]);
        let output =
            experiments(folder.path()).args(arguments).arg("--fresh").stderr(errors).output().unwrap();
        assert!(output.status.success(), "{out}: {}", stderr(&output));
        let run = run_folder(folder.path());
        assert!(run.join("result.json").exists() && !run.join("failure.txt").exists(), "{out}");
    }
}

#[test]
fn standard_output_and_error_may_both_be_closed() {
    let folder = tempfile::tempdir().unwrap();
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    let arguments = training(folder.path(), &["--set", "recipe.batch_size=64"]);
    let mut command = experiments(folder.path());
    let status = command.args(arguments).stdout(closed()).stderr(closed()).status().unwrap();
    assert!(status.success());
    assert!(run_folder(folder.path()).join("result.json").exists());
    // An error still has its code where nobody can read it.
    let status = experiments(folder.path()).args(["train", "nosuch"]).stderr(closed()).status().unwrap();
    assert_eq!(status.code(), Some(1));
}
