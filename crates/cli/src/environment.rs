//! Where runs are carried out, as the command line says.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use alexnet_config::Diff;
use alexnet_data::Upload;
use alexnet_ops::Implementation;
use alexnet_train::Environment;
use anyhow::Result;

use crate::args::{CommonArgs, Format};
use crate::machine::Machine;
use crate::observer::Lines;
use crate::output::can_show_dashboard;
use crate::program::program;

/// Where runs are carried out, by the form of the operations that is then the process's; the observer prints plain lines, or
/// beside a dashboard notes alone.
pub(crate) fn environment(
    machine: &Machine,
    operations: Implementation,
    workers: usize,
    upload: Upload,
    dashboard: bool,
    stop: Arc<AtomicBool>,
) -> Result<Environment> {
    Ok(Environment {
        placement: machine.placement.clone(),
        backend: machine.names(),
        operations,
        workers,
        upload,
        dashboard,
        code_version: program().version.clone(),
        stop,
        observer: Arc::new(Lines { clock: None, dashboard, log: None }),
    })
}

/// The dashboard needs a terminal that can show it, and standard output for itself.
pub(crate) fn dashboard(args: &CommonArgs, format: Format) -> bool {
    !args.plain && format == Format::Text && can_show_dashboard()
}

/// What the command line changes in every config.
pub(crate) fn changes(args: &CommonArgs) -> Result<Diff> {
    let mut diff = Diff::default();
    for text in &args.set {
        diff.parse_set(text)?;
    }
    Ok(diff)
}
