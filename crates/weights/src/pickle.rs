//! Which tensor of a PyTorch file does not lie where it says: what reads these files refuses them, and does not say which.
//! Nothing is executed: a call is known by its arguments.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A pickle is read up to this many bytes.
const LIMIT: u64 = 1 << 26;

/// What a pickle has on its stack.
#[derive(Clone)]
enum Value {
    Mark,
    Number(i64),
    Text(String),
    Tuple(Vec<Value>),
    /// Of so many numbers.
    Storage(i64),
    /// With what is wrong.
    Tensor(Option<String>),
    Other,
}

/// The first tensor of a file that does not lie in its storage, and what is wrong with it.
pub(crate) fn misplaced(path: &Path) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    if let Ok(mut archive) = zip::ZipArchive::new(File::open(path).ok()?) {
        let name = archive.file_names().flatten().find(|name| name.ends_with("data.pkl"))?.into_owned();
        archive.by_name(&name).ok()?.take(LIMIT).read_to_end(&mut bytes).ok()?;
    } else {
        File::open(path).ok()?.take(LIMIT).read_to_end(&mut bytes).ok()?;
    }
    // Before 2020 there were several, one after the other, and then the numbers.
    let mut pickles = Pickles { bytes: &bytes };
    std::iter::from_fn(|| pickles.next()).find_map(|found| found)
}

struct Pickles<'a> {
    bytes: &'a [u8],
}

impl Pickles<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*taken)
    }

    fn text(&mut self, length: usize) -> Option<Value> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(Value::Text(String::from_utf8_lossy(taken).into_owned()))
    }

    fn line(&mut self) -> Option<()> {
        let end = self.bytes.iter().position(|byte| *byte == b'\n')?;
        self.bytes = &self.bytes[end + 1..];
        Some(())
    }

    /// The next pickle's first misplaced tensor, if it has one; `None` at what is no pickle or has unusual instructions.
    fn next(&mut self) -> Option<Option<(String, String)>> {
        let (mut stack, mut memo) = (Vec::new(), HashMap::new());
        loop {
            let [instruction] = self.take()?;
            let value = match instruction {
                0x80 => {
                    self.take::<1>()?;
                    continue;
                }
                0x95 => {
                    self.take::<8>()?;
                    continue;
                }
                b'.' => return Some(None),
                b'(' => Value::Mark,
                b'}' | b']' | b'N' | 0x88 | 0x89 => Value::Other,
                b')' => Value::Tuple(Vec::new()),
                b'G' => {
                    self.take::<8>()?;
                    Value::Other
                }
                b'K' => Value::Number(self.take::<1>()?[0].into()),
                b'M' => Value::Number(u16::from_le_bytes(self.take()?).into()),
                b'J' => Value::Number(i32::from_le_bytes(self.take()?).into()),
                0x8a => {
                    let length = usize::from(self.take::<1>()?[0]);
                    let (taken, rest) = self.bytes.split_at_checked(length)?;
                    self.bytes = rest;
                    let sign = if taken.last().is_some_and(|byte| *byte > 0x7f) { 0xff } else { 0 };
                    let mut number = [sign; 8];
                    match number.get_mut(..length) {
                        Some(low) => {
                            low.copy_from_slice(taken);
                            Value::Number(i64::from_le_bytes(number))
                        }
                        None => Value::Other, // the first pickle of a file of before 2020: ten bytes
                    }
                }
                b'X' => {
                    let length = u32::from_le_bytes(self.take()?);
                    self.text(length as usize)?
                }
                b'U' | 0x8c => {
                    let [length] = self.take()?;
                    self.text(length.into())?
                }
                b'c' => {
                    self.line()?;
                    self.line()?;
                    Value::Other
                }
                0x93 | 0x81 => {
                    stack.truncate(stack.len().checked_sub(2)?);
                    Value::Other
                }
                b't' => Value::Tuple(above_mark(&mut stack)?),
                0x85..=0x87 => {
                    let at = stack.len().checked_sub(usize::from(instruction - 0x84))?;
                    Value::Tuple(stack.split_off(at))
                }
                b'q' | b'r' | 0x94 => {
                    let place = match instruction {
                        b'q' => self.take::<1>()?[0].into(),
                        b'r' => u32::from_le_bytes(self.take()?),
                        _ => memo.len() as u32,
                    };
                    memo.insert(place, stack.last()?.clone());
                    continue;
                }
                b'h' => memo.get(&u32::from(self.take::<1>()?[0]))?.clone(),
                b'j' => memo.get(&u32::from_le_bytes(self.take()?))?.clone(),
                b'Q' => match stack.pop()? {
                    Value::Tuple(parts) => match parts.get(4) {
                        Some(Value::Number(count)) => Value::Storage(*count),
                        _ => Value::Other,
                    },
                    _ => Value::Other,
                },
                b'R' => {
                    let arguments = stack.pop()?;
                    stack.pop()?;
                    called(&arguments)
                }
                b'b' | b'a' => {
                    stack.pop()?;
                    continue;
                }
                b'e' => {
                    above_mark(&mut stack)?;
                    continue;
                }
                b's' | b'u' => {
                    let pairs = match instruction {
                        b's' => stack.split_off(stack.len().checked_sub(2)?),
                        _ => above_mark(&mut stack)?,
                    };
                    for pair in pairs.chunks_exact(2) {
                        if let [Value::Text(name), Value::Tensor(Some(problem))] = pair {
                            return Some(Some((name.clone(), problem.clone())));
                        }
                    }
                    continue;
                }
                _ => return None,
            };
            stack.push(value);
        }
    }
}

