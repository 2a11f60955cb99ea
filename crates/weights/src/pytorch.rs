//! Reads PyTorch's files: the current zip archives and the bare pickles of before 2020. No code in a pickle is
//! executed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::path::Path;

use pytorch_reader::{DType, PickleError, PytorchError, PytorchReader};
use tempfile::NamedTempFile;
use zip::ZipArchive;
use zip::result::ZipError;

use crate::foreign;
use crate::state_dict::{ENTRIES, SAVE};
use crate::tensors::{Budget, Kind, REUSE, named, problem, shortened};
use crate::unpickling::{LIMIT, Scan, Stop};
use crate::{Checkpoint, Tensor, Weights, WeightsError};

/// An archive may unpack to this many bytes more than [`REUSE`] times its size. PyTorch does not compress.
const UNPACKED: u64 = 1 << 24;

/// The largest number of extents of a tensor.
const RANK: usize = 64;

/// The number of pickles in a file of before 2020: a number, a version, the machine, the weights, the keys of the
/// numbers.
const PICKLES: usize = 5;

/// The tensor at which reading stops is named if it is within this many bytes of pickle.
const NAMED: u64 = 1 << 20;

/// The pickles before that of the weights in a file of before 2020: its number, its version, and the machine.
pub(crate) const BEFORE: &[u8] =
    b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}X\x0d\0\0\0little_endian\x88s.";

/// Reads a `.pth`.
pub(crate) fn read(path: &Path) -> Result<Weights, WeightsError> {
    let size = std::fs::metadata(path).map_err(|source| io(path, source))?.len();
    check(path, size)?;
    let (tensors, checkpoint) = tensors_of(path)?;
    let mut weights = Weights { checkpoint, ..Weights::default() };
    let mut budget = Budget::of(size);
    for (name, tensor) in named(tensors)? {
        let kind = match tensor.dtype() {
            DType::F64 => Kind::F64,
            DType::F32 => Kind::F32,
            DType::F16 => Kind::F16,
            DType::BF16 => Kind::Bf16,
            other => {
                weights.left_out.insert(name, format!("{other:?}"));
                continue;
            }
        };
        if tensor.shape().len() > RANK {
            let problem = format!("has {} extents; at most {RANK} are read", tensor.shape().len());
            return Err(WeightsError::Tensor { tensor: name, problem });
        }
        budget.spend(&name, tensor.byte_len())?;
        let read = tensor.read().map_err(|error| problem(path, error))?;
        weights.tensors.insert(name, Tensor { shape: tensor.shape().to_vec(), values: kind.read(&read) });
    }
    if weights.tensors.is_empty() {
        return Err(problem(path, format!("holds no tensors of floating-point numbers; {SAVE}")));
    }
    Ok(weights)
}

/// Returns the tensors of a file. For a training checkpoint, they are those of the entry that holds the weights.
fn tensors_of(
    path: &Path,
) -> Result<(HashMap<String, pytorch_reader::Tensor>, Option<Checkpoint>), WeightsError> {
    let open = || PytorchReader::new(path).map_err(|error| refused(path, &error));
    let all = open()?;
    let begins = |name: &str, entry: &str| name.strip_prefix(entry).is_some_and(|rest| rest.starts_with('.'));
    let there = |entry: &&str| all.tensors().keys().any(|name| begins(name, entry));
    let entries: Vec<&str> = ENTRIES.into_iter().filter(there).collect();
    if entries.is_empty() {
        return Ok((all.into_tensors(), None));
    }
    // They are read one at a time, as each may be large.
    drop(all);
    // `model.` may also be a prefix of the names in a state dict. It is then not an entry.
    let entry = |entry: &str| {
        let reader = PytorchReader::with_top_level_key(path, entry).ok()?;
        (!reader.is_empty()).then(|| (entry.to_owned(), reader.into_tensors()))
    };
    let mut found = entries.into_iter().filter_map(entry);
    let Some((taken, tensors)) = found.next() else { return Ok((open()?.into_tensors(), None)) };
    let others = found.map(|(name, _)| name).collect();
    Ok((tensors, Some(Checkpoint { taken, others })))
}

/// Refuses a file for which `pytorch-reader` would take more memory than the file justifies.
fn check(path: &Path, size: u64) -> Result<(), WeightsError> {
    let mut file = open(path)?;
    let mut start = Vec::new();
    file.by_ref().take(512).read_to_end(&mut start).map_err(|source| io(path, source))?;
    if !is_archive(&start) {
        if foreign::is_tar(&start) {
            return Err(problem(path, foreign::TAR));
        }
        return scan(path, open(path)?, PICKLES);
    }
    let damaged = |error| damaged(path, error);
    let mut archive = ZipArchive::new(file).map_err(damaged)?;
    let names = archive.file_names().map(|name| Ok(name?.into_owned())).collect::<Result<Vec<_>, _>>();
    let names = names.map_err(damaged)?;
    let Some(pickle) = pickle_of(&names) else {
        return Err(problem(path, foreign::archive(&names)));
    };
    if names.iter().any(|name| name.ends_with("constants.pkl")) {
        return Err(problem(path, format!("is a TorchScript archive; {SAVE}")));
    }
    let mut unpacked = 0u64;
    for at in 0..archive.len() {
        unpacked = unpacked.saturating_add(archive.by_index_raw(at).map_err(damaged)?.size());
    }
    if unpacked > size.saturating_mul(REUSE).saturating_add(UNPACKED) {
        return Err(problem(path, format!("would unpack to {unpacked} bytes, out of a file of {size}")));
    }
    let pickle = archive.by_name(pickle).map_err(damaged)?;
    scan(path, BufReader::new(pickle), 1)
}

