//! Checks every byte of a prepared data set against its manifest.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::archive::{self, Member, read_exact_at};
use crate::shard_index::for_each_row;
use crate::shards::{self, Encoding, Prepared, Shard, check_sums};
use crate::{DataError, PassedOver, Progress, decode};

/// The result of checking a prepared data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Its manifest.
    pub prepared: Prepared,
    /// The number of images of each class, by split.
    pub counts: Vec<(String, Vec<usize>)>,
}

/// An image's entry in the index of a shard.
struct Entry {
    key: String,
    offset: u64,
    length: u32,
    label: u32,
}

/// Reads a whole prepared data set and checks its checksums, counts, keys, labels in index and tar, and every
/// image.
///
/// # Errors
/// At the first problem.
pub fn check(
    folder: &Path,
    stop: &AtomicBool,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Checked, DataError> {
    let prepared = Prepared::read(folder)?;
    let total = prepared.splits.iter().map(shards::PreparedSplit::images).sum();
    let (mut keys, mut counts, mut done) = (HashSet::new(), Vec::new(), 0);
    for split in &prepared.splits {
        let mut of_class = vec![0usize; prepared.classes.len()];
        for shard in &split.shards {
            check_sums(folder, shard)?;
            let entries = entries(folder, shard, prepared.classes.len())?;
            for entry in &entries {
                of_class[entry.label as usize] += 1;
                if !keys.insert(entry.key.clone()) {
                    let file = folder.join(shard.index()).display().to_string();
                    return Err(DataError::file(file, format!("the key `{}` occurs twice", entry.key)));
                }
            }
            check_tar(folder, shard, &prepared, &entries, stop)?;
            done += entries.len();
            progress(Progress { done, total, rejected: 0 });
        }
        if split.name == "train"
            && let Some(class) = of_class.iter().position(|count| *count == 0)
        {
            let problem = format!("class {class}, `{}`, has no training image", prepared.classes[class].id);
            return Err(DataError::file(folder.display().to_string(), problem));
        }
        counts.push((split.name.clone(), of_class));
    }
    Ok(Checked { prepared, counts })
}

fn entries(folder: &Path, shard: &Shard, classes: usize) -> Result<Vec<Entry>, DataError> {
    let path = folder.join(shard.index());
    let mut entries = Vec::new();
    for_each_row(&path, |_, row| {
        row.check_label(classes)?;
        row.boxes()?;
        entries.push(Entry {
            key: row.key.to_owned(),
            offset: row.offset,
            length: row.length,
            label: row.label,
        });
        Ok(())
    })?;
    if entries.len() != shard.images {
        let problem = format!("has {} images, and {} in {}", entries.len(), shard.images, shards::MANIFEST);
        return Err(DataError::file(path.display().to_string(), problem));
    }
    Ok(entries)
}

/// Checks the tar against its index, and checks every image.
fn check_tar(
    folder: &Path,
    shard: &Shard,
    prepared: &Prepared,
    entries: &[Entry],
    stop: &AtomicBool,
) -> Result<(), DataError> {
    let path = folder.join(&shard.file);
    let display = path.display().to_string();
    let file = File::open(&path).map_err(DataError::read(&path))?;
    let members = archive::members(&file, 0, shard.bytes, &display, &mut PassedOver::default())?;
    let members: HashMap<&str, &Member> =
        members.iter().map(|member| (member.name.as_str(), member)).collect();
    let read = |offset: u64, length: u64| -> Result<Vec<u8>, DataError> {
        let mut bytes = vec![0; length as usize];
        read_exact_at(&file, &mut bytes, offset).map_err(DataError::read(&path))?;
        Ok(bytes)
    };
    entries.par_iter().try_for_each(|entry| {
        if stop.load(Ordering::Relaxed) {
            return Err(DataError::Interrupted);
        }
        let problem =
            |problem: String| DataError::at(&display, entry.offset, format!("`{}` {problem}", entry.key));
        let name = format!("{}.{}", entry.key, prepared.encoding.extension());
        let image = members.get(name.as_str()).ok_or_else(|| problem("is not in the tar".into()))?;
        if (image.offset, image.length) != (entry.offset, entry.length.into()) {
            return Err(problem(format!("lies at byte {} in the tar", image.offset)));
        }
        let label = members.get(format!("{}.cls", entry.key).as_str());
        let label = label.ok_or_else(|| problem("has no label in the tar".into()))?;
        let label = read(label.offset, label.length)?;
        if label != entry.label.to_string().as_bytes() {
            let found = String::from_utf8_lossy(&label).escape_debug().to_string();
            return Err(problem(format!("is of class {found} in the tar and {} in the index", entry.label)));
        }
        let bytes = read(entry.offset, entry.length.into())?;
        let side = prepared.size;
        match prepared.encoding {
            Encoding::Raw if bytes.len() != 128 + side * side * prepared.channels => {
                Err(problem("has another size than the manifest says".into()))
            }
            Encoding::Raw => Ok(()),
            Encoding::Jpeg => match decode::pixels(&bytes, prepared.channels).map_err(problem)? {
                pixels if (pixels.width, pixels.height) == (side, side) => Ok(()),
                pixels => Err(problem(format!("has {} × {} pixels", pixels.width, pixels.height))),
            },
        }
    })
}
