//! Reads PyTorch's files from memory, in either format: in a page there are no paths, which `pytorch-reader` needs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use crate::pickle::{self, Object, Pickle, Place, Strided};
use crate::tensors::{Budget, Kind, named, problem};
use crate::zip_entries::{Entries, entries};
use crate::{Checkpoint, Tensor, Weights, WeightsError};

/// The entries of a training checkpoint that may hold the weights. The first that exists is taken. Moving averages
/// come last, because training resumes from the other entries.
pub(crate) const ENTRIES: [&str; 11] = [
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "weights",
    "params",
    "ema",
    "model_ema",
    "ema_state_dict",
    "state_dict_ema",
];

/// The remedy if a file holds Python objects.
pub(crate) const SAVE: &str = "save the weights with `torch.save(model.state_dict(), PATH)`";

/// The number of pickles before that of the weights in a file of before 2020: its number, its version, and the machine.
const BEFORE: usize = 3;

/// The largest depth of dictionaries in dictionaries, the largest length of all names of their entries, and the largest number of
/// extents.
const DEPTH: usize = 16;
const NAMES: usize = 1 << 24;
const RANK: usize = 64;

/// The bytes of each storage by its key.
type Storages<'a> = BTreeMap<&'a str, &'a [u8]>;

/// Reads the bytes of a `.pth`.
pub(crate) fn read(path: &Path, bytes: &[u8]) -> Result<Weights, WeightsError> {
    let stopped = |stop: &str| problem(path, stop);
    let entries = if bytes.starts_with(b"PK") { entries(bytes).map_err(stopped)? } else { BTreeMap::new() };
    let read = if bytes.starts_with(b"PK") { of_archive(&entries) } else { of_pickles(bytes) };
    let (pickle, storages) = read.map_err(stopped)?;
    let (tensors, checkpoint) = weights_of(&pickle).map_err(stopped)?;
    let mut weights = Weights { checkpoint, ..Weights::default() };
    let mut budget = Budget::of(bytes.len() as u64);
    for (name, tensor) in named(tensors)? {
        let (size, kind) = element(tensor.storage.class);
        let kind = match kind {
            Ok(kind) => kind,
            Err(other) => {
                weights.left_out.insert(name, other.to_owned());
                continue;
            }
        };
        let count = tensor.shape.iter().try_fold(1, |count: usize, extent| count.checked_mul(*extent));
        budget.spend(&name, count.and_then(|count| count.checked_mul(size)).unwrap_or(usize::MAX))?;
        let storage = storages.get(tensor.storage.key).copied().unwrap_or_default();
        let Some(bytes) = gathered(tensor, size, storage) else {
            let problem = "needs numbers that its storage does not have".to_owned();
            return Err(WeightsError::Tensor { tensor: name, problem });
        };
        weights.tensors.insert(name, Tensor { shape: tensor.shape.clone(), values: kind.read(&bytes) });
    }
    if weights.tensors.is_empty() {
        return Err(problem(path, format!("holds no tensors of floating-point numbers; {SAVE}")));
    }
    Ok(weights)
}

/// Returns the bytes of an element of a storage, and its kind, or the name of a kind that is left out.
fn element(class: &str) -> (usize, Result<Kind, &str>) {
    match class {
        "DoubleStorage" => (8, Ok(Kind::F64)),
        "FloatStorage" => (4, Ok(Kind::F32)),
        "HalfStorage" => (2, Ok(Kind::F16)),
        "BFloat16Storage" => (2, Ok(Kind::Bf16)),
        "LongStorage" => (8, Err("I64")),
        "IntStorage" => (4, Err("I32")),
        "ShortStorage" => (2, Err("I16")),
        "CharStorage" => (1, Err("I8")),
        "ByteStorage" => (1, Err("U8")),
        "BoolStorage" => (1, Err("Bool")),
        other => (1, Err(other)),
    }
}

fn of_archive<'a>(entries: &'a Entries<'_>) -> Result<(Pickle<'a>, Storages<'a>), &'static str> {
    let pickles = entries.keys().filter(|name| *name == "data.pkl" || name.ends_with("/data.pkl"));
    let name = pickles.min_by_key(|name| name.len()).ok_or("is a zip archive without `data.pkl`")?;
    let beside = name.strip_suffix("data.pkl").unwrap_or_default();
    if entries.get(&format!("{beside}byteorder")).is_some_and(|order| *order == b"big") {
        return Err("holds numbers in big-endian order, which are not read");
    }
    let folder = format!("{beside}data/");
    let storages = entries.iter().filter_map(|(name, bytes)| Some((name.strip_prefix(&folder)?, *bytes)));
    Ok((pickle::read(&mut &*entries[name])?, storages.collect()))
}

