//! Event files that TensorBoard reads: the rows of `metrics.jsonl` as scalars by step, after each epoch a histogram of each
//! parameter and a picture of the first layer's kernels, and the graph of the network.
//!
//! A file is a list of records. Each has a length, its checksum, an `Event` in protobuf, and its checksum
//! (tensorflow/core/lib/io/record_writer.h and core/util/event.proto).

mod graph;
mod histogram;
mod kernels;
mod messages;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use alexnet_model::{AlexNet, Network};
use prost::Message;

use crate::TrainError;
use crate::atomic_write::atomic_write;
use crate::record::EpochRow;
use messages::{Event, Shown, Summary, Value, What};

/// The event file of one session of a run.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    path: PathBuf,
}

impl Events {
    /// Creates a file in the run's folder that begins with the graph of the network, the `rows` of earlier sessions and what
    /// these kept of the parameters, and replaces their files. An event cannot be removed, but training after the last
    /// checkpoint has to be.
    pub(crate) fn begin(folder: &Path, network: &Network, rows: &[EpochRow]) -> Result<Self, TrainError> {
        let now = now();
        let stale: Vec<PathBuf> = files(folder);
        let last = rows.iter().map(|row| row.step as i64).max().unwrap_or(0);
        let path =
            folder.join(format!("events.out.tfevents.{:010}.{}.alexnet-burn", now as u64, stale.len()));
        let version = What::FileVersion("brain.Event:2".to_owned());
        let mut bytes = record(&Event { wall_time: now, step: 0, what: Some(version) });
        // The rows record durations but not times, so the times are reconstructed.
        let mut before: f64 = rows.iter().map(|row| row.seconds).sum();
        for row in rows {
            before -= row.seconds;
            bytes.extend(record(&event(row, now - before)));
        }
        if let Some(graph) = graph::of(network) {
            bytes.extend(record(&Event { wall_time: now, step: 0, what: Some(What::Graph(graph)) }));
        }
        // A kill while the old files are removed leaves two files with the same events.
        let kept: BTreeMap<i64, Event> = stale
            .iter()
            .flat_map(|file| events(file))
            .filter(|event| event.step <= last && event.is_of_parameters())
            .map(|event| (event.step, event))
            .collect();
        kept.values().for_each(|event| bytes.extend(record(event)));
        atomic_write(&path, &bytes)?;
        stale.iter().filter(|old| **old != path).for_each(|old| drop(fs::remove_file(old)));
        Ok(Self { path })
    }

    pub(crate) fn append(&self, rows: &[EpochRow]) -> Result<(), TrainError> {
        self.write(&rows.iter().flat_map(|row| record(&event(row, now()))).collect::<Vec<u8>>())
    }

    /// Adds the distribution of each parameter and a picture of the first layer's kernels.
    pub(crate) fn append_parameters(&self, model: &AlexNet, step: usize) -> Result<(), TrainError> {
        let parameters = model.parameters();
        let mut values: Vec<Value> = parameters
            .iter()
            .map(|(name, _, values)| Value::new(name, Shown::Histogram(histogram::of(values))))
            .collect();
        if let Some((layer, picture)) = kernels::picture(model) {
            values.push(Value::new(&layer, Shown::Image(picture)));
        }
        let summary = Some(What::Summary(Summary { values }));
        self.write(&record(&Event { wall_time: now(), step: step as i64, what: summary }))
    }

    fn write(&self, bytes: &[u8]) -> Result<(), TrainError> {
        let file = OpenOptions::new().append(true).open(&self.path);
        file.and_then(|mut file| file.write_all(bytes)).map_err(TrainError::write(&self.path))
    }
}

/// Returns the event files of a run.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains("tfevents")));
    files
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

fn event(row: &EpochRow, wall_time: f64) -> Event {
    let scalar =
        |what: &str, value: f64| Value::new(&format!("{what}/{}", row.split), Shown::Scalar(value as f32));
    let mut values = vec![
        scalar("loss", row.loss),
        scalar("top1_error", row.top1_error),
        scalar("top5_error", row.top5_error),
    ];
    if row.split == "train" {
        values.push(Value::new("learning_rate", Shown::Scalar(row.learning_rate as f32)));
    }
    Event { wall_time, step: row.step as i64, what: Some(What::Summary(Summary { values })) }
}

