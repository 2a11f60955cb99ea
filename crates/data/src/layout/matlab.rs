//! Reads the table of classes in ILSVRC's `meta.mat`, a MATLAB 5 file with one array of structures. Only the
//! necessary parts of the format are read (MAT-File Format, MathWorks, level 5).

use std::io::Read;

use flate2::read::ZlibDecoder;

/// A class of the development kit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Synset {
    pub(crate) number: usize,
    pub(crate) wnid: String,
    pub(crate) words: String,
    /// The number of nodes below it in the tree. Classes have none.
    pub(crate) children: usize,
}

/// The limit on unpacked bytes. A file of 1,860 classes unpacks to two megabytes.
const UNPACKED_LIMIT: u64 = 1 << 26;
/// The largest depth of nested structures.
const DEPTH_LIMIT: usize = 8;

const INT8: u32 = 1;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// Returns the rows of `synsets`.
pub(crate) fn synsets(bytes: &[u8]) -> Result<Vec<Synset>, String> {
    if !bytes.starts_with(b"MATLAB 5.0") || bytes.get(126..128) != Some(b"IM") {
        return Err("not a MATLAB 5 file of a little-endian machine".into());
    }
    let mut rest = Elements(&bytes[128..]);
    while let Some((kind, body)) = rest.next_element()? {
        let unpacked;
        let (kind, body) = if kind == COMPRESSED {
            let mut out = Vec::new();
            ZlibDecoder::new(body)
                .take(UNPACKED_LIMIT)
                .read_to_end(&mut out)
                .map_err(|error| format!("broken compressed data ({error})"))?;
            unpacked = out;
            Elements(&unpacked).next_element()?.ok_or("an empty element")?
        } else {
            (kind, body)
        };
        if kind != MATRIX {
            continue;
        }
        if let (name, Value::Structures(fields, rows)) = matrix(body, 0)?
            && name == "synsets"
        {
            return rows.iter().enumerate().map(|(at, row)| synset(&fields, row, at)).collect();
        }
    }
    Err("holds no array of structures called `synsets`".into())
}

fn synset(fields: &[String], row: &[Value], at: usize) -> Result<Synset, String> {
    let field = |name: &str| {
        let column = fields.iter().position(|field| field == name);
        column.and_then(|column| row.get(column)).ok_or_else(|| format!("`synsets` has no field `{name}`"))
    };
    let number = |name: &str| match field(name)? {
        Value::Numbers(numbers) if numbers.len() == 1 && numbers[0] >= 0.0 => Ok(numbers[0] as usize),
        _ => Err(format!("`{name}` of row {} is not one number", at + 1)),
    };
    let text = |name: &str| match field(name)? {
        Value::Text(text) => Ok(text.clone()),
        _ => Err(format!("`{name}` of row {} is not text", at + 1)),
    };
    Ok(Synset {
        number: number("ILSVRC2012_ID")?,
        wnid: text("WNID")?,
        words: text("words")?,
        children: number("num_children")?,
    })
}

enum Value {
    Numbers(Vec<f64>),
    Text(String),
    /// Field names, and a row of values for each structure.
    Structures(Vec<String>, Vec<Vec<Value>>),
    Other,
}

/// Consecutive data elements: a tag of kind and length, the data, and padding to eight bytes.
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    fn next_element(&mut self) -> Result<Option<(u32, &'a [u8])>, String> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let short = "ends inside an element";
        let word = |at: usize| -> Result<u32, String> {
            let four = self.0.get(at..at + 4).and_then(|four| four.try_into().ok());
            four.map(u32::from_le_bytes).ok_or_else(|| short.to_owned())
        };
        let first = word(0)?;
        // A small element has its length in the upper half of the first word and its data in the second word.
        let (kind, start, length, padded) = match first >> 16 {
            0 => (first, 8, word(4)? as usize, (word(4)? as usize).next_multiple_of(8)),
            length => (first & 0xffff, 4, length as usize, 4),
        };
        let body = self.0.get(start..).and_then(|rest| rest.get(..length)).ok_or(short)?;
        // Compressed elements are not padded. Padding at the very end may be missing.
        let end = start + if kind == COMPRESSED { length } else { padded.max(length) };
        self.0 = self.0.get(end..).unwrap_or_default();
        Ok(Some((kind, body)))
    }

    fn expect(&mut self, what: &str) -> Result<(u32, &'a [u8]), String> {
        self.next_element()?.ok_or_else(|| format!("an array without its {what}"))
    }
}

