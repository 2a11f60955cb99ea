//! Tells the binary which commit it was built from, for the records of its runs, and which commits fixed the designs of
//! audits.

use std::process::Command;

fn main() {
    let git = |words: &[&str]| {
        let output = Command::new("git").args(words).output().ok().filter(|output| output.status.success());
        output.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default().trim().to_owned()
    };
    println!("cargo::rustc-env=ALEXNET_BURN_COMMIT={}", git(&["rev-parse", "--short=12", "HEAD"]));
    let designs = std::fs::read_dir("experiments/designs").into_iter().flatten().filter_map(Result::ok);
    let commits = designs.filter_map(|file| {
        let path = file.path();
        let (name, path) = (path.file_stem()?.to_str()?, path.to_str()?);
        let changed = !git(&["status", "--porcelain", "--", path]).is_empty();
        let commit = git(&["log", "-1", "--format=%h", "--abbrev=12", "--", path]);
        (!changed && !commit.is_empty()).then(|| format!("{name}={commit}"))
    });
    let mut commits: Vec<String> = commits.collect();
    commits.sort();
    println!("cargo::rustc-env=ALEXNET_BURN_DESIGNS={}", commits.join(" "));
    for file in ["HEAD", "logs/HEAD"] {
        // Asked of git, since in a linked working tree `.git` is no folder.
        let file = git(&["rev-parse", "--git-path", file]);
        if std::path::Path::new(&file).exists() {
            println!("cargo::rerun-if-changed={file}");
        }
    }
    println!("cargo::rerun-if-changed=experiments/designs");
    println!("cargo::rerun-if-changed=build.rs");
}
