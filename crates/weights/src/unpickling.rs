//! Computes an upper bound on the memory for reading a pickle, in one pass that builds no value.
//!
//! `pytorch-reader` bounds the depth of nesting and the number of nodes that memo look-ups copy. It does not count
//! a node's text, which may be of any length: the name of a class, the key of a dictionary. A tensor's name holds
//! the keys of all dictionaries around it. So 100 kB of pickle can take gigabytes. [`Scan`] stores only the size of
//! each value on the stack of the pickle machine.

use std::collections::HashMap;
use std::io::{self, BufRead};

/// The largest memory of a pickle, in bytes. It excludes the tensors' numbers.
pub(crate) const LIMIT: u64 = 1 << 28;

/// The size of a value without its text, in bytes.
const VALUE: u64 = 128;

/// The number of bytes that the index of a list adds to the names of the tensors in it.
const INDEX: u64 = 8;

/// Why a scan ends before the pickle does.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The pickle takes more than [`LIMIT`].
    TooLarge,
    /// The pickle is cut short or damaged here. Its reader stops here too.
    Damaged,
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Damaged
    }
}

/// The size of a value on the stack.
#[derive(Debug, Clone, Copy, Default)]
struct Value {
    bytes: u64,
    /// An upper bound on the number of tensors in it.
    tensors: u64,
    /// The start of its text in the pickle, and its length, if the value is text.
    text: Option<(u64, u64)>,
    /// The place in the memo that holds a copy of it.
    memo: Option<u32>,
}

/// The values that an instruction takes off the stack.
#[derive(Clone, Copy)]
enum Taken {
    Values(usize),
    /// All above the last mark.
    Marked,
}

/// The result that an instruction makes of the values that it takes.
#[derive(Clone, Copy, PartialEq)]
enum Made {
    Nothing,
    /// One value that contains them.
    Sequence,
    /// A dictionary of them.
    Dictionary,
    /// The result of a call, possibly a tensor.
    Call,
    /// More items for the list below them.
    Items,
    /// More entries for the dictionary below them.
    Entries,
}

/// The state of the pickle machine, reduced to sizes.
pub(crate) struct Scan<R> {
    reader: R,
    at: u64,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    /// The total memory that the pickle has requested so far.
    bytes: u64,
}