/// Returns a matrix's name and value.
fn matrix(body: &[u8], depth: usize) -> Result<(String, Value), String> {
    if depth > DEPTH_LIMIT {
        return Err("structures inside structures, too deep".into());
    }
    // An empty element stands for an empty array.
    if body.is_empty() {
        return Ok((String::new(), Value::Other));
    }
    let mut parts = Elements(body);
    let (_, flags) = parts.expect("flags")?;
    let class = *flags.first().ok_or("an array without its class")?;
    let (_, dimensions) = parts.expect("dimensions")?;
    let count = dimensions
        .chunks_exact(4)
        .map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]) as usize)
        .try_fold(1usize, usize::checked_mul)
        .ok_or("an array of absurd size")?;
    let (_, name) = parts.expect("name")?;
    let name = String::from_utf8_lossy(name).into_owned();
    let value = match class {
        2 => structures(&mut parts, count, depth)?,
        4 => {
            let (kind, data) = parts.expect("text")?;
            Value::Text(text(kind, data))
        }
        6..=15 => {
            let (kind, data) = parts.expect("numbers")?;
            Value::Numbers(numbers(kind, data)?)
        }
        _ => Value::Other,
    };
    Ok((name, value))
}

fn structures(parts: &mut Elements<'_>, count: usize, depth: usize) -> Result<Value, String> {
    let (_, length) = parts.expect("length of field names")?;
    let length = length.first().copied().unwrap_or(0) as usize;
    let (kind, names) = parts.expect("field names")?;
    if length == 0 || kind != INT8 {
        return Err("structures without field names".into());
    }
    let names: Vec<String> = names
        .chunks_exact(length)
        .map(|name| name.split(|byte| *byte == 0).next().unwrap_or_default())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    // Every value takes at least eight bytes of the file.
    if names.is_empty() || count.saturating_mul(names.len()) > parts.0.len() / 8 {
        return Err(format!("claims {count} structures, more than the file can hold"));
    }
    let mut rows = Vec::with_capacity(count);
    for _ in 0..count {
        let mut row = Vec::with_capacity(names.len());
        for _ in &names {
            let (_, body) = parts.expect("fields")?;
            row.push(matrix(body, depth + 1)?.1);
        }
        rows.push(row);
    }
    Ok(Value::Structures(names, rows))
}

fn text(kind: u32, data: &[u8]) -> String {
    match kind {
        // 16-bit units.
        4 | 17 => {
            let units = data.chunks_exact(2).map(|two| u16::from_le_bytes([two[0], two[1]]));
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        _ => String::from_utf8_lossy(data).into_owned(),
    }
}

/// Reads numbers, which are stored in the smallest type that holds them.
fn numbers(kind: u32, data: &[u8]) -> Result<Vec<f64>, String> {
    macro_rules! read {
        ($type:ty) => {{
            let chunks = data.chunks_exact(size_of::<$type>());
            chunks.map(|chunk| <$type>::from_le_bytes(chunk.try_into().expect("its size")) as f64).collect()
        }};
    }
    Ok(match kind {
        1 => read!(i8),
        2 => read!(u8),
        3 => read!(i16),
        4 => read!(u16),
        5 => read!(i32),
        6 => read!(u32),
        7 => read!(f32),
        9 => read!(f64),
        12 => read!(i64),
        13 => read!(u64),
        _ => return Err(format!("numbers of unknown type {kind}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const META: &[u8] = include_bytes!("../../../../tests/golden/meta.mat");

    #[test]
    fn rows_of_scipys_file_are_read() {
        let synsets = synsets(META).unwrap();
        let first = &synsets[0];
        assert_eq!((first.number, first.wnid.as_str(), first.children), (1, "n02119789", 0));
        assert_eq!(first.words, "kit fox, Vulpes macrotis");
        let inner = synsets.last().unwrap();
        assert_eq!((synsets.len(), inner.number, inner.children), (5, 1001, 2));
    }

    #[test]
    fn truncation_is_an_error_and_damage_no_panic() {
        for length in 0..META.len() {
            assert!(synsets(&META[..length]).is_err(), "{length} bytes");
        }
        for at in 0..META.len() {
            let mut bytes = META.to_vec();
            bytes[at] ^= 0xff;
            let _ = synsets(&bytes);
        }
    }
}
