//! The part of Python's pickle format in which Planetoid's files are written, and nothing more.
//!
//! A pickle is a program for a stack machine that may call anything. This one knows the opcodes that occur in those files;
//! it calls nothing: the six names it accepts become plain records of what was to be called with what. It builds at most one
//! value per byte read, never follows a value into another (so depth costs nothing), and refuses whatever else it meets with
//! the offset in the file.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use super::super::error::{GraphError, Origin};
use super::npy::Array;
use crate::user_item::data::excerpt;

/// The only things a pickle may name.
const GLOBALS: &[(&str, &str)] = &[
    ("scipy.sparse.csr", "csr_matrix"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("collections", "defaultdict"),
    ("__builtin__", "list"),
];

/// The place of a value among all values.
type Id = u32;

/// A value; what it consists of is elsewhere among all values.
#[derive(Clone, Debug)]
enum Value {
    Nothing,
    Bool(bool),
    Int(i64),
    /// A place in the file.
    Bytes(Range<usize>),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// One of [`GLOBALS`].
    Global(usize),
    /// What a name was called with, the state it was given, and its items.
    Object {
        class: usize,
        arguments: Id,
        state: Option<Id>,
        items: Vec<(Id, Id)>,
    },
}

/// A pickle that has been read.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    values: Vec<Value>,
    /// Where in the file each value was made.
    made: Vec<u32>,
    root: Id,
}

/// The machine while it runs.
struct Machine<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    at: usize,
    /// Offset of the opcode being carried out.
    opcode: usize,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    values: Vec<Value>,
    made: Vec<u32>,
}

impl<'a> Pickle<'a> {
    /// Reads a pickle.
    pub fn parse(path: &'a Path, bytes: &'a [u8]) -> Result<Self, GraphError> {
        if bytes.len() > u32::MAX as usize {
            return Err(Origin::file(path).limit("the size in bytes", bytes.len() as u64, u32::MAX.into()));
        }
        let (stack, marks, memo, values, made) = (Vec::new(), Vec::new(), HashMap::new(), Vec::new(), Vec::new());
        let machine = Machine { path, bytes, at: 0, opcode: 0, stack, marks, memo, values, made };
        machine.run()
    }

    fn value(&self, id: Id) -> &Value {
        &self.values[id as usize]
    }

    fn unfit(&self, id: Id, allowed: &str) -> GraphError {
        let found = match self.value(id) {
            Value::Nothing => "None".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Bytes(range) => format!("text {:?}", excerpt(&self.bytes[range.clone()])),
            Value::List(items) => format!("a list of {}", items.len()),
            Value::Tuple(items) => format!("a tuple of {}", items.len()),
            Value::Dict(items) => format!("a dictionary of {}", items.len()),
            Value::Global(class) | Value::Object { class, .. } => {
                format!("{} {}", GLOBALS[*class].0, GLOBALS[*class].1)
            }
        };
        Origin::byte(self.path, self.made[id as usize] as usize).malformed(found, allowed)
    }

    fn tuple<const N: usize>(&self, id: Id, allowed: &str) -> Result<[Id; N], GraphError> {
        match self.value(id) {
            Value::Tuple(items) => items[..].try_into().map_err(|_| self.unfit(id, allowed)),
            _ => Err(self.unfit(id, allowed)),
        }
    }

    fn integer(&self, id: Id, allowed: &str) -> Result<i64, GraphError> {
        if let Value::Int(value) = self.value(id) { Ok(*value) } else { Err(self.unfit(id, allowed)) }
    }

