//! Tensors in a pickle that PyTorch wrote: names, shapes, and where their numbers are.

use super::value::{Class, Ref, Value};
use super::{FileError, Origin, Pickle};

/// Dictionaries within dictionaries that are followed.
const DEPTH: usize = 8;

/// A tensor whose numbers are in another member of the archive.
#[derive(Debug)]
pub(crate) struct Stored {
    /// The names of the dictionaries and its own, with dots between.
    pub name: String,
    /// The member's name below `data/`.
    pub key: String,
    /// torch's name of the storage, `FloatStorage` say.
    pub storage: &'static str,
    /// The first number, and the steps from one to the next along each axis.
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
    pub origin: Origin,
}

impl Pickle<'_> {
    /// All tensors of a dictionary, and of the dictionaries in it; other values are passed over.
    pub(crate) fn tensors(&self) -> Result<Vec<Stored>, FileError> {
        let mut found = Vec::new();
        let mut open = vec![(String::new(), self.root, 0)];
        let mut seen = 0;
        while let Some((path, id, depth)) = open.pop() {
            let Some(items) = self.dictionary(id) else {
                if depth == 0 {
                    return Err(self.unfit(id, "a dictionary of tensors (a state_dict)"));
                }
                continue;
            };
            seen += items.len();
            if seen > self.bytes.len() {
                let (seen, most) = (seen as u64, self.bytes.len() as u64);
                return Err(self.origin(id).limit("the number of entries of dictionaries", seen, most));
            }
            for (key, value) in items.into_iter().rev() {
                let Ok(key) = self.text(key, "a name") else { continue };
                let key = String::from_utf8_lossy(key);
                let name = if path.is_empty() { key.into_owned() } else { format!("{path}.{key}") };
                match self.tensor(&name, value)? {
                    Some(tensor) => found.push(tensor),
                    None if depth < DEPTH => open.push((name, value, depth + 1)),
                    None => (),
                }
            }
        }
        Ok(found)
    }

    fn dictionary(&self, id: Ref) -> Option<Vec<(Ref, Ref)>> {
        match self.value(id) {
            Value::Dict(items) => Some(items),
            Value::Object(object) if object.class == Class::OrderedDict => Some(object.items),
            _ => None,
        }
    }

    /// The tensor, if the value is one.
    fn tensor(&self, name: &str, id: Ref) -> Result<Option<Stored>, FileError> {
        let allowed = "a tensor (storage, offset, shape, strides, ..)";
        let Value::Object(object) = self.value(id) else { return Ok(None) };
        let Value::Tuple(arguments) = self.value(object.arguments) else { return Ok(None) };
        match (object.class, &*arguments) {
            (Class::Parameter, [tensor, ..]) => self.tensor(name, *tensor),
            (Class::Tensor, [storage, offset, shape, strides, ..]) => {
                let Value::Object(held) = self.value(*storage) else { return Err(self.unfit(*storage, allowed)) };
                if held.class != Class::Persistent {
                    return Err(self.unfit(*storage, allowed));
                }
                // ("storage", type, key, device, number of elements)
                let [_, kind, key, _, _] = self.tuple::<5>(held.arguments, "a storage")?;
                let Value::Global(Class::Storage(kind)) = self.value(kind) else {
                    return Err(self.unfit(kind, "a type of storage"));
                };
                let key = String::from_utf8_lossy(self.text(key, "the name of a storage")?).into_owned();
                let offset = self.integer(*offset, "an offset")?;
                let offset = usize::try_from(offset).map_err(|_| self.unfit(id, "an offset from 0 up"))?;
                let (sides, steps) = (self.shape(*shape)?, self.shape(*strides)?);
                if sides.len() != steps.len() {
                    return Err(self.unfit(*strides, "as many strides as axes"));
                }
                let origin = self.origin(id);
                Ok(Some(Stored { name: name.into(), key, storage: kind, offset, shape: sides, strides: steps, origin }))
            }
            _ => Ok(None),
        }
    }
}
