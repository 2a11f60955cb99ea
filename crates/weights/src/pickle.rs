//! The pickle machine, reduced to what `torch.save` writes: dictionaries, lists, texts, numbers and tensors. Nothing is executed,
//! and memory is bounded.

use std::collections::HashMap;

/// The place of an object in [`Pickle::objects`]. Objects refer to each other by place, so that neither shared nor nested ones cost
/// memory or depth.
pub(crate) type Place = usize;

/// A value of a pickle that begins at `'a`.
#[derive(Debug)]
pub(crate) enum Object<'a> {
    Integer(i64),
    Text(&'a str),
    /// The module and the name of a class or a function.
    Global(&'a str, &'a str),
    Tuple(Vec<Place>),
    List(Vec<Place>),
    /// Keys and values.
    Dictionary(Vec<(Place, Place)>),
    Storage(Storage<'a>),
    Tensor(Strided<'a>),
    /// Anything else: none, numbers with a point, objects of Python.
    Other,
}

/// Numbers that tensors refer to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Storage<'a> {
    /// Their class, as in `FloatStorage`.
    pub(crate) class: &'a str,
    pub(crate) key: &'a str,
}

/// A tensor: a view into a storage.
#[derive(Debug, Clone)]
pub(crate) struct Strided<'a> {
    pub(crate) storage: Storage<'a>,
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) strides: Vec<usize>,
}

/// A pickle that has been read.
pub(crate) struct Pickle<'a> {
    pub(crate) objects: Vec<Object<'a>>,
    pub(crate) root: Place,
}

/// The reason why a pickle is not read.
type Stop = &'static str;

/// The largest number of instructions, where each argument and extent that a call copies counts as one more. A tensor takes about
/// sixty. Each takes at most a hundred bytes of memory.
const INSTRUCTIONS: usize = 1 << 21;

const SHORT: Stop = "ends within its pickle; the file is cut short";
const DAMAGED: Stop = "has a damaged pickle";

/// Reads one pickle from the start of `bytes`, and takes it off.
pub(crate) fn read<'a>(bytes: &mut &'a [u8]) -> Result<Pickle<'a>, Stop> {
    let mut machine = Machine {
        bytes,
        objects: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        left: INSTRUCTIONS,
    };
    while !machine.instruction()? {
        machine.spend(1)?;
    }
    let root = machine.pop()?;
    Ok(Pickle { objects: machine.objects, root })
}

struct Machine<'b, 'a> {
    bytes: &'b mut &'a [u8],
    objects: Vec<Object<'a>>,
    stack: Vec<Place>,
    marks: Vec<usize>,
    memo: HashMap<u32, Place>,
    /// The number of instructions that may still follow.
    left: usize,
}

