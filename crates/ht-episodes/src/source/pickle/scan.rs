//! A pass over a pickle's opcodes that builds nothing: it follows how deep values nest and how
//! much memory they will take, and refuses what is too much.

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Seek};

/// A list of arrays in a dictionary nests six deep.
const MAX_DEPTH: u32 = 32;
/// Memory that a pickle may take besides four times its own length.
const FREE_BYTES: u64 = 256 << 20;
/// What a value takes besides its bytes: itself, its place on the stack, spare capacity.
const VALUE_BYTES: u64 = 96;
/// What the decoder reserves for the values above a mark.
const MARK_BYTES: u64 = 8192;
/// Names of modules and functions.
const MAX_LINE: usize = 256;

/// What the decoder distinguishes: its message about a wrong kind would quote the whole value.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Tuple,
    List,
    Dict,
    Global,
    Other,
}

/// Where the length of a value without parts stands.
enum Length {
    Known(u64),
    Byte,
    FourBytes,
    EightBytes,
}

/// The opcodes that make a value without parts: numbers, bytes, texts, empty containers.
fn atom_of(opcode: u8) -> Option<(Kind, Length)> {
    Some(match opcode {
        b'N' | 0x88 | 0x89 => (Kind::Other, Length::Known(0)),
        b'K' => (Kind::Other, Length::Known(1)),
        b'M' => (Kind::Other, Length::Known(2)),
        b'J' => (Kind::Other, Length::Known(4)),
        b'G' => (Kind::Other, Length::Known(8)),
        0x8a | b'C' | b'U' => (Kind::Other, Length::Byte),
        b'B' | b'T' => (Kind::Other, Length::FourBytes),
        0x8e => (Kind::Other, Length::EightBytes),
        0x8c => (Kind::Text, Length::Byte),
        b'X' => (Kind::Text, Length::FourBytes),
        0x8d => (Kind::Text, Length::EightBytes),
        b')' => (Kind::Tuple, Length::Known(0)),
        b']' => (Kind::List, Length::Known(0)),
        b'}' => (Kind::Dict, Length::Known(0)),
        _ => return None,
    })
}

/// What is known about a value on the stack: enough to refuse it.
#[derive(Clone, Copy)]
struct Item {
    kind: Kind,
    depth: u32,
    bytes: u64,
    in_memo: bool,
}

/// Checks the pickle of `len` bytes that starts at the reader's position.
pub(super) fn check<R: Read + Seek>(reader: &mut BufReader<R>, len: u64) -> Result<(), String> {
    let mut scan = Scan {
        reader,
        left: len,
        budget: FREE_BYTES.saturating_add(len.saturating_mul(4)),
        stack: Vec::new(),
        below: Vec::new(),
        memo: BTreeMap::new(),
    };
    while !scan.step()? {}
    Ok(())
}

struct Scan<'a, R> {
    reader: &'a mut BufReader<R>,
    /// Bytes of the file that were not looked at.
    left: u64,
    /// Bytes of memory that may still be taken.
    budget: u64,
    stack: Vec<Item>,
    /// The stacks below the marks.
    below: Vec<Vec<Item>>,
    memo: BTreeMap<u32, Item>,
}

