//! Pickles as Python and NumPy write them, opcode by opcode: the tests need files of the real
//! layouts, and no Python.

use std::collections::HashMap;

/// Who wrote the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Dialect {
    /// Python 2, protocol 2: texts are bytes.
    Python2,
    /// Python 3, protocol 2: bytes are encoded texts.
    Protocol2,
    /// Python 3, protocol 4.
    Protocol4,
}

/// A Python value.
#[derive(Clone, Debug)]
pub(crate) enum Py {
    Int(i64),
    Text(String),
    List(Vec<Py>),
    Dict(Vec<(Py, Py)>),
    /// A NumPy array: its type, shape and raw data.
    Array(&'static str, Vec<usize>, Vec<u8>),
    /// A NumPy array of objects.
    Objects(Vec<Py>),
}

pub(crate) fn text(text: &str) -> Py {
    Py::Text(text.to_owned())
}

pub(crate) fn ints(numbers: &[i64]) -> Py {
    Py::List(numbers.iter().copied().map(Py::Int).collect())
}

pub(crate) fn dict(entries: Vec<(&str, Py)>) -> Py {
    let entries = entries.into_iter().map(|(key, value)| (text(key), value));
    Py::Dict(entries.collect())
}

pub(crate) fn pickle(dialect: Dialect, value: &Py) -> Vec<u8> {
    let mut writer = Writer {
        dialect,
        out: Vec::new(),
        stored: HashMap::new(),
        n_stored: 0,
    };
    if dialect == Dialect::Protocol4 {
        writer.out.extend([0x80, 4, 0x95]);
        writer.out.extend([0; 8]);
    } else {
        writer.out.extend([0x80, 2]);
    }
    writer.value(value);
    writer.out.push(b'.');
    writer.out
}

struct Writer {
    dialect: Dialect,
    out: Vec<u8>,
    /// Numbers of texts, globals and types that are written once.
    stored: HashMap<String, u32>,
    n_stored: u32,
}

impl Writer {
    fn value(&mut self, value: &Py) {
        match value {
            Py::Int(number) => self.int(*number),
            Py::Text(text) => self.text(text),
            Py::List(items) => {
                self.out.push(b']');
                self.put();
                for items in items.chunks(1000) {
                    self.out.push(b'(');
                    for item in items {
                        self.value(item);
                    }
                    self.out.push(b'e');
                }
            }
            Py::Dict(entries) => {
                self.out.push(b'}');
                self.put();
                self.out.push(b'(');
                for (key, value) in entries {
                    self.value(key);
                    self.value(value);
                }
                self.out.push(b'u');
            }
            Py::Array(kind, shape, data) => self.array(kind, shape, |writer| writer.bytes(data)),
            Py::Objects(items) => {
                let list = Py::List(items.clone());
                self.array("O8", &[items.len()], |writer| writer.value(&list));
            }
        }
    }

    /// Stores the value on top of the stack.
    fn put(&mut self) {
        match (self.dialect, self.n_stored) {
            (Dialect::Protocol4, _) => self.out.push(0x94),
            (_, id @ 0..256) => self.out.extend([b'q', id as u8]),
            (_, id) => {
                self.out.push(b'r');
                self.out.extend(id.to_le_bytes());
            }
        }
        self.n_stored += 1;
    }

    /// Writes a value that was stored under a key; false if there is none.
    fn get(&mut self, key: &str) -> bool {
        match self.stored.get(key) {
            None => return false,
            Some(id @ 0..256) => self.out.extend([b'h', *id as u8]),
            Some(id) => {
                self.out.push(b'j');
                self.out.extend(id.to_le_bytes());
            }
        }
        true
    }

    fn put_as(&mut self, key: &str) {
        self.stored.insert(key.to_owned(), self.n_stored);
        self.put();
    }

    fn int(&mut self, number: i64) {
        match number {
            0..256 => self.out.extend([b'K', number as u8]),
            256..65536 => {
                self.out.push(b'M');
                self.out.extend((number as u16).to_le_bytes());
            }
            _ => {
                self.out.push(b'J');
                self.out.extend((number as i32).to_le_bytes());
            }
        }
    }

    fn text(&mut self, text: &str) {
        let key = format!("text {text}");
        if self.get(&key) {
            return;
        }
        match self.dialect {
            Dialect::Python2 => self.counted(b'U', b'T', text.as_bytes()),
            Dialect::Protocol2 => self.counted(b'X', b'X', text.as_bytes()),
            Dialect::Protocol4 => self.counted(0x8c, b'X', text.as_bytes()),
        }
        self.put_as(&key);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        match self.dialect {
            Dialect::Python2 => self.counted(b'U', b'T', bytes),
            Dialect::Protocol4 => self.counted(b'C', b'B', bytes),
            Dialect::Protocol2 => {
                self.global("_codecs", "encode");
                let latin: String = bytes.iter().map(|&byte| char::from(byte)).collect();
                self.counted(b'X', b'X', latin.as_bytes());
                self.put();
                self.text("latin1");
                self.out.push(0x86);
                self.put();
                self.out.push(b'R');
            }
        }
        self.put();
    }

    fn counted(&mut self, short: u8, long: u8, bytes: &[u8]) {
        if bytes.len() < 256 && short != long {
            self.out.extend([short, bytes.len() as u8]);
        } else {
            self.out.push(long);
            self.out.extend((bytes.len() as u32).to_le_bytes());
        }
        self.out.extend(bytes);
    }

    fn global(&mut self, module: &str, name: &str) {
        let key = format!("global {module} {name}");
        if self.get(&key) {
            return;
        }
        if self.dialect == Dialect::Protocol4 {
            self.text(module);
            self.text(name);
            self.out.push(0x93);
        } else {
            self.out.extend(format!("c{module}\n{name}\n").bytes());
        }
        self.put_as(&key);
    }

    fn array(&mut self, kind: &str, shape: &[usize], data: impl FnOnce(&mut Self)) {
        self.global("numpy.core.multiarray", "_reconstruct");
        self.global("numpy", "ndarray");
        self.out.extend([b'K', 0, 0x85]);
        self.put();
        if !self.get("bytes b") {
            self.bytes(b"b");
            self.stored.insert("bytes b".to_owned(), self.n_stored - 1);
        }
        self.out.push(0x87);
        self.put();
        self.out.push(b'R');
        self.put();
        self.out.extend([b'(', b'K', 1]);
        self.out.push(b'(');
        for &size in shape {
            self.int(size as i64);
        }
        self.out.push(b't');
        self.put();
        self.kind(kind);
        self.out.push(0x89);
        data(self);
        self.out.push(b't');
        self.put();
        self.out.push(b'b');
    }

    /// A dtype: written in full once, then by its number.
    fn kind(&mut self, kind: &str) {
        let key = format!("dtype {kind}");
        if self.get(&key) {
            return;
        }
        self.global("numpy", "dtype");
        self.text(kind);
        self.out.extend([0x89, 0x88, 0x87]);
        self.put();
        self.out.push(b'R');
        self.put_as(&key);
        self.out.extend([b'(', b'K', 3]);
        self.text(if kind == "i8" { "<" } else { "|" });
        self.out.extend(*b"NNN");
        self.out.extend(*b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\0t");
        self.put();
        self.out.push(b'b');
    }
}
