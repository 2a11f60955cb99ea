//! IDX, the format of MNIST and Fashion-MNIST: a header of sizes, then bytes.

use std::io::Read;

use super::{LabelledImages, Source, in_memory};
use crate::files::base;
use crate::gzip::{self, Gzip};
use crate::{DataError, Files, Manifest};

/// A file is unpacked up to this many bytes. A longer file does not have the length that its header states.
const UNPACKED_LIMIT: u64 = 1 << 32;

/// MNIST's names of the files of training images and labels.
const TRAIN: [&str; 2] = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"];
/// MNIST's names of the files of test images and labels.
const TEST: [&str; 2] = ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// Returns whether a file has the name `known`, packed or not, with dots, hyphens or underscores between the words.
/// Unpacked files have their older names, with a dot.
fn is_called(name: &str, known: &str) -> bool {
    let name = base(name).to_ascii_lowercase().replace(['.', '_'], "-");
    name.strip_suffix("-gz").unwrap_or(&name) == known
}

pub(super) fn is_laid_out(files: &Files) -> bool {
    files.names().any(|name| is_called(name, TRAIN[0]))
}

/// Reads the file with the name `known`. If there are several, their contents must be equal.
fn read_called(files: &Files, known: &str) -> Result<(String, Vec<u8>), DataError> {
    let mut found: Option<(&str, Vec<u8>)> = None;
    for name in files.names().filter(|name| is_called(name, known)) {
        let bytes = unpacked(files, name)?;
        match &found {
            None => found = Some((name, bytes)),
            Some((_, first)) if *first == bytes => files.count("second copies", 1),
            Some((first, _)) => {
                let problem =
                    format!("holds something else than {}; remove one of them", files.display(first));
                return Err(DataError::file(files.display(name), problem));
            }
        }
    }
    let (name, bytes) = found.ok_or_else(|| {
        DataError::file(files.display(""), format!("holds neither `{known}.gz` nor `{known}`"))
    })?;
    Ok((files.display(name), bytes))
}

/// Returns a file's bytes, unpacked if they are packed, whatever its name.
fn unpacked(files: &Files, name: &str) -> Result<Vec<u8>, DataError> {
    unpack(files.read(name)?).map_err(|problem| DataError::file(files.display(name), problem))
}

fn unpack(packed: Vec<u8>) -> Result<Vec<u8>, String> {
    if !packed.starts_with(&gzip::MAGIC) {
        return Ok(packed);
    }
    let mut bytes = Vec::new();
    let read = Gzip::new(packed.as_slice()).take(UNPACKED_LIMIT).read_to_end(&mut bytes);
    read.map_err(|error| format!("broken or truncated gzip file ({error})"))?;
    Ok(bytes)
}

/// Returns the data after an IDX header of unsigned bytes, with these dimensions.
pub(crate) fn body(bytes: &[u8], dimensions: usize) -> Result<(Vec<usize>, &[u8]), String> {
    let word = |at: usize| -> Result<u32, String> {
        let four = bytes.get(4 * at..4 * at + 4).and_then(|four| four.try_into().ok());
        four.map(u32::from_be_bytes).ok_or_else(|| "ends inside its header".to_owned())
    };
    let magic = 0x0800 + dimensions as u32;
    if word(0)? != magic {
        return Err(format!("not an IDX file of bytes: magic {:#010x}, expected {magic:#010x}", word(0)?));
    }
    let sizes: Vec<usize> =
        (1..=dimensions).map(|at| word(at).map(|size| size as usize)).collect::<Result<_, _>>()?;
    let body = &bytes[4 * (dimensions + 1)..];
    let expected = sizes.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
    if Some(body.len()) != expected {
        let announced = sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(" × ");
        return Err(format!("has {} bytes after its header, which announces {announced}", body.len()));
    }
    Ok((sizes, body))
}

pub(super) fn read(files: &Files, manifest: &Manifest) -> Result<Source, DataError> {
    let read = |[images, labels]: [&str; 2], prefix: &str| {
        split(manifest, read_called(files, images)?, read_called(files, labels)?, prefix)
    };
    Ok(of_grey(manifest, read(TRAIN, "train")?, read(TEST, "t10k")?))
}

/// Reads the contents of the four files: images and labels for training, and for the test, packed or not.
pub(crate) fn in_memory_files(manifest: &Manifest, files: [Vec<u8>; 4]) -> Result<Source, DataError> {
    let [images, labels, test_images, test_labels] = files;
    let read = |names: [&str; 2], images, labels, prefix: &str| {
        let named = |name: &str, packed| {
            let bytes = unpack(packed).map_err(|problem| DataError::file(name, problem))?;
            Ok::<_, DataError>((name.to_owned(), bytes))
        };
        split(manifest, named(names[0], images)?, named(names[1], labels)?, prefix)
    };
    let train = read(TRAIN, images, labels, "train")?;
    Ok(of_grey(manifest, train, read(TEST, test_images, test_labels, "t10k")?))
}

/// The images have one channel, whatever the manifest or the network has.
fn of_grey(manifest: &Manifest, train: LabelledImages, test: LabelledImages) -> Source {
    Source { shape: Some([1, manifest.size]), ..Source::of_two("IDX", manifest, train, test) }
}

/// Returns the images of a split from the unpacked contents of its two files, each with its name for messages.
fn split(
    manifest: &Manifest,
    (name, bytes): (String, Vec<u8>),
    (label_name, label_bytes): (String, Vec<u8>),
    prefix: &str,
) -> Result<LabelledImages, DataError> {
    let (sizes, pixels) = body(&bytes, 3).map_err(|problem| DataError::file(&name, problem))?;
    if sizes[1..] != [manifest.size; 2] {
        let problem = format!("images of {}×{}, expected {2}×{2}", sizes[1], sizes[2], manifest.size);
        return Err(DataError::file(name, problem));
    }
    let (_, labels) = body(&label_bytes, 1).map_err(|problem| DataError::file(&label_name, problem))?;
    if labels.len() != sizes[0] {
        let problem = format!("{} labels for {} images", labels.len(), sizes[0]);
        return Err(DataError::file(label_name, problem));
    }
    let labels = labels.iter().map(|&label| label.into()).collect();
    in_memory(&manifest.classes, &label_name, prefix, pixels.to_vec(), labels)
}