fn of_pickles(bytes: &[u8]) -> Result<(Pickle<'_>, Storages<'_>), &'static str> {
    let mut rest = bytes;
    let magic = pickle::read(&mut rest)?;
    // A number of 80 bits.
    if !matches!(magic.objects[magic.root], Object::Other) {
        return Err("is a pickle, but no file of PyTorch's");
    }
    for _ in 1..BEFORE {
        pickle::read(&mut rest)?;
    }
    let (weights, keys) = (pickle::read(&mut rest)?, pickle::read(&mut rest)?);
    let used = weights.objects.iter().filter_map(|object| match object {
        Object::Storage(storage) => Some((storage.key, element(storage.class).0)),
        _ => None,
    });
    let sizes: BTreeMap<&str, usize> = used.collect();
    let Object::List(list) = &keys.objects[keys.root] else { return Err("has no list of its storages") };
    let mut storages = Storages::new();
    for key in list {
        let Object::Text(key) = keys.objects[*key] else { return Err("has a storage without a name") };
        let size = *sizes.get(key).ok_or("has a storage that no tensor uses")?;
        let (count, after) = rest.split_first_chunk().ok_or("is cut short before its numbers")?;
        let length =
            usize::try_from(u64::from_le_bytes(*count)).ok().and_then(|count| count.checked_mul(size));
        let (storage, after) = length
            .and_then(|length| after.split_at_checked(length))
            .ok_or("is cut short within its numbers")?;
        storages.insert(key, storage);
        rest = after;
    }
    Ok((weights, storages))
}

/// Returns the tensors of a file by name. For a training checkpoint, they are those of the entry that holds the weights.
fn weights_of<'p, 'a>(pickle: &'p Pickle<'a>) -> Result<(Tensors<'p, 'a>, Option<Checkpoint>), &'static str> {
    let Object::Dictionary(entries) = &pickle.objects[pickle.root] else { return Err("holds no dictionary") };
    let named = |wanted: &str| {
        let is = |key: &Place| matches!(pickle.objects[*key], Object::Text(name) if name == wanted);
        entries.iter().rev().find(|(key, _)| is(key)).map(|(_, value)| *value)
    };
    let mut found = Vec::new();
    for entry in ENTRIES {
        if let Some(value) =
            named(entry).filter(|value| matches!(pickle.objects[*value], Object::Dictionary(_)))
        {
            let tensors = collected(pickle, value)?;
            if !tensors.is_empty() {
                found.push((entry.to_owned(), tensors));
            }
        }
    }
    let mut found = found.into_iter();
    let Some((taken, tensors)) = found.next() else { return Ok((collected(pickle, pickle.root)?, None)) };
    Ok((tensors, Some(Checkpoint { taken, others: found.map(|(name, _)| name).collect() })))
}

type Tensors<'p, 'a> = BTreeMap<String, &'p Strided<'a>>;

/// Returns the tensors in an object, by the keys of the dictionaries around them.
fn collected<'p, 'a>(pickle: &'p Pickle<'a>, from: Place) -> Result<Tensors<'p, 'a>, &'static str> {
    let mut tensors = Tensors::new();
    let mut left = vec![(String::new(), from, 0)];
    let mut names = 0;
    while let Some((name, place, depth)) = left.pop() {
        match &pickle.objects[place] {
            Object::Tensor(tensor) if tensor.shape.len() > RANK => {
                return Err("has a tensor of more than 64 extents");
            }
            Object::Tensor(tensor) => drop(tensors.insert(name, tensor)),
            container => {
                let first = left.len();
                for (key, value) in inside(pickle, container) {
                    names += name.len() + key.len() + 1;
                    if depth == DEPTH || names > NAMES {
                        return Err("has more entries, or deeper ones, than a state dict");
                    }
                    let name = if depth == 0 { key.into_owned() } else { format!("{name}.{key}") };
                    left.push((name, value, depth + 1));
                }
                // In their order: of two tensors of one name, the last one counts.
                left[first..].reverse();
            }
        }
    }
    Ok(tensors)
}

