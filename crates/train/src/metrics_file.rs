//! `metrics.jsonl`: one line per epoch and split.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use alexnet_data::hook;

use crate::TrainError;
use crate::atomic_write::atomic_write;
use crate::record::EpochRow;
use crate::score::Score;

impl EpochRow {
    pub(crate) fn new(
        epoch: usize,
        step: usize,
        split: &str,
        score: &Score,
        learning_rate: f64,
        seconds: f64,
    ) -> Self {
        Self {
            epoch,
            step,
            split: split.to_owned(),
            loss: score.loss(),
            top1_error: score.top1_error(),
            top5_error: score.top5_error(),
            learning_rate,
            seconds,
        }
    }
}

/// Reads `metrics.jsonl`. Returns no rows if there is no file. Skips a last line that a kill cut short.
///
/// # Errors
/// If the file cannot be read or a line is not a row.
pub(crate) fn read_metrics(path: &Path) -> Result<Vec<EpochRow>, TrainError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(TrainError::read(path)(error)),
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let parse = |line: &str| {
        serde_json::from_str(line)
            .map_err(|error| TrainError::Damaged { path: path.to_owned(), problem: error.to_string() })
    };
    whole.lines().map(parse).collect()
}

/// Appends rows and syncs them to disk. The next checkpoint relies on these rows.
pub(crate) fn append(path: &Path, rows: &[EpochRow]) -> Result<(), TrainError> {
    let mut file =
        OpenOptions::new().create(true).append(true).open(path).map_err(TrainError::write(path))?;
    let lines: String = rows.iter().map(line).collect();
    file.write_all(lines.as_bytes()).and_then(|()| file.sync_all()).map_err(TrainError::write(path))?;
    hook::changed();
    Ok(())
}

/// Removes the rows after `epoch` from the file.
pub(crate) fn cut_back(path: &Path, epoch: usize) -> Result<Vec<EpochRow>, TrainError> {
    let mut rows = read_metrics(path)?;
    rows.retain(|row| row.epoch <= epoch && row.split != "test");
    let lines: String = rows.iter().map(line).collect();
    atomic_write(path, lines.as_bytes())?;
    Ok(rows)
}

fn line(row: &EpochRow) -> String {
    format!("{}\n", serde_json::to_string(row).expect("a row of plain numbers"))
}
