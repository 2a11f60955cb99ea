//! The messages to people during training.

use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alexnet_study::{Clock, proportion_interval};
use alexnet_train::{EpochRow, EvaluationResult, Observer, spoken};

use crate::gpu_kernels::Trial;
use crate::output::{note, print};

/// Reports the events of runs as plain lines with the time left. If there is a dashboard, which shows epochs
/// itself, it reports only notes. It also writes everything to the log, if there is one.
pub(crate) struct Lines {
    clock: Option<Arc<Clock>>,
    dashboard: bool,
    log: Option<File>,
    trial: Mutex<Option<Trial>>,
}

impl Lines {
    pub(crate) fn new(clock: Option<Arc<Clock>>, dashboard: bool, log: Option<File>) -> Self {
        Self { clock, dashboard, log, trial: Mutex::default() }
    }

    fn keep(&self, line: &str) {
        if let Some(mut log) = self.log.as_ref() {
            let _ = writeln!(log, "{line}"); // a lost log line is harmless
        }
    }
}

impl Observer for Lines {
    fn progress(&self, label: &str, done: f64) -> Option<Duration> {
        self.clock.as_ref()?.update(label, done)
    }

    fn warming_up(&self, what: &str, done: f64) {
        let mut trial = self.trial.lock().unwrap_or_else(PoisonError::into_inner);
        match done < 1.0 {
            true => trial.get_or_insert_with(Trial::begin).shows(what, done),
            false => *trial = None,
        }
    }

    fn epoch(&self, label: &str, rows: &[EpochRow]) {
        let left = self.clock.as_ref().and_then(|clock| clock.left());
        let left = left.map_or(String::new(), |left| format!("; {} left", spoken(left)));
        let line = format!("{}{left}", epoch_line(label, rows));
        self.keep(&line);
        if !self.dashboard {
            note(&line);
        }
    }

    fn note(&self, text: &str) {
        self.keep(text);
        note(text);
    }
}

/// Formats an epoch as a line.
pub(crate) fn epoch_line(label: &str, rows: &[EpochRow]) -> String {
    let epoch = rows.first().map_or(0, |row| row.epoch);
    let seconds: f64 = rows.iter().map(|row| row.seconds).sum();
    let errors = rows.iter().map(|row| format!("{} error {:.2} %", row.split, 100.0 * row.top1_error));
    format!("{label}: epoch {epoch}, {}, {seconds:.1} s", errors.collect::<Vec<_>>().join(", "))
}

/// Prints the errors of a test as a line. The error among five classes is left out if there are no more.
pub(crate) fn print_test(what: &str, test: &EvaluationResult, classes: usize) {
    let (low, high) = proportion_interval(test.wrong(), test.images as u64);
    let five = match EvaluationResult::says_top5(classes) {
        true => format!(", top-5 error {:.2} %", 100.0 * test.top5_error),
        false => String::new(),
    };
    print(&format!(
        "{what}: top-1 error {:.2} % (95 %: {:.2} to {:.2}){five}, loss {:.4} ({} images, {} view(s) each)",
        100.0 * test.top1_error,
        100.0 * low,
        100.0 * high,
        test.loss,
        test.images,
        test.views.count(),
    ));
}