impl<R: Read + Seek> Scan<'_, R> {
    /// Follows one opcode; true at the end of the pickle.
    fn step(&mut self) -> Result<bool, String> {
        let [opcode] = self.bytes()?;
        if let Some((kind, length)) = atom_of(opcode) {
            let n = match length {
                Length::Known(n) => n,
                Length::Byte => u8::from_le_bytes(self.bytes()?).into(),
                Length::FourBytes => u32::from_le_bytes(self.bytes()?).into(),
                Length::EightBytes => u64::from_le_bytes(self.bytes()?),
            };
            self.atom(kind, n)?;
            return Ok(false);
        }
        match opcode {
            b'.' => {
                self.pop()?;
                return Ok(true);
            }
            // The protocol and the length of a frame say nothing new.
            0x80 => drop(self.bytes::<1>()?),
            0x95 => drop(self.bytes::<8>()?),
            b'(' => {
                if self.below.len() as u32 >= MAX_DEPTH {
                    return Err(too_deep());
                }
                self.charge(MARK_BYTES)?;
                self.below.push(std::mem::take(&mut self.stack));
            }
            0x85..=0x87 => {
                let n = usize::from(opcode - 0x84);
                let start = self.stack.len().checked_sub(n).ok_or_else(underflow)?;
                let items = self.stack.split_off(start);
                self.tuple(&items)?;
            }
            b't' => {
                let items = self.pop_mark()?;
                self.tuple(&items)?;
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(Kind::List, &[item])?;
            }
            b'e' => {
                let items = self.pop_mark()?;
                self.extend(Kind::List, &items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.extend(Kind::Dict, &[key, value])?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.extend(Kind::Dict, &items)?;
            }
            b'c' => {
                self.line()?;
                self.line()?;
                self.atom(Kind::Global, 0)?;
            }
            0x93 => {
                self.pop_kind(Kind::Text)?;
                self.pop_kind(Kind::Text)?;
                self.atom(Kind::Global, 0)?;
            }
            b'R' => self.reduce()?,
            b'b' => {
                let state = self.pop()?;
                self.pop()?;
                self.push(state);
            }
            b'q' => {
                let [id] = self.bytes()?;
                self.put(id.into())?;
            }
            b'r' => {
                let id = u32::from_le_bytes(self.bytes()?);
                self.put(id)?;
            }
            0x94 => self.put(self.memo.len() as u32)?,
            b'h' => {
                let [id] = self.bytes()?;
                self.get(id.into())?;
            }
            b'j' => {
                let id = u32::from_le_bytes(self.bytes()?);
                self.get(id)?;
            }
            _ => {
                return Err(format!(
                    "a pickle with opcode {opcode:#04x}, expected arrays, lists, dictionaries, \
                     texts and numbers"
                ));
            }
        }
        Ok(false)
    }

    /// The next bytes of the file.
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.left = self.left.checked_sub(N as u64).ok_or_else(cut_short)?;
        self.reader
            .read_exact(&mut bytes)
            .map_err(|_| cut_short())?;
        Ok(bytes)
    }

    /// Passes over the `n` bytes of a value without parts and pushes it.
    fn atom(&mut self, kind: Kind, n: u64) -> Result<(), String> {
        self.left = self.left.checked_sub(n).ok_or_else(cut_short)?;
        let offset = i64::try_from(n).map_err(|_| cut_short())?;
        self.reader
            .seek_relative(offset)
            .map_err(|cause| cause.to_string())?;
        let bytes = VALUE_BYTES + n;
        self.charge(bytes)?;
        self.push(Item {
            kind,
            depth: 1,
            bytes,
            in_memo: false,
        });
        Ok(())
    }

    fn line(&mut self) -> Result<(), String> {
        for _ in 0..MAX_LINE {
            if self.bytes()? == [b'\n'] {
                return Ok(());
            }
        }
        Err(format!("a pickle with a name of over {MAX_LINE} bytes"))
    }

    fn tuple(&mut self, items: &[Item]) -> Result<(), String> {
        self.charge(VALUE_BYTES)?;
        self.push(Item {
            kind: Kind::Tuple,
            depth: 1,
            bytes: VALUE_BYTES,
            in_memo: false,
        });
        self.extend(Kind::Tuple, items)
    }

    /// Puts items into the container on top of the stack.
    fn extend(&mut self, kind: Kind, items: &[Item]) -> Result<(), String> {
        let top = self.stack.last_mut().ok_or_else(underflow)?;
        if top.kind != kind {
            return Err(mismatch());
        }
        for item in items {
            top.depth = top.depth.max(item.depth + 1);
            top.bytes = top.bytes.saturating_add(item.bytes);
        }
        if top.depth > MAX_DEPTH {
            return Err(too_deep());
        }
        Ok(())
    }

    /// Calls a function: nothing runs, but the arguments are copied, and some results are made
    /// of them.
    fn reduce(&mut self) -> Result<(), String> {
        let arguments = self.pop_kind(Kind::Tuple)?;
        self.pop_kind(Kind::Global)?;
        self.charge(arguments.bytes)?;
        self.push(Item {
            kind: Kind::Other,
            in_memo: false,
            ..arguments
        });
        Ok(())
    }

    fn put(&mut self, id: u32) -> Result<(), String> {
        self.charge(VALUE_BYTES)?;
        let top = self.stack.last_mut().ok_or_else(underflow)?;
        // Neither is written by Python; the decoder would copy the value, or change what
        // earlier references mean.
        if top.in_memo || self.memo.contains_key(&id) {
            return Err("a pickle that stores a value twice".to_owned());
        }
        top.in_memo = true;
        self.memo.insert(id, *top);
        Ok(())
    }

    /// Each further use of a value is a copy of it.
    fn get(&mut self, id: u32) -> Result<(), String> {
        let item = *self
            .memo
            .get(&id)
            .ok_or_else(|| format!("a pickle that uses value {id} before it stores it"))?;
        // What can still grow has no known size.
        if matches!(item.kind, Kind::List | Kind::Dict) {
            return Err("a pickle with one list or dictionary in two places".to_owned());
        }
        self.charge(item.bytes)?;
        self.push(item);
        Ok(())
    }

    fn charge(&mut self, bytes: u64) -> Result<(), String> {
        let left = self.budget.checked_sub(bytes);
        self.budget = left.ok_or("a pickle that unpacks to far more than its length")?;
        Ok(())
    }

    fn push(&mut self, item: Item) {
        self.stack.push(item);
    }

    fn pop(&mut self) -> Result<Item, String> {
        self.stack.pop().ok_or_else(underflow)
    }

    fn pop_kind(&mut self, kind: Kind) -> Result<Item, String> {
        let item = self.pop()?;
        if item.kind == kind {
            Ok(item)
        } else {
            Err(mismatch())
        }
    }

    fn pop_mark(&mut self) -> Result<Vec<Item>, String> {
        let below = self.below.pop().ok_or_else(underflow)?;
        Ok(std::mem::replace(&mut self.stack, below))
    }
}

fn underflow() -> String {
    "a pickle that takes values it never made".to_owned()
}

fn cut_short() -> String {
    "a pickle that is cut short".to_owned()
}

fn mismatch() -> String {
    "a pickle that takes one kind of value for another".to_owned()
}

fn too_deep() -> String {
    format!("a pickle that nests deeper than {MAX_DEPTH}")
}

#[cfg(test)]
mod tests;
