//! The pickle machine: the opcodes, the stack and the memo.

use std::collections::BTreeMap;

use super::{Id, Value};

/// Runs a pickle. Returns all its values and the number of the one that it stands for.
///
/// # Errors
/// If it is broken or has unsupported contents. The error states the byte.
pub(super) fn run(bytes: &[u8]) -> Result<(Vec<Value<'_>>, Id), String> {
    let (mut machine, mut input) = (Machine::default(), Input(bytes));
    loop {
        let at = bytes.len() - input.0.len();
        let problem = |problem: String| format!("no pickle of a data set: at byte {at}: {problem}");
        let opcode = input.take(1).map_err(problem)?[0];
        if !machine.step(opcode, &mut input).map_err(problem)? {
            let root = machine.pop().map_err(problem)?;
            return Ok((machine.values, root));
        }
    }
}

/// Reads the arguments of opcodes from the input.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (first, rest) = self.0.split_at_checked(length).ok_or("ends inside an opcode")?;
        self.0 = rest;
        Ok(first)
    }

    /// Reads an unsigned number of `bytes` bytes, at most 8.
    fn number(&mut self, bytes: usize) -> Result<u64, String> {
        let mut all = [0; 8];
        all[..bytes].copy_from_slice(self.take(bytes)?);
        Ok(u64::from_le_bytes(all))
    }

    /// Reads bytes preceded by their length, which has `width` bytes.
    fn counted(&mut self, width: usize) -> Result<&'a [u8], String> {
        let length = self.number(width)?;
        self.take(usize::try_from(length).map_err(|_| "ends inside an opcode")?)
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let end = self.0.iter().position(|byte| *byte == b'\n').ok_or("ends inside an opcode")?;
        let line = self.take(end + 1)?;
        text(&line[..end])
    }
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "a text that is not UTF-8".into())
}

/// The state on which the opcodes operate.
#[derive(Default)]
struct Machine<'a> {
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at the marks.
    marks: Vec<usize>,
    memo: BTreeMap<u64, Id>,
}

impl<'a> Machine<'a> {
    fn push(&mut self, value: Value<'a>) {
        self.values.push(value);
        self.stack.push(self.values.len() - 1);
    }

