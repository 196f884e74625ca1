//! The machine that reads a pickle.

mod lines;

use std::collections::HashMap;
use std::path::Path;

use super::super::error::FileError;
use super::super::lines::excerpt;
use super::super::place::Origin;
use super::Pickle;
use super::value::{Class, Object, Ref, Value, origin, slice};

/// Bytes of memory that values may take beside [`MEMORY_TIMES`] the size of the pickle.
const MEMORY_FREE: usize = 16 << 20;

/// How many times the pickle's size its values may take in memory.
const MEMORY_TIMES: usize = 6;

/// The machine while it runs.
struct Machine<'a> {
    path: &'a Path,
    part: Option<String>,
    bytes: &'a [u8],
    decoded: Vec<u8>,
    at: usize,
    /// Offset of the opcode being carried out.
    opcode: usize,
    stack: Vec<Ref>,
    marks: Vec<u32>,
    memo: Memo,
    values: Vec<Value>,
    made: Vec<u32>,
    /// Bytes of memory that all this takes, about.
    spent: usize,
}

/// What a pickle remembers: mostly slots 0, 1, 2 and so on.
#[derive(Default)]
struct Memo {
    first: Vec<Ref>,
    others: HashMap<u32, Ref>,
}

/// Reads a pickle.
pub(super) fn run<'a>(path: &'a Path, part: Option<String>, bytes: &'a [u8]) -> Result<Pickle<'a>, FileError> {
    // decoded texts lie behind the end of the file and are shorter than it
    if bytes.len() > u32::MAX as usize / 4 {
        return Err(Origin::file(path).limit("the size in bytes", bytes.len() as u64, u64::from(u32::MAX / 4)));
    }
    let machine = Machine {
        path,
        part,
        bytes,
        decoded: Vec::new(),
        at: 0,
        opcode: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Memo::default(),
        values: Vec::new(),
        made: Vec::new(),
        spent: 0,
    };
    machine.run()
}

impl<'a> Machine<'a> {
    fn origin(&self) -> Origin {
        origin(self.path, self.part.as_deref(), self.opcode)
    }

    fn wrong(&self, found: impl Into<String>, allowed: &str) -> FileError {
        self.origin().malformed(found, allowed)
    }