/// Returns the events of a file up to the first that is damaged.
fn events(path: &Path) -> Vec<Event> {
    let bytes = fs::read(path).unwrap_or_default();
    let (mut rest, mut events) = (&bytes[..], Vec::new());
    while let Some((length, after)) = rest.split_first_chunk::<8>() {
        let data = usize::try_from(u64::from_le_bytes(*length)).ok().and_then(|length| {
            let data = after.get(4..4usize.checked_add(length)?)?;
            (after[..4] == masked_checksum(&rest[..8])).then_some(data)
        });
        let Some(event) = data.and_then(|data| {
            let sum = after.get(4 + data.len()..8 + data.len())?;
            (sum == masked_checksum(data)).then(|| Event::decode(data).ok())?
        }) else {
            break;
        };
        rest = &after[8 + data.map_or(0, <[u8]>::len)..];
        events.push(event);
    }
    events
}

/// Encodes an event with its length and the checksums of both.
fn record(event: &Event) -> Vec<u8> {
    let data = event.encode_to_vec();
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked_checksum(&length), &data, &masked_checksum(&data)].concat()
}

/// Computes the CRC-32C, rotated and shifted so that the checksum of a checksum is not trivial (TensorFlow's
/// `crc32c.h`).
fn masked_checksum(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(epoch: usize, split: &str) -> EpochRow {
        EpochRow {
            epoch,
            step: 10 * epoch,
            split: split.to_owned(),
            loss: 0.5,
            top1_error: 0.25,
            top5_error: 0.125,
            learning_rate: 0.01,
            seconds: 1.0,
        }
    }

    fn network() -> Network {
        alexnet_model::Preset::load("mini").unwrap()
    }

    #[test]
    fn a_later_session_takes_the_place_of_an_earlier_one() {
        let folder = tempfile::tempdir().unwrap();
        let first = Events::begin(folder.path(), &network(), &[]).unwrap();
        first.append(&[row(1, "train"), row(1, "validation")]).unwrap();
        let model = network().init(0, &alexnet_ops::Backend::in_this_build()[0].device().unwrap()).unwrap();
        first.append_parameters(&model, 10).unwrap();
        first.append_parameters(&model, 20).unwrap();
        first.append(&[row(2, "train")]).unwrap(); // then killed: epoch 2 is trained again
        let second =
            Events::begin(folder.path(), &network(), &[row(1, "train"), row(1, "validation")]).unwrap();
        second.append(&[row(2, "train")]).unwrap();
        let files = files(folder.path());
        assert_eq!(files.len(), 1);
        let events = events(&files[0]);
        assert_eq!(events[0].what, Some(What::FileVersion("brain.Event:2".to_owned())));
        // Two rows, the graph, the parameters after the first epoch, and the second session's row.
        assert_eq!(events[1..].iter().map(|event| event.step).collect::<Vec<_>>(), [10, 10, 0, 10, 20]);
        let Some(What::Summary(summary)) = &events[2].what else { panic!("no scalars") };
        assert_eq!(summary.values[1], Value::new("top1_error/validation", Shown::Scalar(0.25)));
        assert_eq!(summary.values.len(), 3, "the learning rate once");
        assert!(matches!(events[3].what, Some(What::Graph(_))));
        let Some(What::Summary(summary)) = &events[4].what else { panic!("no parameters") };
        assert_eq!(summary.values.len(), model.parameters().len() + 1);
        // A record that was cut off in the middle of a write is left out.
        let whole = fs::read(&files[0]).unwrap();
        fs::write(&files[0], &whole[..whole.len() - 1]).unwrap();
        assert_eq!(super::events(&files[0]).len(), events.len() - 1);
    }

    #[test]
    fn checksums_are_tensorflows() {
        // The 24-byte file header event that TensorFlow writes: length 24, then its checksum.
        assert_eq!(masked_checksum(&24u64.to_le_bytes()), [0xa3, 0x7f, 0x4b, 0x22]);
    }
}
