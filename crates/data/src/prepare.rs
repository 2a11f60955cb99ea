//! Prepares photographs as a data set: decodes, scales, cuts, encodes and packs them once.

mod in_order;
mod keys;

use std::fs::{self, File};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::ThreadPool;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::checksum::hex;
use crate::label::BoundingBox;
use crate::layout;
use crate::name::name_of_images;
use crate::samples::{Images, LabelledImages};
use crate::shard_index::index_name;
use crate::shard_writer::{Image, Writer, numpy_header};
use crate::shards::{self, Encoding, FORMAT, MANIFEST, Prepared, PreparedSplit, Shard};
use crate::{DataError, atomic_write, decode, hook, jpeg};

use in_order::in_order;
use keys::{fingerprint, keys};

/// The largest number of images in a shard: 130 MB of JPEG at 256 pixels, 800 MB raw.
const SHARD_IMAGES: usize = 4096;
/// The number of images between two reports of progress.
const SHOWN: usize = 64;
/// The folder, inside the output folder, with the state of an unfinished preparation.
const STATE: &str = "unfinished";
/// The list of images that could not be read, with reasons.
const REJECTED: &str = "rejected.tsv";
/// The number of images that may be broken; one in a thousand if that is more.
const FEW: usize = 10;

/// How images are prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preparation {
    /// The shorter side is scaled to this many pixels and the centre square is cut out (Krizhevsky et al. 2012, §2:
    /// 256).
    pub size: usize,
    /// The encoding of the images.
    pub encoding: Encoding,
    /// JPEG quality (1-100).
    pub quality: u8,
    /// Whether images are rotated according to EXIF. torchvision does not do this.
    pub upright: bool,
}

/// The progress of a preparation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Images that are done, including those of an interrupted preparation.
    pub done: usize,
    /// The total number of images.
    pub total: usize,
    /// Images that could not be read.
    pub rejected: usize,
}

/// The source and options. A preparation resumes only if both agree with the interrupted one.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Plan {
    source: String,
    options: Preparation,
}

/// A finished shard and the images left out of it.
#[derive(Debug, Serialize, Deserialize)]
struct Done {
    shard: Shard,
    rejected: Vec<Rejected>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Rejected {
    key: String,
    reason: String,
}

/// Prepares `source` in the folder `out` with `jobs` threads and keeps the shards that are already there. The
/// result is the same to the byte for any number of jobs and interruptions.
///
/// # Errors
/// If the source cannot be read, `out` cannot be written or holds something else, or `stop` was set. Also if all
/// images are broken, or more than ten and more than one in a thousand.
pub fn prepare(
    source: &Path,
    out: &Path,
    options: Preparation,
    jobs: usize,
    stop: &AtomicBool,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Prepared, DataError> {
    if !(1..=4096).contains(&options.size) || !(1..=100).contains(&options.quality) {
        let problem =
            format!("a size of {} (1 to 4096) or quality of {} (1 to 100)", options.size, options.quality);
        return Err(DataError::dataset("prepared", problem));
    }
    if shards::is_prepared(source) {
        return Err(DataError::file(source.display().to_string(), "is prepared already"));
    }
    if shards::is_prepared(out) && !out.join(STATE).exists() {
        let problem = "holds a prepared data set already; choose another folder or remove it";
        return Err(DataError::file(out.display().to_string(), problem));
    }
    if let Some(shard) = foreign_shard(out) {
        let problem = "lies where shards would be written, and would be lost; choose another folder";
        return Err(DataError::file(shard.display().to_string(), problem));
    }
    let data = layout::read(source, None)?;
    for (split, images) in &data.splits {
        if matches!(images.images, Images::Memory(_)) || images.labels.is_empty() {
            let problem = format!("split `{split}` has no image files to prepare");
            return Err(DataError::file(source.display().to_string(), problem));
        }
    }
    fs::create_dir_all(out).map_err(DataError::write(out))?;
    let inside = |a: &Path, b: &Path| Some(a.canonicalize().ok()?.starts_with(b.canonicalize().ok()?));
    if inside(out, source) == Some(true) {
        let problem = "lies in the folder of the source, and would become part of it";
        return Err(DataError::file(out.display().to_string(), problem));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).build();
    let pool =
        pool.map_err(|error| DataError::dataset("prepared", format!("cannot start threads: {error}")))?;
    Work::begin(&data, name_of_images(source), out, options, pool)?.carry_out(stop, progress)
}

/// Returns a shard in a folder in which no preparation was started.
fn foreign_shard(out: &Path) -> Option<PathBuf> {
    if out.join(STATE).exists() {
        return None;
    }
    let entries = fs::read_dir(out).into_iter().flatten().filter_map(Result::ok);
    let shard = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "tar" || ending == "tsv");
    entries.map(|entry| entry.path()).find(shard)
}

struct Work<'a> {
    data: &'a layout::Source,
    /// The name of the images.
    name: String,
    options: Preparation,
    out: &'a Path,
    /// The keys of each split's images in the shards.
    keys: Vec<Vec<String>>,
    pool: ThreadPool,
    /// Buffers that are not in use.
    buffers: Mutex<Vec<Buffers>>,
    /// The lock, which is released when the process ends.
    _lock: File,
}

