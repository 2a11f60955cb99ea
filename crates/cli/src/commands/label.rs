//! `experiments runs label`: gives runs a name or tags.

use std::path::PathBuf;

use alexnet_train::Label;
use anyhow::{Result, bail};

use crate::args::LabelArgs;

/// Names or tags runs.
pub(crate) fn label(runs: &[PathBuf], args: &LabelArgs) -> Result<()> {
    if args.name.is_none() && args.tag.is_empty() {
        bail!("give `--name` or `--tag`");
    }
    for folder in runs {
        if !folder.join("run.json").is_file() {
            bail!("{} is no run folder", folder.display());
        }
    }
    write_labels(runs, args)
}

/// Adds a name or tags to runs, also to those that have not begun.
pub(crate) fn write_labels(runs: &[PathBuf], args: &LabelArgs) -> Result<()> {
    const LONGEST: usize = 80;
    let bad = |text: &&String| {
        text.trim().is_empty() || text.contains(char::is_control) || text.chars().count() > LONGEST
    };
    if let Some(text) = args.name.iter().chain(&args.tag).find(bad) {
        let text: String = text.chars().take(LONGEST).collect();
        bail!("`{}` cannot be a name or a tag: use one line of up to {LONGEST} letters", text.escape_debug());
    }
    for folder in runs {
        let mut label = Label::of(folder)?;
        label.add(args.name.as_deref(), &args.tag);
        label.write(folder)?;
    }
    Ok(())
}
