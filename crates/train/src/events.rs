//! Event files that TensorBoard reads: the rows of `metrics.jsonl` as scalars by step.
//!
//! A file is a list of records. Each has a length, its checksum, an `Event` in protobuf, and its checksum
//! (tensorflow/core/lib/io/record_writer.h and core/util/event.proto).

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use crate::TrainError;
use crate::atomic_write::atomic_write;
use crate::record::EpochRow;

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// The time, in seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Scalar>,
}

#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, tag = "2")]
    value: f32,
}

/// The event file of one session of a run.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    path: PathBuf,
}

impl Events {
    /// Creates a file in the run's folder that begins with the `rows` of earlier sessions and replaces their
    /// files. An event cannot be removed, but training after the last checkpoint has to be.
    pub(crate) fn begin(folder: &Path, rows: &[EpochRow]) -> Result<Self, TrainError> {
        let now = now();
        let stale: Vec<PathBuf> = files(folder);
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
        atomic_write(&path, &bytes)?;
        stale.iter().filter(|old| **old != path).for_each(|old| drop(fs::remove_file(old)));
        Ok(Self { path })
    }

    pub(crate) fn append(&self, rows: &[EpochRow]) -> Result<(), TrainError> {
        let bytes: Vec<u8> = rows.iter().flat_map(|row| record(&event(row, now()))).collect();
        let file = OpenOptions::new().append(true).open(&self.path);
        file.and_then(|mut file| file.write_all(&bytes)).map_err(TrainError::write(&self.path))
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
        |what: &str, value: f64| Scalar { tag: format!("{what}/{}", row.split), value: value as f32 };
    let mut values = vec![
        scalar("loss", row.loss),
        scalar("top1_error", row.top1_error),
        scalar("top5_error", row.top5_error),
    ];
    if row.split == "train" {
        values.push(Scalar { tag: "learning_rate".to_owned(), value: row.learning_rate as f32 });
    }
    Event { wall_time, step: row.step as i64, what: Some(What::Summary(Summary { values })) }
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

    /// Reads a file as TensorBoard does: checks lengths and checksums and decodes the events.
    fn read(path: &Path) -> Vec<Event> {
        let bytes = fs::read(path).unwrap();
        let (mut rest, mut events) = (&bytes[..], Vec::new());
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], masked_checksum(&rest[..8]));
            let data = &rest[12..12 + length];
            assert_eq!(rest[12 + length..16 + length], masked_checksum(data));
            events.push(Event::decode(data).unwrap());
            rest = &rest[16 + length..];
        }
        events
    }

    #[test]
    fn a_later_session_takes_the_place_of_an_earlier_one() {
        let folder = tempfile::tempdir().unwrap();
        let first = Events::begin(folder.path(), &[]).unwrap();
        first.append(&[row(1, "train"), row(1, "validation")]).unwrap();
        first.append(&[row(2, "train")]).unwrap(); // then killed: epoch 2 is trained again
        let second = Events::begin(folder.path(), &[row(1, "train"), row(1, "validation")]).unwrap();
        second.append(&[row(2, "train")]).unwrap();
        let files = files(folder.path());
        assert_eq!(files.len(), 1);
        let events = read(&files[0]);
        assert_eq!(events[0].what, Some(What::FileVersion("brain.Event:2".to_owned())));
        assert_eq!(events[1..].iter().map(|event| event.step).collect::<Vec<_>>(), [10, 10, 20]);
        let Some(What::Summary(summary)) = &events[2].what else { panic!("no scalars") };
        assert_eq!(summary.values[1], Scalar { tag: "top1_error/validation".to_owned(), value: 0.25 });
        assert_eq!(summary.values.len(), 3, "the learning rate once");
    }

    #[test]
    fn checksums_are_tensorflows() {
        // The 24-byte file header event that TensorFlow writes: length 24, then its checksum.
        assert_eq!(masked_checksum(&24u64.to_le_bytes()), [0xa3, 0x7f, 0x4b, 0x22]);
    }
}