    fn pop(&mut self) -> Result<Id, String> {
        // Values below a mark stay there until the mark is removed.
        let floor = self.marks.last().copied().unwrap_or(0);
        (self.stack.len() > floor)
            .then(|| self.stack.pop())
            .flatten()
            .ok_or_else(|| "takes more than there is".into())
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>, String> {
        let mut ids = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        ids.reverse();
        Ok(ids)
    }

    /// Removes and returns everything above the last mark.
    fn pop_marked(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or("has no mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&self) -> Result<Id, String> {
        self.stack.last().copied().ok_or_else(|| "takes more than there is".into())
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), String> {
        let top = self.top()?;
        match &mut self.values[top] {
            Value::List(list) => list.extend(items),
            _ => return Err("appends to what is no list".into()),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<(), String> {
        let top = self.top()?;
        match &mut self.values[top] {
            Value::Dict(dict) => dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            _ => return Err("sets items of what is no dictionary".into()),
        }
        Ok(())
    }

    fn text(&self, id: Id) -> Result<&'a str, String> {
        match self.values[id] {
            Value::Text(text) => Ok(text),
            _ => Err("a name that is no text".into()),
        }
    }

    fn remember(&mut self, key: u64) -> Result<(), String> {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Result<(), String> {
        self.stack.push(*self.memo.get(&key).ok_or("refers to what is not there")?);
        Ok(())
    }

    /// Executes one opcode. Returns `false` at the end.
    fn step(&mut self, opcode: u8, input: &mut Input<'a>) -> Result<bool, String> {
        match opcode {
            b'.' => return Ok(false),
            0x80 => drop(input.take(1)?),
            0x95 => drop(input.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_marked()?),
            b'2' => self.stack.push(self.top()?),
            b'q' => {
                let key = input.number(1)?;
                self.remember(key)?;
            }
            b'r' => {
                let key = input.number(4)?;
                self.remember(key)?;
            }
            0x94 => self.remember(self.memo.len() as u64)?,
            b'h' => {
                let key = input.number(1)?;
                self.recall(key)?;
            }
            b'j' => {
                let key = input.number(4)?;
                self.recall(key)?;
            }
            b'N' => self.push(Value::Other),
            0x88 | 0x89 => self.push(Value::Bool(opcode == 0x88)),
            b'G' => {
                input.take(8)?;
                self.push(Value::Other);
            }
            b'J' => {
                let number = input.number(4)? as u32 as i32;
                self.push(Value::Int(number.into()));
            }
            b'K' => {
                let number = input.number(1)?;
                self.push(Value::Int(number as i64));
            }
            b'M' => {
                let number = input.number(2)?;
                self.push(Value::Int(number as i64));
            }
            0x8a => {
                let bytes = input.counted(1)?;
                self.push(long(bytes)?);
            }
            b'U' | b'C' => {
                let bytes = input.counted(1)?;
                self.push(Value::Bytes(bytes));
            }
            b'T' | b'B' => {
                let bytes = input.counted(4)?;
                self.push(Value::Bytes(bytes));
            }
            0x8e | 0x96 => {
                let bytes = input.counted(8)?;
                self.push(Value::Bytes(bytes));
            }
            0x8c => {
                let bytes = input.counted(1)?;
                self.push(Value::Text(text(bytes)?));
            }
            b'X' => {
                let bytes = input.counted(4)?;
                self.push(Value::Text(text(bytes)?));
            }
            0x8d => {
                let bytes = input.counted(8)?;
                self.push(Value::Text(text(bytes)?));
            }
            b')' => self.push(Value::Tuple(Vec::new())),
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(opcode - 0x84))?;
                self.push(Value::Tuple(items));
            }
            b't' => {
                let items = self.pop_marked()?;
                self.push(Value::Tuple(items));
            }
            b']' => self.push(Value::List(Vec::new())),
            b'l' => {
                let items = self.pop_marked()?;
                self.push(Value::List(items));
            }
            b'a' => {
                let items = self.pop_many(1)?;
                self.append(items)?;
            }
            b'e' => {
                let items = self.pop_marked()?;
                self.append(items)?;
            }
            b'}' => self.push(Value::Dict(Vec::new())),
            b'd' => {
                let items = self.pop_marked()?;
                self.push(Value::Dict(Vec::new()));
                self.set(&items)?;
            }
            b's' => {
                let items = self.pop_many(2)?;
                self.set(&items)?;
            }
            b'u' => {
                let items = self.pop_marked()?;
                self.set(&items)?;
            }
            b'c' => {
                let (module, name) = (input.line()?, input.line()?);
                self.push(Value::Global(module, name));
            }
            0x93 => {
                let names = self.pop_many(2)?;
                let (module, name) = (self.text(names[0])?, self.text(names[1])?);
                self.push(Value::Global(module, name));
            }
            b'R' => {
                let both = self.pop_many(2)?;
                self.push(Value::Object { callable: both[0], arguments: both[1], state: None });
            }
            b'b' => {
                let given = self.pop()?;
                let top = self.top()?;
                match &mut self.values[top] {
                    Value::Object { state, .. } => *state = Some(given),
                    _ => return Err("gives a state to what is no object".into()),
                }
            }
            _ => return Err(format!("opcode {opcode:#04x}, which data sets do not need")),
        }
        Ok(true)
    }
}

/// Reads a little-endian number in two's complement.
fn long(bytes: &[u8]) -> Result<Value<'_>, String> {
    if bytes.len() > 8 {
        return Err("a number of more than 8 bytes".into());
    }
    let sign = bytes.last().is_some_and(|last| last & 0x80 != 0);
    let mut all = if sign { [0xff; 8] } else { [0; 8] };
    all[..bytes.len()].copy_from_slice(bytes);
    Ok(Value::Int(i64::from_le_bytes(all)))
}
