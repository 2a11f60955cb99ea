//! The kernels of GPU backends: where they are kept, and a bar while they are tried out.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use alexnet_ops::{KeptKernels, Tuning, on_launch};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cache::user_cache;
use crate::output::{can_redraw, note};

/// Sets where kernels are kept and how thoroughly they are tried out, unless this process has done so. Called before a device
/// is used.
pub(crate) fn keep(level: Tuning) -> &'static KeptKernels {
    static KEPT: OnceLock<KeptKernels> = OnceLock::new();
    KEPT.get_or_init(|| {
        let folder = user_cache().join("alexnet-burn/kernels").join(env!("CARGO_PKG_VERSION"));
        KeptKernels::set(level, &folder)
    })
}

/// The progress of trying out kernels: a bar that names the kernel, or lines without a terminal.
pub(crate) struct Trial {
    bar: Option<ProgressBar>,
    // Dropped with the bar.
    _watch: Option<Box<dyn Send + Sync>>,
}

impl Trial {
    /// Begins a bar that shows every kernel that is launched.
    pub(crate) fn begin() -> Self {
        if !can_redraw() {
            return Self { bar: None, _watch: None };
        }
        let bar = ProgressBar::new(1000);
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:20} {elapsed} {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        let shown = bar.clone();
        let watch = on_launch(Arc::new(move |kernel: &str| shown.set_message(kernel.to_owned())));
        Self { bar: Some(bar), _watch: Some(Box::new(watch)) }
    }

    /// Shows what comes next and the fraction that is done.
    pub(crate) fn shows(&self, what: &str, done: f64) {
        match &self.bar {
            Some(bar) => {
                bar.set_prefix(format!("GPU kernels of {what}"));
                bar.set_position((1000.0 * done) as u64);
            }
            None => note(&format!("trying out the GPU kernels of {what}; the first time takes minutes")),
        }
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