    fn spend(&mut self, bytes: usize) -> Result<(), FileError> {
        self.spent += bytes;
        let most = MEMORY_FREE + MEMORY_TIMES * self.bytes.len();
        if self.spent > most {
            return Err(self.origin().limit(
                "the memory for the values of this pickle",
                self.spent as u64,
                most as u64,
            ));
        }
        Ok(())
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], FileError> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.bytes.len());
        let Some(end) = end else {
            let left = self.bytes.len() - self.at;
            return Err(self.wrong(format!("{count} bytes announced, {left} left in the file"), "a whole pickle"));
        };
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn number<const N: usize>(&mut self) -> Result<u64, FileError> {
        let mut wide = [0; 8];
        wide[..N].copy_from_slice(self.take(N)?);
        Ok(u64::from_le_bytes(wide))
    }

    fn length<const N: usize>(&mut self) -> Result<usize, FileError> {
        self.number::<N>().map(|length| usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn line(&mut self) -> Result<&'a [u8], FileError> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
            return Err(self.wrong("a line without end", "a line of text"));
        };
        self.at += end + 1;
        Ok(&rest[..end])
    }

    fn push(&mut self, value: Value) -> Result<(), FileError> {
        let held = match &value {
            Value::List(items) => 4 * items.len(),
            Value::Tuple(items) => 4 * items.len(),
            Value::Dict(items) => 8 * items.len(),
            Value::Object(_) => size_of::<Object>(),
            _ => 0,
        };
        self.spend(held + size_of::<Value>() + 8)?;
        let id = Ref::at(self.values.len()).ok_or_else(|| self.wrong("too many values", "fewer than 2^31"))?;
        self.stack.push(id);
        self.values.push(value);
        self.made.push(self.opcode as u32);
        Ok(())
    }

    /// A value that stands in its reference.
    fn push_inline(&mut self, id: Ref) -> Result<(), FileError> {
        self.spend(4)?;
        self.stack.push(id);
        Ok(())
    }

    fn push_int(&mut self, value: i64) -> Result<(), FileError> {
        match Ref::int(value) {
            Some(id) => self.push_inline(id),
            None => self.push(Value::Int(value)),
        }
    }

    fn push_text(&mut self, length: usize) -> Result<(), FileError> {
        let start = self.at as u32;
        let length = self.take(length)?.len() as u32;
        self.push(Value::Bytes(start, length))
    }

    fn push_decoded(&mut self, text: &[u8]) -> Result<(), FileError> {
        self.spend(text.len())?;
        let start = (self.bytes.len() + self.decoded.len()) as u32;
        self.decoded.extend_from_slice(text);
        self.push(Value::Bytes(start, text.len() as u32))
    }

    /// The topmost value; nothing below the last mark may be taken.
    fn pop(&mut self) -> Result<Ref, FileError> {
        let floor = self.marks.last().map_or(0, |&mark| mark as usize);
        match self.stack.len() > floor {
            true => Ok(self.stack.pop().expect("not empty")),
            false => Err(self.wrong("an opcode that finds no value on the stack", "a value for each operand")),
        }
    }

    fn top(&mut self) -> Result<Ref, FileError> {
        let id = self.pop()?;
        self.stack.push(id);
        Ok(id)
    }

    /// The values above the last mark, which goes.
    fn since_mark(&mut self) -> Result<Vec<Ref>, FileError> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark as usize)),
            None => Err(self.wrong("an opcode that finds no mark", "a mark before it")),
        }
    }

    fn tuple(&mut self, count: usize) -> Result<(), FileError> {
        let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        self.push(Value::Tuple(items.into()))
    }

    fn append(&mut self, items: &[Ref]) -> Result<(), FileError> {
        let id = self.top()?;
        // a growing list takes up to twice its length
        self.spend(8 * items.len())?;
        match id.index().map(|index| &mut self.values[index]) {
            Some(Value::List(list)) => {
                list.extend(items);
                Ok(())
            }
            _ => Err(self.wrong("items appended to something else", "a list")),
        }
    }

    fn global(&mut self, module: &[u8], name: &[u8]) -> Result<(), FileError> {
        let Some(class) = Class::of(module, name) else {
            let found = format!("the name {} {}", excerpt(module), excerpt(name));
            return Err(self.wrong(
                found,
                "the names of numpy's arrays, scipy's csr_matrix, csc_matrix and coo_matrix, torch's tensors",
            ));
        };
        self.push(Value::Global(class))
    }

    fn stack_global(&mut self) -> Result<(), FileError> {
        let (name, module) = (self.pop()?, self.pop()?);
        let text = |machine: &Self, id: Ref| match id.index().map(|index| &machine.values[index]) {
            Some(&Value::Bytes(start, length)) if length < 256 => {
                Ok(slice(machine.bytes, &machine.decoded, start, length).to_vec())
            }
            _ => Err(machine.wrong("a name that is no text", "a module and a name")),
        };
        let (module, name) = (text(self, module)?, text(self, name)?);
        self.global(&module, &name)
    }

    /// A call that is written down instead of made.
    fn call(&mut self) -> Result<(), FileError> {
        let (arguments, class) = (self.pop()?, self.pop()?);
        let stored = |id: Ref| id.index().map(|index| &self.values[index]);
        let class = match (stored(class), stored(arguments)) {
            (Some(&Value::Global(Class::Reconstructor)), Some(Value::Tuple(items))) => {
                match items.first().and_then(|&first| stored(first)) {
                    Some(&Value::Global(class)) => class,
                    _ => return Err(self.wrong("a reconstruction of something else", "a class that is known")),
                }
            }
            (Some(&Value::Global(class)), Some(Value::Tuple(_))) => class,
            _ => return Err(self.wrong("a call of something else", "a name called with a tuple")),
        };
        self.push(Value::Object(Box::new(Object { class, arguments, state: None, items: Vec::new() })))
    }

    fn build(&mut self) -> Result<(), FileError> {
        let (state, object) = (self.pop()?, self.top()?);
        match object.index().map(|index| &mut self.values[index]) {
            Some(Value::Object(object)) => {
                object.state = Some(state);
                Ok(())
            }
            _ => Err(self.wrong("a state given to something else", "an object")),
        }
    }

    fn set_items(&mut self, pairs: &[Ref]) -> Result<(), FileError> {
        let id = self.top()?;
        self.spend(8 * pairs.len())?;
        let (pairs, odd) = pairs.as_chunks::<2>();
        let added = pairs.iter().map(|&[key, value]| (key, value));
        match (id.index().map(|index| &mut self.values[index]), odd) {
            (Some(Value::Dict(items)), []) => items.extend(added),
            (Some(Value::Object(object)), []) => object.items.extend(added),
            _ => {
                return Err(
                    self.wrong("items set in something else, or a key without a value", "pairs for a dictionary")
                );
            }
        }
        Ok(())
    }

    fn remember(&mut self, slot: u64) -> Result<(), FileError> {
        let id = self.top()?;
        let slot =
            u32::try_from(slot).map_err(|_| self.wrong(format!("slot {slot} of the memo"), "slots below 2^32"))?;
        self.spend(8)?;
        match (slot as usize).cmp(&self.memo.first.len()) {
            std::cmp::Ordering::Less => self.memo.first[slot as usize] = id,
            std::cmp::Ordering::Equal => self.memo.first.push(id),
            std::cmp::Ordering::Greater => {
                self.spend(16)?;
                self.memo.others.insert(slot, id);
            }
        }
        Ok(())
    }

    fn recall(&mut self, slot: u64) -> Result<(), FileError> {
        let slot = u32::try_from(slot).unwrap_or(u32::MAX);
        let found = self.memo.first.get(slot as usize).or_else(|| self.memo.others.get(&slot)).copied();
        match found {
            Some(id) => self.push_inline(id),
            None => Err(self.wrong(format!("slot {slot} of the memo"), "slots filled before")),
        }
    }

    /// A little-endian whole number of any length.
    fn long(&mut self, length: usize) -> Result<(), FileError> {
        let bytes = self.take(length)?;
        let fill = if bytes.last().is_some_and(|&byte| byte > 127) { 255 } else { 0 };
        if bytes.iter().skip(8).any(|&byte| byte != fill) {
            return Err(self.wrong(format!("a whole number of {length} bytes"), "whole numbers of 64 bits"));
        }
        let mut wide = [fill; 8];
        let count = bytes.len().min(8);
        wide[..count].copy_from_slice(&bytes[..count]);
        self.push_int(i64::from_le_bytes(wide))
    }

    fn run(mut self) -> Result<Pickle<'a>, FileError> {
        loop {
            self.opcode = self.at;
            let opcode = self.take(1)?[0];
            match opcode {
                0x80 => match self.number::<1>()? {
                    0..=5 => (),
                    version => return Err(self.wrong(format!("pickle protocol {version}"), "protocols 0 to 5")),
                },
                // a frame says how much follows, which changes nothing
                0x95 => drop(self.number::<8>()?),
                b'.' => {
                    let root = self.pop()?;
                    let Self { path, part, bytes, decoded, values, made, .. } = self;
                    return Ok(Pickle { path, part, bytes, decoded, values, made, root });
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.global(module, name)?;
                }
                0x93 => self.stack_global()?,
                b'R' | 0x81 => self.call()?,
                b'Q' => {
                    let arguments = self.pop()?;
                    let object = Object { class: Class::Persistent, arguments, state: None, items: Vec::new() };
                    self.push(Value::Object(Box::new(object)))?;
                }
                b'b' => self.build()?,
                b'(' => {
                    self.spend(4)?;
                    self.marks.push(self.stack.len() as u32);
                }
                b'}' => self.push(Value::Dict(Vec::new()))?,
                b']' => self.push(Value::List(Vec::new()))?,
                b')' => self.push(Value::Tuple(Box::new([])))?,
                b't' => {
                    let items = self.since_mark()?;
                    self.push(Value::Tuple(items.into()))?;
                }
                b'l' => {
                    let items = self.since_mark()?;
                    self.push(Value::List(items))?;
                }
                b'd' => {
                    let items = self.since_mark()?;
                    self.push(Value::Dict(Vec::new()))?;
                    self.set_items(&items)?;
                }
                0x85 => self.tuple(1)?,
                0x86 => self.tuple(2)?,
                0x87 => self.tuple(3)?,
                b'a' => {
                    let item = self.pop()?;
                    self.append(&[item])?;
                }
                b'e' => {
                    let items = self.since_mark()?;
                    self.append(&items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set_items(&[key, value])?;
                }
                b'u' => {
                    let items = self.since_mark()?;
                    self.set_items(&items)?;
                }
                b'N' => self.push_inline(Ref::NOTHING)?,
                0x88 => self.push_inline(Ref::TRUE)?,
                0x89 => self.push_inline(Ref::FALSE)?,
                b'I' => match self.line()? {
                    b"00" => self.push_inline(Ref::FALSE)?,
                    b"01" => self.push_inline(Ref::TRUE)?,
                    line => {
                        self.at -= line.len() + 1;
                        let number = self.decimal()?;
                        self.push_int(number)?;
                    }
                },
                b'L' => {
                    let number = self.decimal()?;
                    self.push_int(number)?;
                }
                b'J' => {
                    let number = self.number::<4>()? as u32 as i32;
                    self.push_int(number.into())?;
                }
                b'K' => {
                    let number = self.number::<1>()?;
                    self.push_int(number as i64)?;
                }
                b'M' => {
                    let number = self.number::<2>()?;
                    self.push_int(number as i64)?;
                }
                0x8a => {
                    let length = self.length::<1>()?;
                    self.long(length)?;
                }
                0x8b => {
                    let length = self.length::<4>()?;
                    self.long(length)?;
                }
                b'F' => {
                    let number = self.decimal()?;
                    self.push(Value::Float(number))?;
                }
                b'G' => {
                    let number = f64::from_bits(self.number::<8>()?.swap_bytes());
                    self.push(Value::Float(number))?;
                }
                b'S' => self.quoted()?,
                b'V' => self.unicode()?,
                b'U' | b'C' | 0x8c => {
                    let length = self.length::<1>()?;
                    self.push_text(length)?;
                }
                b'T' | b'B' | b'X' => {
                    let length = self.length::<4>()?;
                    self.push_text(length)?;
                }
                0x8d | 0x8e | 0x96 => {
                    let length = self.length::<8>()?;
                    self.push_text(length)?;
                }
                b'q' => {
                    let slot = self.number::<1>()?;
                    self.remember(slot)?;
                }
                b'r' => {
                    let slot = self.number::<4>()?;
                    self.remember(slot)?;
                }
                b'p' => {
                    let slot = self.decimal()?;
                    self.remember(slot)?;
                }
                0x94 => {
                    let slot = self.memo.first.len() + self.memo.others.len();
                    self.remember(slot as u64)?;
                }
                b'h' => {
                    let slot = self.number::<1>()?;
                    self.recall(slot)?;
                }
                b'j' => {
                    let slot = self.number::<4>()?;
                    self.recall(slot)?;
                }
                b'g' => {
                    let slot = self.decimal()?;
                    self.recall(slot)?;
                }
                other => {
                    let found = format!("opcode 0x{other:02x}");
                    return Err(self.wrong(found, "the opcodes in which numpy and scipy write arrays"));
                }
            }
        }
    }
}
