//! Reads Python pickles as data. The opcodes build a table of values that refer to each other by number. Nothing is
//! imported or called, no value contains another, and each opcode adds at most one value. So memory and depth are
//! bounded by the input's length (pickle protocols 1 to 5,
//! <https://github.com/python/cpython/blob/main/Lib/pickletools.py>).

mod machine;

use std::borrow::Cow;

/// The number of a value.
pub(super) type Id = usize;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    /// `None` or a float, which are not needed here.
    Other,
    Bool(bool),
    Int(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A name in a module. It is not looked up.
    Global(&'a str, &'a str),
    /// The result of a call that is not made, and its state.
    Object {
        callable: Id,
        arguments: Id,
        state: Option<Id>,
    },
}

/// All values of a pickle.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    values: Vec<Value<'a>>,
    root: Id,
}

/// A NumPy array of bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Array<'a> {
    pub(super) shape: Vec<usize>,
    pub(super) bytes: Cow<'a, [u8]>,
}

impl<'a> Pickle<'a> {
    /// Reads a pickle.
    ///
    /// # Errors
    /// If it is broken or has unsupported contents. The error states the byte.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let (values, root) = machine::run(bytes)?;
        Ok(Self { values, root })
    }

    /// Returns the value of this key, a text or bytes, in the pickled dictionary.
    pub(super) fn get(&self, key: &str) -> Result<&Value<'a>, String> {
        let Value::Dict(items) = &self.values[self.root] else { return Err("is no dictionary".into()) };
        // The last assignment counts, as in Python.
        let found =
            items.iter().rev().find(|(id, _)| self.name(*id).is_some_and(|name| *name == *key.as_bytes()));
        found.map(|(_, value)| &self.values[*value]).ok_or_else(|| format!("has no `{key}`"))
    }

    /// Returns a text in UTF-8, or bytes.
    fn name(&self, id: Id) -> Option<Cow<'a, [u8]>> {
        match self.values[id] {
            Value::Text(text) => Some(Cow::from(text.as_bytes())),
            ref value => self.bytes(value),
        }
    }

    fn items<'b>(&self, value: &'b Value<'a>) -> Option<&'b [Id]> {
        match value {
            Value::List(items) | Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// Returns a list of non-negative numbers.
    pub(super) fn numbers(&self, value: &Value<'a>) -> Option<Vec<u32>> {
        let number = |id: &Id| match self.values[*id] {
            Value::Int(number) => u32::try_from(number).ok(),
            _ => None,
        };
        self.items(value)?.iter().map(number).collect()
    }

    /// Returns a list of names.
    pub(super) fn names(&self, value: &Value<'a>) -> Option<Vec<String>> {
        let name = |id: &Id| String::from_utf8(self.name(*id)?.into_owned()).ok();
        self.items(value)?.iter().map(name).collect()
    }

    /// Returns an array of unsigned bytes in C order, as NumPy pickles it: reconstructed with a state, or from a
    /// buffer.
    pub(super) fn array(&self, value: &Value<'a>) -> Option<Array<'a>> {
        let (module, name, arguments, state) = self.object(value)?;
        if !module.starts_with("numpy") {
            return None;
        }
        let (kind, shape, bytes) = match name {
            "_reconstruct" => {
                let [_, shape, kind, fortran, bytes] = self.items(&self.values[state?])? else { return None };
                if !matches!(self.values[*fortran], Value::Bool(false) | Value::Int(0)) {
                    return None;
                }
                (*kind, *shape, *bytes)
            }
            "_frombuffer" => {
                let [bytes, kind, shape, order] = arguments else { return None };
                if !matches!(self.values[*order], Value::Text("C")) {
                    return None;
                }
                (*kind, *shape, *bytes)
            }
            _ => return None,
        };
        let (_, "dtype", kind, _) = self.object(&self.values[kind])? else { return None };
        if !matches!(self.values[*kind.first()?], Value::Text("u1" | "|u1") | Value::Bytes(b"u1" | b"|u1")) {
            return None;
        }
        let shape: Vec<usize> =
            self.numbers(&self.values[shape])?.into_iter().map(|side| side as usize).collect();
        let bytes = self.bytes(&self.values[bytes])?;
        let expected = shape.iter().try_fold(1usize, |product, side| product.checked_mul(*side));
        (expected == Some(bytes.len())).then_some(Array { shape, bytes })
    }

    /// Returns module, name, arguments and state of an object.
    fn object<'b>(&'b self, value: &Value<'a>) -> Option<(&'a str, &'a str, &'b [Id], Option<Id>)> {
        let Value::Object { callable, arguments, state } = value else { return None };
        let Value::Global(module, name) = self.values[*callable] else { return None };
        let Value::Tuple(arguments) = &self.values[*arguments] else { return None };
        Some((module, name, arguments, *state))
    }

    /// Returns bytes. Before Python had an opcode for them, they were pickled as a Latin-1 text to encode.
    fn bytes(&self, value: &Value<'a>) -> Option<Cow<'a, [u8]>> {
        if let Value::Bytes(bytes) = value {
            return Some(Cow::from(*bytes));
        }
        let ("_codecs", "encode", arguments, None) = self.object(value)? else { return None };
        let Value::Text(text) = self.values[*arguments.first()?] else { return None };
        text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<Vec<u8>>>().map(Cow::from)
    }
}