fn is_archive(start: &[u8]) -> bool {
    start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06")
}

/// Returns the entry of an archive that holds the pickle. The search is the same as in `pytorch-reader`.
fn pickle_of(names: &[String]) -> Option<&str> {
    let pickles = names.iter().filter(|name| *name == "data.pkl" || name.ends_with("/data.pkl"));
    pickles.min_by_key(|name| name.len()).map(String::as_str)
}

fn scan(path: &Path, reader: impl BufRead, pickles: usize) -> Result<(), WeightsError> {
    let mut scan = Scan::new(reader);
    for _ in 0..pickles {
        match scan.pickle() {
            Ok(()) => {}
            Err(Stop::TooLarge) => {
                let problem_is = format!("its pickle would take more than {} MiB of memory", LIMIT >> 20);
                return Err(problem(path, problem_is));
            }
            // The reader reports what is wrong there.
            Err(Stop::Damaged) => break,
        }
    }
    Ok(())
}

/// Explains why `pytorch-reader` does not open a file.
fn refused(path: &Path, error: &PytorchError) -> WeightsError {
    let cut = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::UnexpectedEof;
    if matches!(error, PytorchError::Pickle(PickleError::Io(cause)) if cut(cause)) {
        return problem(path, "ends within its pickle; the file is cut short");
    }
    let mut text = error.to_string();
    let objects = ["unsupported Python type", "a dictionary at the root", "persistent id tag"];
    // If the object is PyTorch's own, such as a sparse tensor, the state dict contains it too.
    if objects.iter().any(|object| text.contains(object)) && !text.contains("type 'torch.") {
        text = format!("{text}; {SAVE}");
    }
    match tensor_at(path, error) {
        Some(tensor) => WeightsError::Tensor { tensor, problem: shortened(&text) },
        None => problem(path, shortened(&text)),
    }
}

/// Returns the tensor at which `pytorch-reader` stops with this error, which does not name it. It reads
/// increasingly long prefixes of the pickle. The last key in the shortest prefix that gives the same error is the
/// tensor's name.
fn tensor_at(path: &Path, error: &PytorchError) -> Option<String> {
    let PytorchError::Pickle(cause) = error else { return None };
    if matches!(cause, PickleError::Io(_)) {
        return None;
    }
    let mut pickles = Vec::new();
    open(path).ok()?.take(NAMED).read_to_end(&mut pickles).ok()?;
    if is_archive(&pickles) {
        let mut archive = ZipArchive::new(open(path).ok()?).ok()?;
        let names: Vec<String> = archive.file_names().flatten().map(|name| name.into_owned()).collect();
        pickles = BEFORE.to_vec();
        archive.by_name(pickle_of(&names)?).ok()?.take(NAMED).read_to_end(&mut pickles).ok()?;
    }
    let error = error.to_string();
    let beginning = NamedTempFile::new().ok()?;
    let stops = |length: usize| {
        overwrite(&beginning, &pickles[..length]).is_ok()
            && PytorchReader::new(beginning.path()).is_err_and(|found| found.to_string() == error)
    };
    let (mut fine, mut stopped) = (0, pickles.len());
    if !stops(stopped) {
        return None;
    }
    while fine + 1 < stopped {
        let middle = fine.midpoint(stopped);
        if stops(middle) { stopped = middle } else { fine = middle }
    }
    // A call, or the look-up of a storage. The instruction itself is left out.
    if !matches!(pickles[fine], b'R' | b'Q') {
        return None;
    }
    let mut scan = Scan::new(&pickles[..fine]);
    while scan.pickle().is_ok() {}
    let (start, length) = scan.last_text()?;
    let text = pickles.get(usize::try_from(start).ok()?..)?.get(..usize::try_from(length).ok()?)?;
    Some(shortened(&String::from_utf8_lossy(text)))
}

/// Replaces the contents of a file in place. Some file systems write a file through when it is emptied and closed,
/// which takes long.
pub(crate) fn overwrite(file: &NamedTempFile, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = file.as_file();
    file.rewind()?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)
}

fn open(path: &Path) -> Result<BufReader<File>, WeightsError> {
    File::open(path).map(BufReader::new).map_err(|source| io(path, source))
}

fn io(path: &Path, source: std::io::Error) -> WeightsError {
    WeightsError::Io { path: path.to_owned(), source }
}

fn damaged(path: &Path, error: ZipError) -> WeightsError {
    problem(path, format!("is a damaged zip archive ({error})"))
}

#[cfg(test)]
mod tests;
