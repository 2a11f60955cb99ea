//! IDX, the format of MNIST and Fashion-MNIST: a header of sizes, then bytes.

use std::io::Read;

use flate2::read::GzDecoder;

use super::{LabelledImages, Source, in_memory};
use crate::{DataError, Files, Manifest};

/// A file is unpacked up to this many bytes; what is longer does not have the length its header announces.
const UNPACKED_LIMIT: u64 = 1 << 32;

/// Reads `name` or `name.gz`.
fn read_gz(files: &Files, name: &str) -> Result<(String, Vec<u8>), DataError> {
    if let Some(found) = files.find(&format!("{name}.gz")) {
        let mut bytes = Vec::new();
        let packed = files.read(found)?;
        GzDecoder::new(packed.as_slice()).take(UNPACKED_LIMIT).read_to_end(&mut bytes).map_err(|error| {
            DataError::file(files.display(found), format!("broken or truncated gzip file ({error})"))
        })?;
        return Ok((files.display(found), bytes));
    }
    let found = files.find(name).ok_or_else(|| {
        DataError::file(files.display(""), format!("holds neither `{name}.gz` nor `{name}`"))
    })?;
    Ok((files.display(found), files.read(found)?))
}

/// The data behind an IDX header of unsigned bytes with these dimensions.
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
    let split = |prefix: &str| -> Result<LabelledImages, DataError> {
        let (name, bytes) = read_gz(files, &format!("{prefix}-images-idx3-ubyte"))?;
        let (sizes, pixels) = body(&bytes, 3).map_err(|problem| DataError::file(&name, problem))?;
        if sizes[1..] != [manifest.size; 2] {
            let problem = format!("images of {}×{}, expected {2}×{2}", sizes[1], sizes[2], manifest.size);
            return Err(DataError::file(name, problem));
        }
        let (label_name, bytes) = read_gz(files, &format!("{prefix}-labels-idx1-ubyte"))?;
        let (_, labels) = body(&bytes, 1).map_err(|problem| DataError::file(&label_name, problem))?;
        if labels.len() != sizes[0] {
            let problem = format!("{} labels for {} images", labels.len(), sizes[0]);
            return Err(DataError::file(label_name, problem));
        }
        let labels = labels.iter().map(|&label| label.into()).collect();
        in_memory(manifest, &label_name, prefix, pixels.to_vec(), labels)
    };
    Ok(Source::of_two("IDX", manifest, split("train")?, split("t10k")?))
}
