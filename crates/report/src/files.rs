//! The files of a report.

use std::path::Path;

use crate::{Report, ReportError, curves, label_efficiency};

/// Replaces a file.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), ReportError> {
    alexnet_data::atomic_write(path, text.as_bytes()).map_err(|source| ReportError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

impl Report {
    /// Writes `report.json`, `runs.csv`, `table.txt` and `curves.svg`. If arms learn from different numbers
    /// of images, also writes `labels.svg`.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), ReportError> {
        let write = |name: &str, text: &str| write(&folder.join(name), text);
        let json = serde_json::to_string_pretty(self)?;
        for (name, text) in [
            ("report.json", json + "\n"),
            ("runs.csv", self.csv()),
            ("table.txt", self.table()),
            ("curves.svg", curves::svg(self)),
        ] {
            write(name, &text)?;
        }
        if let Some(text) = label_efficiency::svg(self) {
            write("labels.svg", &text)?;
        }
        Ok(())
    }

    /// Returns a CSV table with a header and one line per run.
    pub fn csv(&self) -> String {
        self.csv_rows().concat()
    }

    /// Returns the header and the rows, each with its line end.
    pub(crate) fn csv_rows(&self) -> Vec<String> {
        let mut rows = vec![
            "arm,seed,epochs,test_top1_error,test_top5_error,test_loss,parameters,backend,\
            train_seconds,images_per_second,peak_memory_bytes,folder,failure\n"
                .to_owned(),
        ];
        let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        for arm in &self.arms {
            for run in &arm.runs {
                let fields = [
                    quoted(&arm.name),
                    run.seed.to_string(),
                    run.epochs.map(|epochs| epochs.to_string()).unwrap_or_default(),
                    number(run.test_top1_error),
                    number(run.test_top5_error),
                    number(run.test_loss),
                    arm.parameters.to_string(),
                    run.backend.clone().unwrap_or_default(),
                    number(run.train_seconds),
                    number(run.images_per_second),
                    run.peak_memory_bytes.map(|bytes| bytes.to_string()).unwrap_or_default(),
                    quoted(&run.folder),
                    quoted(run.failure.as_deref().unwrap_or_default()),
                ];
                rows.push(fields.join(",") + "\n");
            }
        }
        rows
    }
}