    fn text(&self, id: Id, allowed: &str) -> Result<&'a [u8], GraphError> {
        match self.value(id) {
            Value::Bytes(range) => Ok(&self.bytes[range.clone()]),
            _ => Err(self.unfit(id, allowed)),
        }
    }

    /// Arguments and state of an object of a class.
    fn object(&self, id: Id, class: &str, allowed: &str) -> Result<(Id, Id), GraphError> {
        match self.value(id) {
            Value::Object { class: found, arguments, state: Some(state), .. } if GLOBALS[*found].1 == class => {
                Ok((*arguments, *state))
            }
            _ => Err(self.unfit(id, allowed)),
        }
    }

    /// The whole as a numpy array.
    pub fn array(&self) -> Result<Array, GraphError> {
        self.array_at(self.root)
    }

    fn array_at(&self, id: Id) -> Result<Array, GraphError> {
        let allowed = "a numpy array with state (1, shape, dtype, False, bytes)";
        let (_, state) = self.object(id, "_reconstruct", allowed)?;
        let [_, shape, dtype, fortran, data] = self.tuple::<5>(state, allowed)?;
        let Value::Tuple(sides) = self.value(shape) else { return Err(self.unfit(shape, "a shape")) };
        if sides.len() > 2 {
            return Err(self.unfit(shape, "a shape of one or two sides"));
        }
        let side = |&side: &Id| {
            let length = self.integer(side, "a length")?;
            usize::try_from(length).map_err(|_| self.unfit(side, "a length from 0 up"))
        };
        let shape: Vec<usize> = sides.iter().map(side).collect::<Result<_, _>>()?;
        if !matches!(self.value(fortran), Value::Bool(false) | Value::Int(0)) && shape.len() > 1 {
            return Err(self.unfit(fortran, "row-major order"));
        }
        let (arguments, state) = self.object(dtype, "dtype", "a numpy dtype")?;
        let [name, _, _] = self.tuple::<3>(arguments, "three arguments of a dtype")?;
        let Value::Tuple(state) = self.value(state) else { return Err(self.unfit(state, "the state of a dtype")) };
        let order = state.get(1).ok_or_else(|| self.unfit(dtype, "a dtype with its byte order"))?;
        if !matches!(self.text(*order, "a byte order")?, b"<" | b"|") {
            return Err(self.unfit(*order, "little-endian byte order, `<`"));
        }
        let name = std::str::from_utf8(self.text(name, "the name of a dtype")?).unwrap_or("?");
        let origin = Origin::byte(self.path, self.made[id as usize] as usize);
        Array::raw(name, shape, self.text(data, "the bytes of an array")?, origin)
    }

    /// The whole as the arrays (shape, row starts, columns, values) of a `csr_matrix`.
    pub fn csr(&self) -> Result<[Array; 4], GraphError> {
        let allowed = "a scipy csr_matrix";
        let (_, state) = self.object(self.root, "csr_matrix", allowed)?;
        let Value::Dict(entries) = self.value(state) else { return Err(self.unfit(state, allowed)) };
        let get = |key: &str| {
            let named = |entry: &&(Id, Id)| matches!(self.text(entry.0, ""), Ok(name) if name == key.as_bytes());
            let entry = entries.iter().find(named);
            entry.map(|entry| entry.1).ok_or_else(|| self.unfit(state, &format!("a csr_matrix with {key}")))
        };
        let shape = get("_shape")?;
        let [rows, columns] = self.tuple::<2>(shape, "rows and columns")?;
        let mut sides = Vec::with_capacity(16);
        for side in [rows, columns] {
            sides.extend_from_slice(&self.integer(side, "a whole number")?.to_le_bytes());
        }
        let origin = Origin::byte(self.path, self.made[shape as usize] as usize);
        let shape = Array::raw("i8", vec![2], &sides, origin)?;
        Ok([shape, self.array_at(get("indptr")?)?, self.array_at(get("indices")?)?, self.array_at(get("data")?)?])
    }

    /// The whole as a dictionary of lists of nodes: all (node, neighbours), with the place of each in the file.
    ///
    /// Lists may be shared in a pickle; together they may not hold more than the file has bytes.
    pub fn adjacency(&self) -> Result<Vec<(i64, Vec<i64>, usize)>, GraphError> {
        let allowed = "a dictionary of node: [neighbours]";
        let items = match self.value(self.root) {
            Value::Object { class, items, .. } if GLOBALS[*class].1 == "defaultdict" => items,
            Value::Dict(items) => items,
            _ => return Err(self.unfit(self.root, allowed)),
        };
        let mut total = 0;
        let mut lists = Vec::with_capacity(items.len());
        for &(node, neighbours) in items {
            let Value::List(list) = self.value(neighbours) else { return Err(self.unfit(neighbours, allowed)) };
            total += list.len();
            if total > self.bytes.len() {
                let (total, bytes) = (total as u64, self.bytes.len() as u64);
                return Err(Origin::file(self.path).limit("the number of neighbours", total, bytes));
            }
            let list = list.iter().map(|&id| self.integer(id, "a node number")).collect::<Result<_, _>>()?;
            lists.push((self.integer(node, "a node number")?, list, self.made[node as usize] as usize));
        }
        Ok(lists)
    }
}