fn above_mark(stack: &mut Vec<Value>) -> Option<Vec<Value>> {
    let mark = stack.iter().rposition(|value| matches!(value, Value::Mark))?;
    let above = stack.split_off(mark + 1);
    stack.pop();
    Some(above)
}

/// What a call gives: a tensor if its arguments are a storage, an offset, extents and strides; or a tensor with more.
fn called(arguments: &Value) -> Value {
    let Value::Tuple(arguments) = arguments else { return Value::Other };
    match arguments.as_slice() {
        [Value::Storage(count), Value::Number(offset), Value::Tuple(shape), Value::Tuple(strides), ..] => {
            Value::Tensor(problem(*count, *offset, &numbers(shape), &numbers(strides)))
        }
        [tensor @ Value::Tensor(_), ..] => tensor.clone(),
        _ => Value::Other,
    }
}

fn numbers(values: &[Value]) -> Vec<i64> {
    let number = |value: &Value| if let Value::Number(number) = value { *number } else { -1 };
    values.iter().map(number).collect()
}

fn problem(count: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Option<String> {
    let shown = format!("has a shape of {shape:?} with strides of {strides:?} from {offset} on");
    if shape.len() != strides.len() {
        return Some(format!("{shown}, which are not as many"));
    }
    if shape.iter().chain(strides).chain([&offset]).any(|number| *number < 0) {
        return Some(format!("{shown}, and none may be below 0"));
    }
    if shape.contains(&0) {
        return None;
    }
    let last = shape.iter().zip(strides).try_fold(offset, |last, (extent, stride)| {
        (extent - 1).checked_mul(*stride).and_then(|more| last.checked_add(more))
    });
    match last {
        Some(last) if last < count => None,
        _ => Some(format!("{shown}, but its storage has {count} numbers")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dictionary `b` of tensors, as `torch.save` pickles it: a name, and extents and strides of one storage of 6 numbers.
    fn pickled(tensors: &[(&str, &[u8], &[u8])]) -> Vec<u8> {
        let tuple = |numbers: &[u8]| {
            let each = numbers.iter().flat_map(|number| [b'K', *number]);
            [b'('].into_iter().chain(each).chain([b't']).collect::<Vec<u8>>()
        };
        let mut out = b"\x80\x02}q\x00(".to_vec();
        for (name, shape, strides) in tensors {
            out.extend([b"X", &(name.len() as u32).to_le_bytes()[..], name.as_bytes()].concat());
            out.extend(
                b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n",
            );
            out.extend(b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQK\x00");
            out.extend([&tuple(shape)[..], &tuple(strides), b"\x89ccollections\nOrderedDict\n)RtR"].concat());
        }
        out.extend(b"u.");
        out
    }

    fn found(bytes: &[u8]) -> Option<(String, String)> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.pth"), bytes).unwrap();
        misplaced(&folder.path().join("a.pth"))
    }

    #[test]
    fn the_tensor_that_reaches_beyond_its_storage_is_named() {
        let good: (&str, &[u8], &[u8]) = ("a", &[2, 3], &[3, 1]);
        assert_eq!(found(&pickled(&[good])), None);
        for (shape, strides, what) in [
            (&[2, 4][..], &[4, 1][..], "but its storage has 6 numbers"),
            (&[2, 3], &[1], "which are not as many"),
        ] {
            let (name, problem) = found(&pickled(&[good, ("b.weight", shape, strides)])).unwrap();
            assert_eq!(name, "b.weight");
            assert!(problem.ends_with(what), "{problem}");
        }
        // The last of several, of which the first is a number of ten bytes.
        let first = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.".to_vec();
        let several = [first, pickled(&[good]), pickled(&[("c", &[7], &[1])])].concat();
        assert_eq!(found(&several).unwrap().0, "c");
    }

    #[test]
    fn what_is_cut_short_or_damaged_names_nothing_or_something() {
        let whole = pickled(&[("a", &[7], &[1])]);
        for length in 0..whole.len() {
            let _ = found(&whole[..length]);
            let mut damaged = whole.clone();
            damaged[length] ^= 0x55;
            let _ = found(&damaged);
        }
    }
}