impl<R: BufRead> Scan<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, at: 0, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), bytes: 0 }
    }

    /// Scans one pickle and stops after its end.
    pub(crate) fn pickle(&mut self) -> Result<(), Stop> {
        self.stack.clear();
        self.marks.clear();
        self.memo.clear();
        while self.instruction()? {}
        Ok(())
    }

    /// Returns the position and length of the last text on the stack. Within a dictionary, it is the key of the
    /// current entry.
    pub(crate) fn last_text(&self) -> Option<(u64, u64)> {
        self.stack.iter().rev().find_map(|value| value.text)
    }

    /// Scans one instruction. Returns false at the pickle's end.
    fn instruction(&mut self) -> Result<bool, Stop> {
        use Made::{Call, Dictionary, Entries, Items, Nothing, Sequence};
        use Taken::{Marked, Values};
        let [instruction] = self.fixed()?;
        match instruction {
            b'.' => return Ok(false),
            0x80 => self.skip(1)?,
            0x95 => self.skip(8)?,
            b'N' | 0x88 | 0x89 | b')' | b']' | b'}' | 0x8f => self.push(None)?,
            b'K' => self.scalar(1)?,
            b'M' => self.scalar(2)?,
            b'J' => self.scalar(4)?,
            b'G' => self.scalar(8)?,
            b'I' | b'L' | b'F' | b'V' | b'P' => {
                let text = self.line()?;
                self.push(Some(text))?;
            }
            b'c' => {
                let (start, module) = self.line()?;
                let (_, name) = self.line()?;
                self.push(Some((start, module + name)))?;
                self.top()?.text = None;
            }
            0x8a | 0x8c | b'U' | b'C' => {
                let [length] = self.fixed()?;
                self.text(length.into())?;
            }
            0x8b | b'X' | b'T' | b'B' => {
                let length = u32::from_le_bytes(self.fixed()?);
                self.text(length.into())?;
            }
            0x8d | 0x8e | 0x96 => {
                let length = u64::from_le_bytes(self.fixed()?);
                self.text(length)?;
            }
            b'(' => {
                self.marks.push(self.stack.len());
                self.charge(VALUE / 4)?;
            }
            b't' | b'l' | 0x91 => self.make(Marked, Sequence)?,
            0x85..=0x87 => self.make(Values(usize::from(instruction - 0x84)), Sequence)?,
            b'd' => self.make(Marked, Dictionary)?,
            b'a' => self.make(Values(1), Items)?,
            b'e' | 0x90 => self.make(Marked, Items)?,
            b's' => self.make(Values(2), Entries)?,
            b'u' => self.make(Marked, Entries)?,
            b'0' if self.marks.last() == Some(&self.stack.len()) => drop(self.marks.pop()),
            b'0' => self.make(Values(1), Nothing)?,
            b'1' => self.make(Marked, Nothing)?,
            b'2' => {
                let copy = *self.top()?;
                self.copy(copy)?;
            }
            b'h' => {
                let [place] = self.fixed()?;
                self.get(place.into())?;
            }
            b'j' => {
                let place = u32::from_le_bytes(self.fixed()?);
                self.get(place)?;
            }
            b'g' => {
                let place = self.number()?;
                self.get(place)?;
            }
            b'q' => {
                let [place] = self.fixed()?;
                self.put(place.into())?;
            }
            b'r' => {
                let place = u32::from_le_bytes(self.fixed()?);
                self.put(place)?;
            }
            b'p' => {
                let place = self.number()?;
                self.put(place)?;
            }
            0x94 => self.put(self.memo.len() as u32)?,
            b'Q' => self.make(Values(1), Sequence)?,
            0x93 => self.make(Values(2), Sequence)?,
            b'R' | 0x81 => self.make(Values(2), Call)?,
            0x92 => self.make(Values(3), Call)?,
            b'b' => {
                let object = self.stack.len().checked_sub(2).ok_or(Stop::Damaged)?;
                let memo = self.stack[object].memo;
                self.make(Values(2), Call)?;
                // The memo's copy of the object is replaced by one with its state.
                if let Some(place) = memo {
                    let built = *self.top()?;
                    self.charge(built.bytes)?;
                    self.memo.insert(place, Value { memo, ..built });
                }
            }
            _ => return Err(Stop::Damaged),
        }
        Ok(true)
    }

    /// Adds to the memory used.
    fn charge(&mut self, bytes: u64) -> Result<(), Stop> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > LIMIT { Err(Stop::TooLarge) } else { Ok(()) }
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        self.at += N as u64;
        Ok(bytes)
    }

    fn skip(&mut self, length: u64) -> Result<(), Stop> {
        let mut left = length;
        while left > 0 {
            let there = self.reader.fill_buf()?.len();
            let now = usize::try_from(left).unwrap_or(usize::MAX).min(there);
            if now == 0 {
                return Err(Stop::Damaged);
            }
            self.reader.consume(now);
            left -= now as u64;
        }
        self.at += length;
        Ok(())
    }

    /// Returns a line's start and length.
    fn line(&mut self) -> Result<(u64, u64), Stop> {
        let start = self.at;
        loop {
            let there = self.reader.fill_buf()?;
            let end = there.iter().position(|byte| *byte == b'\n');
            let now = end.map_or(there.len(), |end| end + 1);
            if now == 0 {
                return Err(Stop::Damaged);
            }
            self.reader.consume(now);
            self.at += now as u64;
            if end.is_some() {
                return Ok((start, self.at - 1 - start));
            }
        }
    }

    /// Reads a line with the number of a place in the memo.
    fn number(&mut self) -> Result<u32, Stop> {
        let mut line = Vec::new();
        loop {
            match self.fixed()? {
                [b'\n'] => break,
                [byte] => line.push(byte),
            }
        }
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        std::str::from_utf8(line).ok().and_then(|line| line.parse().ok()).ok_or(Stop::Damaged)
    }

    fn scalar(&mut self, length: u64) -> Result<(), Stop> {
        self.skip(length)?;
        self.push(None)
    }

    fn text(&mut self, length: u64) -> Result<(), Stop> {
        let start = self.at;
        self.charge(length)?;
        self.skip(length)?;
        self.push(Some((start, length)))
    }

    fn push(&mut self, text: Option<(u64, u64)>) -> Result<(), Stop> {
        let bytes = text.map_or(VALUE, |(_, length)| VALUE + 2 * length);
        self.copy(Value { bytes, text, ..Value::default() })
    }

    /// Pushes a value that takes its own memory.
    fn copy(&mut self, value: Value) -> Result<(), Stop> {
        self.charge(value.bytes)?;
        self.stack.push(value);
        Ok(())
    }

    /// Returns the top value. A mark hides the values below it.
    fn top(&mut self) -> Result<&mut Value, Stop> {
        if self.marks.last() == Some(&self.stack.len()) {
            return Err(Stop::Damaged);
        }
        self.stack.last_mut().ok_or(Stop::Damaged)
    }

    fn get(&mut self, place: u32) -> Result<(), Stop> {
        let copy = *self.memo.get(&place).ok_or(Stop::Damaged)?;
        self.copy(copy)
    }

    fn put(&mut self, place: u32) -> Result<(), Stop> {
        let top = self.top()?;
        top.memo = Some(place);
        let copy = *top;
        self.charge(copy.bytes)?;
        self.memo.insert(place, copy);
        Ok(())
    }

    /// Takes values off the stack and pushes the result.
    fn make(&mut self, taken: Taken, made: Made) -> Result<(), Stop> {
        let bottom = match taken {
            Taken::Marked => self.marks.pop().ok_or(Stop::Damaged)?,
            Taken::Values(count) => {
                let bottom = self.stack.len().checked_sub(count).ok_or(Stop::Damaged)?;
                if self.marks.last().is_some_and(|mark| *mark > bottom) {
                    return Err(Stop::Damaged);
                }
                bottom
            }
        };
        if bottom > self.stack.len() {
            return Err(Stop::Damaged);
        }
        let mut whole = Value::default();
        let mut names = 0u64;
        for (at, value) in self.stack[bottom..].iter().enumerate() {
            whole.bytes = whole.bytes.saturating_add(value.bytes);
            whole.tensors = whole.tensors.saturating_add(value.tensors);
            let key = at.checked_sub(1).and_then(|before| self.stack[bottom + before].text);
            let more = match (made, key) {
                (Made::Dictionary | Made::Entries, Some((_, length))) if at % 2 == 1 => length + INDEX,
                _ => INDEX,
            };
            // A name is stored twice.
            names = names.saturating_add(value.tensors.saturating_mul(2 * more));
        }
        self.stack.truncate(bottom);
        whole.bytes = whole.bytes.saturating_add(names);
        self.charge(names)?;
        match made {
            Made::Nothing => Ok(()),
            Made::Items | Made::Entries => {
                let below = self.top()?;
                below.bytes = below.bytes.saturating_add(whole.bytes);
                below.tensors = below.tensors.saturating_add(whole.tensors);
                below.text = None;
                Ok(())
            }
            Made::Sequence | Made::Dictionary | Made::Call => {
                if made == Made::Call {
                    whole.tensors = whole.tensors.max(1);
                }
                whole.bytes = whole.bytes.saturating_add(VALUE);
                self.charge(VALUE)?;
                self.stack.push(whole);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