impl<'a> Machine<'a> {
    fn wrong(&self, found: impl Into<String>, allowed: &str) -> GraphError {
        Origin::byte(self.path, self.opcode).malformed(found, allowed)
    }

    fn take(&mut self, count: usize) -> Result<Range<usize>, GraphError> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.bytes.len());
        let Some(end) = end else {
            let left = self.bytes.len() - self.at;
            return Err(self.wrong(format!("{count} bytes announced, {left} left in the file"), "a whole pickle"));
        };
        let range = self.at..end;
        self.at = end;
        Ok(range)
    }

    fn number<const N: usize>(&mut self) -> Result<u32, GraphError> {
        let range = self.take(N)?;
        let mut wide = [0; 4];
        wide[..N].copy_from_slice(&self.bytes[range]);
        Ok(u32::from_le_bytes(wide))
    }

    fn line(&mut self) -> Result<&'a str, GraphError> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().take(256).position(|&byte| byte == b'\n');
        let line = end.and_then(|end| std::str::from_utf8(&rest[..end]).ok());
        let Some(line) = line else { return Err(self.wrong("a name without end", "a short line of text")) };
        self.at += line.len() + 1;
        Ok(line)
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len() as Id);
        self.values.push(value);
        self.made.push(self.opcode as u32);
    }

    /// The topmost value; nothing below the last mark may be taken.
    fn pop(&mut self) -> Result<Id, GraphError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len() > floor {
            true => Ok(self.stack.pop().expect("not empty")),
            false => Err(self.wrong("an opcode that finds no value on the stack", "a value for each operand")),
        }
    }

    fn top(&mut self) -> Result<Id, GraphError> {
        let id = self.pop()?;
        self.stack.push(id);
        Ok(id)
    }

    /// The values above the last mark, which goes.
    fn since_mark(&mut self) -> Result<Vec<Id>, GraphError> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark)),
            None => Err(self.wrong("an opcode that finds no mark", "a mark before it")),
        }
    }

    fn tuple(&mut self, count: usize) -> Result<(), GraphError> {
        let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        self.push(Value::Tuple(items));
        Ok(())
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), GraphError> {
        let id = self.top()?;
        match &mut self.values[id as usize] {
            Value::List(list) => {
                list.extend(items);
                Ok(())
            }
            _ => Err(self.wrong("items appended to something else", "a list")),
        }
    }

    fn global(&mut self) -> Result<(), GraphError> {
        let (module, name) = (self.line()?, self.line()?);
        let Some(known) = GLOBALS.iter().position(|&global| global == (module, name)) else {
            let names: Vec<String> = GLOBALS.iter().map(|(module, name)| format!("{module} {name}")).collect();
            return Err(self.wrong(format!("the name {module} {name}"), &names.join(", ")));
        };
        self.push(Value::Global(known));
        Ok(())
    }

    /// A call that is written down instead of made.
    fn call(&mut self) -> Result<(), GraphError> {
        let (arguments, class) = (self.pop()?, self.pop()?);
        match (&self.values[class as usize], &self.values[arguments as usize]) {
            (&Value::Global(class), Value::Tuple(_)) => {
                self.push(Value::Object { class, arguments, state: None, items: Vec::new() });
                Ok(())
            }
            _ => Err(self.wrong("a call of something else", "a name called with a tuple")),
        }
    }

    fn build(&mut self) -> Result<(), GraphError> {
        let (state, object) = (self.pop()?, self.top()?);
        match &mut self.values[object as usize] {
            Value::Object { state: given, .. } => {
                *given = Some(state);
                Ok(())
            }
            _ => Err(self.wrong("a state given to something else", "an object")),
        }
    }

    fn set_items(&mut self) -> Result<(), GraphError> {
        let pairs = self.since_mark()?;
        let id = self.top()?;
        let (pairs, odd) = pairs.as_chunks::<2>();
        let added = pairs.iter().map(|&[key, value]| (key, value));
        match (&mut self.values[id as usize], odd) {
            (Value::Dict(items) | Value::Object { items, .. }, []) => {
                items.extend(added);
                Ok(())
            }
            _ => Err(self.wrong("items set in something else, or a key without a value", "pairs for a dictionary")),
        }
    }

    fn remember(&mut self, slot: u32) -> Result<(), GraphError> {
        let id = self.top()?;
        self.memo.insert(slot, id);
        Ok(())
    }

    fn run(mut self) -> Result<Pickle<'a>, GraphError> {
        loop {
            self.opcode = self.at;
            let opcode = self.take(1)?;
            match self.bytes[opcode.start] {
                0x80 => match self.number::<1>()? {
                    2 => (),
                    version => return Err(self.wrong(format!("pickle protocol {version}"), "protocol 2")),
                },
                b'.' => {
                    let root = self.pop()?;
                    let Self { path, bytes, values, made, .. } = self;
                    return Ok(Pickle { path, bytes, values, made, root });
                }
                b'c' => self.global()?,
                b'R' | 0x81 => self.call()?,
                b'b' => self.build()?,
                b'(' => self.marks.push(self.stack.len()),
                b'}' => self.push(Value::Dict(Vec::new())),
                b']' => self.push(Value::List(Vec::new())),
                b')' => self.push(Value::Tuple(Vec::new())),
                b't' => {
                    let items = self.since_mark()?;
                    self.push(Value::Tuple(items));
                }
                0x85 => self.tuple(1)?,
                0x86 => self.tuple(2)?,
                0x87 => self.tuple(3)?,
                b'a' => {
                    let item = self.pop()?;
                    self.append(vec![item])?;
                }
                b'e' => {
                    let items = self.since_mark()?;
                    self.append(items)?;
                }
                b'u' => self.set_items()?,
                b'N' => self.push(Value::Nothing),
                0x88 => self.push(Value::Bool(true)),
                0x89 => self.push(Value::Bool(false)),
                b'J' => {
                    let number = self.number::<4>()? as i32;
                    self.push(Value::Int(number.into()));
                }
                b'K' => {
                    let number = self.number::<1>()?;
                    self.push(Value::Int(number.into()));
                }
                b'M' => {
                    let number = self.number::<2>()?;
                    self.push(Value::Int(number.into()));
                }
                b'T' => {
                    let length = self.number::<4>()?;
                    let bytes = self.take(length as usize)?;
                    self.push(Value::Bytes(bytes));
                }
                b'U' => {
                    let length = self.number::<1>()?;
                    let bytes = self.take(length as usize)?;
                    self.push(Value::Bytes(bytes));
                }
                b'q' => {
                    let slot = self.number::<1>()?;
                    self.remember(slot)?;
                }
                b'r' => {
                    let slot = self.number::<4>()?;
                    self.remember(slot)?;
                }
                b'h' => {
                    let slot = self.number::<1>()?;
                    match self.memo.get(&slot) {
                        Some(&id) => self.stack.push(id),
                        None => return Err(self.wrong(format!("slot {slot} of the memo"), "slots filled before")),
                    }
                }
                other => {
                    let found = format!("opcode 0x{other:02x}");
                    return Err(self.wrong(found, "the opcodes of Planetoid's files (pickle protocol 2)"));
                }
            }
        }
    }
}