/// Returns the keys and values of a dictionary, or the positions and values of a list.
fn inside<'p, 'a>(
    pickle: &'p Pickle<'a>,
    container: &'p Object<'a>,
) -> Box<dyn Iterator<Item = (Cow<'a, str>, Place)> + 'p> {
    match container {
        Object::Dictionary(entries) => {
            Box::new(entries.iter().filter_map(|(key, value)| match pickle.objects[*key] {
                Object::Text(key) => Some((Cow::Borrowed(key), *value)),
                Object::Integer(key) => Some((Cow::Owned(key.to_string()), *value)),
                _ => None,
            }))
        }
        Object::List(values) | Object::Tuple(values) => {
            Box::new(values.iter().enumerate().map(|(at, value)| (Cow::Owned(at.to_string()), *value)))
        }
        _ => Box::new(std::iter::empty()),
    }
}

/// Returns a tensor's numbers in row-major order, or `None` if its storage has too few.
fn gathered<'a>(tensor: &Strided<'_>, size: usize, storage: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let Strided { offset, shape, strides, .. } = tensor;
    if shape.contains(&0) {
        return Some(Cow::Borrowed(&[]));
    }
    let mut last = *offset;
    let mut dense = true;
    let mut inner = 1;
    for (extent, stride) in shape.iter().zip(strides).rev() {
        last = last.checked_add(stride.checked_mul(extent - 1)?)?;
        dense &= *stride == inner || *extent == 1;
        inner *= extent;
    }
    let end = last.checked_add(1)?.checked_mul(size)?;
    let bytes = storage.get(offset * size..end)?;
    if dense {
        return Some(Cow::Borrowed(bytes));
    }
    let mut gathered = Vec::with_capacity(inner * size);
    for index in 0..inner {
        let (mut rest, mut at) = (index, 0);
        for (extent, stride) in shape.iter().zip(strides).rev() {
            at += rest % extent * stride;
            rest /= extent;
        }
        gathered.extend_from_slice(&bytes[at * size..][..size]);
    }
    Some(Cow::Owned(gathered))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(name: &str) -> Vec<u8> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
        std::fs::read(folder.join(name)).unwrap()
    }

    fn error(bytes: &[u8]) -> String {
        read(Path::new("a.pth"), bytes).unwrap_err().to_string()
    }

    #[test]
    fn files_of_pytorch_are_those_that_are_read_from_a_path() {
        for name in ["two_towers.pth", "two_towers-legacy.pth", "expanded.pth"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name);
            let from_memory = Weights::of_bytes(&path, golden(name)).map_err(|error| error.to_string());
            let from_path = Weights::read(&path).map_err(|error| error.to_string());
            match from_path {
                Ok(_) => assert_eq!(from_memory, from_path, "{name}"),
                Err(_) => assert!(from_memory.is_err(), "{name}"),
            }
        }
    }

    #[test]
    fn every_beginning_of_a_file_is_an_error_of_one_line() {
        for name in ["two_towers.pth", "two_towers-legacy.pth"] {
            let whole = golden(name);
            for end in (2..whole.len() - 1).step_by(97) {
                let error = error(&whole[..end]);
                assert!(error.lines().count() == 1 && error.len() < 300, "{error}");
            }
        }
    }

    #[test]
    fn shared_and_nested_objects_cost_no_more_than_the_pickle() {
        let legacy = |pickle: &[u8]| [crate::pytorch::BEFORE, b"\x80\x02", pickle, b".\x80\x02]."].concat();
        let deep = [vec![b')'], vec![0x85; 1 << 20]].concat();
        assert!(error(&legacy(&deep)).contains("no dictionary"));
        let nested = [b"}X\x01\0\0\0a".repeat(1 << 16), vec![b'N'], vec![b's'; 1 << 16]].concat();
        assert!(error(&legacy(&nested)).contains("deeper"), "{}", error(&legacy(&nested)));
        // Each dictionary holds the one before it twice.
        let doubled = (0..60).flat_map(|at: u8| {
            [&[b'q', at, b'0', b'}', b'('][..], b"K\x01h", &[at], b"K\x02h", &[at], b"u"].concat()
        });
        let doubled: Vec<u8> = [b"}".to_vec(), doubled.collect()].concat();
        assert!(error(&legacy(&doubled)).contains("more entries"));
        let itself = b"}q\0X\x01\0\0\0ah\0s";
        assert!(error(&legacy(itself)).contains("deeper"));
    }
}