impl<'a> Work<'a> {
    fn begin(
        data: &'a layout::Source,
        name: String,
        out: &'a Path,
        options: Preparation,
        pool: ThreadPool,
    ) -> Result<Self, DataError> {
        let state = out.join(STATE);
        let path = out.join("lock");
        let lock = File::create(&path).map_err(DataError::write(&path))?;
        if lock.try_lock().is_err() {
            return Err(DataError::file(out.display().to_string(), "another process is preparing it"));
        }
        let keys = keys(data)?;
        let plan = Plan { source: fingerprint(data, &keys)?, options };
        let plan_path = state.join("plan.json");
        match fs::read(&plan_path) {
            Ok(bytes) if serde_json::from_slice::<Plan>(&bytes).is_ok_and(|begun| begun == plan) => {}
            Ok(_) => {
                let problem = "was begun from other images or with other options; remove it to begin anew";
                return Err(DataError::file(out.display().to_string(), problem));
            }
            Err(_) => {
                fs::create_dir_all(&state).map_err(DataError::write(&state))?;
                write(&plan_path, &to_json(&plan))?;
            }
        }
        Ok(Self { data, name, options, out, keys, pool, buffers: Mutex::default(), _lock: lock })
    }

    fn carry_out(
        &self,
        stop: &AtomicBool,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Prepared, DataError> {
        let total = self.data.splits.iter().map(|(_, images)| images.labels.len()).sum();
        let allowed = FEW.max(total / 1000);
        let mut so_far = Progress { done: 0, total, rejected: 0 };
        let (mut splits, mut rejected) = (Vec::new(), Vec::new());
        for (at, (name, images)) in self.data.splits.iter().enumerate() {
            let mut shards = Vec::new();
            for (number, start) in (0..images.labels.len()).step_by(SHARD_IMAGES).enumerate() {
                let end = (start + SHARD_IMAGES).min(images.labels.len());
                let file = format!("{name}-{number:06}.tar");
                let done = match self.finished(&file)? {
                    Some(done) => done,
                    None => self.shard(&file, at, start..end, stop, &|worked, broken| {
                        let (done, rejected) = (so_far.done + worked, so_far.rejected + broken);
                        progress(Progress { done, total, rejected });
                    })?,
                };
                hook::step(stop);
                so_far.done = so_far.done + end - start;
                so_far.rejected += done.rejected.len();
                progress(so_far);
                rejected.extend(done.rejected);
                shards.push(done.shard);
                if rejected.len() > allowed {
                    self.write_rejected(&rejected)?;
                    let first = &rejected[0];
                    let problem = format!(
                        "more than {allowed} broken images, see {REJECTED}; the first is {}: {}",
                        first.key, first.reason
                    );
                    return Err(DataError::file(self.out.display().to_string(), problem));
                }
            }
            splits.push(PreparedSplit { name: name.clone(), shards });
        }
        self.write_rejected(&rejected)?;
        if rejected.len() == total {
            let Rejected { key, reason } = &rejected[0];
            let problem = format!("no image could be read, see {REJECTED}; the first is {key}: {reason}");
            return Err(DataError::file(self.out.display().to_string(), problem));
        }
        let prepared = Prepared {
            format: FORMAT.to_owned(),
            name: Some(self.name.clone()),
            source: self.data.layout.to_owned(),
            size: self.options.size,
            channels: 3,
            encoding: self.options.encoding,
            quality: self.options.quality,
            upright: self.options.upright,
            rejected: rejected.len(),
            passed_over: self.data.passed_over.clone(),
            classes: self.data.classes.clone(),
            splits,
        };
        write(&self.out.join(MANIFEST), &to_json(&prepared))?;
        let state = self.out.join(STATE);
        fs::remove_dir_all(&state).map_err(DataError::write(&state))?;
        let _ = fs::remove_file(self.out.join("lock"));
        Ok(prepared)
    }

    /// Returns the record of a finished shard.
    fn finished(&self, file: &str) -> Result<Option<Done>, DataError> {
        let path = self.out.join(STATE).join(format!("{file}.json"));
        let Ok(bytes) = fs::read(&path) else { return Ok(None) };
        let Ok(done) = serde_json::from_slice::<Done>(&bytes) else { return Ok(None) };
        let length = fs::metadata(self.out.join(file)).map(|metadata| metadata.len());
        Ok(length.is_ok_and(|length| length == done.shard.bytes).then_some(done))
    }

    /// Makes a shard from some images of a split.
    fn shard(
        &self,
        file: &str,
        split: usize,
        range: Range<usize>,
        stop: &AtomicBool,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Done, DataError> {
        let (path, images) = (self.out.join(file), &self.data.splits[split].1);
        let partial = self.out.join(STATE).join(file);
        let failed = DataError::write(&partial);
        let mut writer = Writer::create(&partial)?;
        let (mut worked, mut rejected) = (0, Vec::new());
        let image = |at: usize| self.image(images, &self.keys[split][at], at);
        let written = in_order(&self.pool, range.clone(), image, |image| {
            match image {
                Ok(image) => writer.add(&image).map_err(&failed)?,
                Err(reason) => rejected.push(reason),
            }
            worked += 1;
            if worked % SHOWN == 0 || worked == range.len() {
                progress(worked, rejected.len());
            }
            // A shard that is complete is kept.
            match worked < range.len() && stop.load(Ordering::SeqCst) {
                true => Err(DataError::Interrupted),
                false => Ok(()),
            }
        });
        let written = written.and_then(|()| writer.finish().map_err(&failed));
        if written.is_err() {
            let _ = fs::remove_file(&partial);
        }
        let (sha256, bytes, index) = written?;
        let images = range.len() - rejected.len();
        fs::rename(&partial, &path).map_err(DataError::write(&path))?;
        write(&self.out.join(index_name(file)), index.as_bytes())?;
        let index_sha256 = hex(&Sha256::digest(&index));
        let shard = Shard { file: file.to_owned(), images, bytes, sha256, index_sha256 };
        let done = Done { shard, rejected };
        // This is written last: the shard counts as finished from here on.
        write(&self.out.join(STATE).join(format!("{file}.json")), &to_json(&done))?;
        Ok(done)
    }

    /// Prepares one image for writing.
    fn image(&self, images: &LabelledImages, key: &str, at: usize) -> Result<Image, Rejected> {
        let mut buffers = locked(&self.buffers).pop().unwrap_or_default();
        let place = || images.key(at).map_or_else(|_| key.to_owned(), |key| key.into_owned());
        let rejected = |reason: String| Rejected { key: place(), reason };
        let mut make = || -> Result<Image, String> {
            let Buffers { file, pixels: buffer } = &mut buffers;
            images.file(at, file).map_err(|error| error.to_string())?;
            // Rotation changes which columns are needed.
            let seen = |width, height| match self.options.upright {
                true => 0..width,
                false => decode::seen_by_square(width, height, self.options.size),
            };
            let mut whole = decode::pixels_in(std::mem::take(buffer), file, 3, seen)?;
            if self.options.upright {
                whole = decode::upright(whole, decode::orientation(file));
            }
            let sides = [whole.width, whole.height];
            let pixels = decode::square_of(&whole, self.options.size).bytes;
            *buffer = whole.bytes;
            let boxes = images.boxes(at).map_err(|error| error.to_string())?;
            let boxes = boxes.into_iter().map(|one| moved(one, sides, self.options.size)).collect();
            let (label, extension) = (images.labels[at], self.options.encoding.extension());
            let bytes = match self.options.encoding {
                Encoding::Jpeg => jpeg::encode(&pixels, self.options.size, self.options.quality)?,
                Encoding::Raw => [&numpy_header(self.options.size)[..], &pixels].concat(),
            };
            Ok(Image { key: key.to_owned(), extension, bytes, label, boxes })
        };
        // A decoder panics only on a broken image, which is rejected like any other.
        let image = catch_unwind(AssertUnwindSafe(&mut make))
            .unwrap_or_else(|_| Err("the decoder failed".into()))
            .map_err(rejected);
        locked(&self.buffers).push(buffers);
        image
    }

    fn write_rejected(&self, rejected: &[Rejected]) -> Result<(), DataError> {
        let one_line = |text: &str| text.replace(['\t', '\n', '\r'], " ");
        let lines = rejected.iter().map(|one| format!("{}\t{}\n", one_line(&one.key), one_line(&one.reason)));
        let text: String = std::iter::once("image\treason\n".to_owned()).chain(lines).collect();
        write(&self.out.join(REJECTED), text.as_bytes())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Buffers that are reused for each image.
#[derive(Default)]
struct Buffers {
    file: Vec<u8>,
    pixels: Vec<u8>,
}

/// Returns a box after scaling and cutting. It may extend beyond the edge.
fn moved([left, top, right, bottom]: BoundingBox, [width, height]: [usize; 2], size: usize) -> BoundingBox {
    let [wide, tall] = decode::scaled_sides(width, height, size);
    let x = |x: f32| x * (wide as f32 / width as f32) - decode::half_even(wide - size) as f32;
    let y = |y: f32| y * (tall as f32 / height as f32) - decode::half_even(tall - size) as f32;
    [x(left), y(top), x(right), y(bottom)]
}

/// Does the same as [`atomic_write()`] and names the file in the error.
fn write(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    atomic_write(path, bytes).map_err(DataError::write(path))
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("plain values");
    bytes.push(b'\n');
    bytes
}