impl<'a> Machine<'_, 'a> {
    /// Follows one instruction. Returns whether it ends the pickle.
    fn instruction(&mut self) -> Result<bool, Stop> {
        match self.byte()? {
            b'.' => return Ok(true),
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'N' | 0x88 | 0x89 => self.push(Object::Other),
            b'G' => {
                self.take(8)?;
                self.push(Object::Other);
            }
            b'K' => self.integer(1, false)?,
            b'M' => self.integer(2, false)?,
            b'J' => self.integer(4, true)?,
            0x8a => {
                let length = self.byte()?;
                self.integer(length.into(), true)?;
            }
            0x8c | b'U' => {
                let length = self.byte()?;
                self.text(length.into())?;
            }
            b'X' | b'T' => {
                let length = self.number()?;
                self.text(length as usize)?;
            }
            b'c' => {
                let global = Object::Global(self.line()?, self.line()?);
                self.push(global);
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let &[Object::Text(module), Object::Text(name)] =
                    &[&self.objects[module], &self.objects[name]]
                else {
                    return Err(DAMAGED);
                };
                self.push(Object::Global(module, name));
            }
            b'(' => self.marks.push(self.stack.len()),
            b')' => self.push(Object::Tuple(Vec::new())),
            count @ 0x85..=0x87 => {
                let mut values = (0x84..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
                values.reverse();
                self.push(Object::Tuple(values));
            }
            b't' => {
                let values = self.marked()?;
                self.push(Object::Tuple(values));
            }
            b']' => self.push(Object::List(Vec::new())),
            b'l' => {
                let values = self.marked()?;
                self.push(Object::List(values));
            }
            b'}' => self.push(Object::Dictionary(Vec::new())),
            b'd' => {
                let values = self.marked()?;
                self.push(Object::Dictionary(Vec::new()));
                self.add(&values)?;
            }
            b'a' => {
                let value = self.pop()?;
                self.add(&[value])?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.add(&[key, value])?;
            }
            b'e' | b'u' => {
                let values = self.marked()?;
                self.add(&values)?;
            }
            b'0' => drop(self.pop()?),
            b'1' => drop(self.marked()?),
            b'h' => {
                let place = self.byte()?;
                self.recall(place.into())?;
            }
            b'j' => {
                let place = self.number()?;
                self.recall(place)?;
            }
            b'q' => {
                let place = self.byte()?;
                self.keep(place.into())?;
            }
            b'r' => {
                let place = self.number()?;
                self.keep(place)?;
            }
            0x94 => self.keep(self.memo.len() as u32)?,
            b'Q' => {
                let identifier = self.pop()?;
                self.spend_on(identifier)?;
                let storage = self.storage(identifier).map_or(Object::Other, Object::Storage);
                self.push(storage);
            }
            b'R' | 0x81 => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                self.spend_on(arguments)?;
                let result = self.called(function, arguments)?;
                self.push(result);
            }
            // The state of an object, such as the `_metadata` of a state dict.
            b'b' => drop(self.pop()?),
            _ => return Err("has a pickle of an old or unknown protocol"),
        }
        Ok(false)
    }

    fn spend(&mut self, instructions: usize) -> Result<(), Stop> {
        self.left = self
            .left
            .checked_sub(instructions)
            .ok_or("has a pickle of more than two million instructions")?;
        Ok(())
    }

    /// Counts what a call with these arguments may copy: the same tuple can be an argument many times.
    fn spend_on(&mut self, arguments: Place) -> Result<(), Stop> {
        let Object::Tuple(parts) = &self.objects[arguments] else { return Ok(()) };
        let copied = parts.iter().map(|part| match &self.objects[*part] {
            Object::Tuple(extents) => 1 + extents.len(),
            Object::Tensor(tensor) => 1 + tensor.shape.len(),
            _ => 1,
        });
        let copied = copied.fold(0, usize::saturating_add);
        self.spend(copied)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Stop> {
        let (first, rest) = self.bytes.split_at_checked(length).ok_or(SHORT)?;
        *self.bytes = rest;
        Ok(first)
    }

    fn byte(&mut self) -> Result<u8, Stop> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u32, Stop> {
        Ok(self.take(4)?.iter().rev().fold(0, |sum, byte| (sum << 8) | u32::from(*byte)))
    }

    /// Reads an integer, the lowest byte first. One of more than 64 bits stays unknown: PyTorch's magic number.
    fn integer(&mut self, length: usize, signed: bool) -> Result<(), Stop> {
        let bytes = self.take(length)?;
        let negative = signed && bytes.last().is_some_and(|last| *last >= 0x80);
        let start = if negative { -1 } else { 0 };
        let number = bytes.iter().rev().fold(start, |sum: i64, byte| (sum << 8) | i64::from(*byte));
        self.push(if length <= 8 { Object::Integer(number) } else { Object::Other });
        Ok(())
    }

    fn line(&mut self) -> Result<&'a str, Stop> {
        let end = self.bytes.iter().position(|byte| *byte == b'\n').ok_or(SHORT)?;
        let line = self.take(end + 1)?;
        std::str::from_utf8(&line[..end]).map_err(|_| DAMAGED)
    }

    fn text(&mut self, length: usize) -> Result<(), Stop> {
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| DAMAGED)?;
        self.push(Object::Text(text));
        Ok(())
    }

    fn push(&mut self, object: Object<'a>) {
        self.stack.push(self.objects.len());
        self.objects.push(object);
    }

    /// Takes the top value. A mark hides those below it.
    fn pop(&mut self) -> Result<Place, Stop> {
        if self.marks.last() == Some(&self.stack.len()) {
            return Err(DAMAGED);
        }
        self.stack.pop().ok_or(DAMAGED)
    }

    fn marked(&mut self) -> Result<Vec<Place>, Stop> {
        let mark = self.marks.pop().ok_or(DAMAGED)?;
        Ok(self.stack.split_off(mark))
    }

    /// Adds to the list or dictionary below.
    fn add(&mut self, values: &[Place]) -> Result<(), Stop> {
        match &mut self.objects[*self.stack.last().ok_or(DAMAGED)?] {
            Object::List(list) => list.extend(values),
            Object::Dictionary(entries) => {
                let (pairs, []) = values.as_chunks::<2>() else { return Err(DAMAGED) };
                entries.extend(pairs.iter().map(|[key, value]| (*key, *value)));
            }
            // An object of Python.
            Object::Other => {}
            _ => return Err(DAMAGED),
        }
        Ok(())
    }

    fn recall(&mut self, place: u32) -> Result<(), Stop> {
        self.stack.push(*self.memo.get(&place).ok_or(DAMAGED)?);
        Ok(())
    }

    fn keep(&mut self, place: u32) -> Result<(), Stop> {
        self.memo.insert(place, *self.stack.last().ok_or(DAMAGED)?);
        Ok(())
    }

    /// Returns the values of a tuple.
    fn parts(&self, tuple: Place) -> Option<Vec<&Object<'a>>> {
        let Object::Tuple(parts) = &self.objects[tuple] else { return None };
        Some(parts.iter().map(|place| &self.objects[*place]).collect())
    }

    /// Returns the storage that a persistent identifier names: `("storage", class, key, device, count)`.
    fn storage(&self, identifier: Place) -> Option<Storage<'a>> {
        match self.parts(identifier)?.as_slice() {
            // In files of before 2020 none follows, or a view of another storage, which only sharing in the oldest ones made.
            [Object::Text("storage"), Object::Global(_, class), Object::Text(key), _, Object::Integer(_)]
            | [
                Object::Text("storage"),
                Object::Global(_, class),
                Object::Text(key),
                _,
                Object::Integer(_),
                Object::Other,
            ] => Some(Storage { class, key }),
            _ => None,
        }
    }

    /// Returns the result of a call, for the few functions that make tensors and dictionaries.
    fn called(&self, function: Place, arguments: Place) -> Result<Object<'a>, Stop> {
        let (Object::Global(module, name), Some(arguments)) =
            (&self.objects[function], self.parts(arguments))
        else {
            return Ok(Object::Other);
        };
        Ok(match (*module, *name, arguments.as_slice()) {
            ("collections", "OrderedDict", _) => Object::Dictionary(Vec::new()),
            ("torch._utils", "_rebuild_parameter", [Object::Tensor(tensor), ..]) => {
                Object::Tensor(tensor.clone())
            }
            (
                "torch._utils",
                "_rebuild_tensor" | "_rebuild_tensor_v2",
                [
                    Object::Storage(storage),
                    Object::Integer(offset),
                    Object::Tuple(shape),
                    Object::Tuple(strides),
                    ..,
                ],
            ) => {
                let offset = usize::try_from(*offset).map_err(|_| DAMAGED)?;
                let (shape, strides) = (self.extents(shape)?, self.extents(strides)?);
                if shape.len() != strides.len() {
                    return Err("has a tensor with more extents than strides, or fewer");
                }
                Object::Tensor(Strided { storage: *storage, offset, shape, strides })
            }
            _ => Object::Other,
        })
    }

    fn extents(&self, numbers: &[Place]) -> Result<Vec<usize>, Stop> {
        let extent = |place: &Place| match self.objects[*place] {
            Object::Integer(number) => usize::try_from(number).map_err(|_| DAMAGED),
            _ => Err(DAMAGED),
        };
        numbers.iter().map(extent).collect()
    }
}
