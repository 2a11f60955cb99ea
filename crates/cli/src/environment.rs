//! The environment of runs, from the command line.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use alexnet_config::Diff;
use alexnet_data::Upload;
use alexnet_ops::Implementation;
use alexnet_train::Environment;
use anyhow::{Context, Result};

use crate::args::{ChangeArgs, Format};
use crate::machine::Machine;
use crate::observer::Lines;
use crate::output::can_show_dashboard;
use crate::program::program;

/// Creates the environment of runs. The observer prints plain lines, or only notes if there is a dashboard.
pub(crate) fn environment(
    machine: &Machine,
    operations: Implementation,
    workers: usize,
    upload: Upload,
    dashboard: bool,
    stop: Arc<AtomicBool>,
) -> Environment {
    Environment {
        placement: machine.placement.clone(),
        backend: machine.names(),
        operations,
        workers,
        upload,
        warms_up: machine.tunes_kernels(),
        dashboard,
        code_version: program().version.clone(),
        stop,
        observer: Arc::new(Lines::new(None, dashboard, None)),
    }
}

/// Returns whether to show the dashboard. It needs a suitable terminal, and standard output must be free.
pub(crate) fn dashboard(plain: bool, format: Format) -> bool {
    !plain && format == Format::Text && can_show_dashboard()
}

/// Returns the changes to a config.
pub(crate) fn changes(args: &ChangeArgs) -> Result<Diff> {
    let mut diff = Diff::default();
    for text in &args.set {
        diff.parse_set(text).context("`--set`")?;
    }
    if let Some(precision) = args.precision {
        diff.set.insert("recipe.precision".to_owned(), precision.to_string().into());
    }
    Ok(diff)
}
