//! Tells the binary which commit it was built from, for the records of its runs.

use std::process::Command;

fn main() {
    let git = |words: &[&str]| {
        let output = Command::new("git").args(words).output().ok().filter(|output| output.status.success());
        output.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default().trim().to_owned()
    };
    println!("cargo::rustc-env=ALEXNET_BURN_COMMIT={}", git(&["rev-parse", "--short=12", "HEAD"]));
    for file in ["HEAD", "logs/HEAD"] {
        // Asked of git, since in a linked working tree `.git` is no folder.
        let file = git(&["rev-parse", "--git-path", file]);
        if std::path::Path::new(&file).exists() {
            println!("cargo::rerun-if-changed={file}");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
}
