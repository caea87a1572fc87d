//! Python pickles, read within limits: a pickle is a program, and the file is untrusted.
//!
//! `serde_pickle` runs no foreign code, but it recurses as deep as the values are nested, and
//! `DUP`, `GET` or a byte of `MARK` make it allocate far more than the file holds. A first
//! pass over the opcodes (`scan`) therefore refuses what would overflow the stack or the
//! memory, before the second pass builds anything.

mod array;
mod scan;

use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use serde_pickle::{DeOptions, Deserializer, HashableValue};

pub(super) use array::{Array, arrays, bytes, integers, texts};
pub(super) use serde_pickle::Value;

use super::archive::open_file;
use crate::EpisodeError;

/// What stays of a value that was taken out.
pub(super) const NOTHING: Value = Value::None;

/// The pictures of tieredImageNet's training split take about 6 GiB.
const MAX_FILE_BYTES: u64 = 16 << 30;

/// What to do about another protocol. Texts of Python 2 may be bytes of any kind, which latin1
/// keeps as they are.
const CONVERT: &str = "if you trust the file, convert it (FILE is its name): python3 -c \"import \
                       pickle; o = pickle.load(open('FILE', 'rb'), encoding='latin1'); \
                       pickle.dump(o, open('FILE', 'wb'), 4)\"";

/// Names of entries and classes, which messages quote.
const MAX_NAME: usize = 100;

/// Reads a pickle file of protocol 2, 3 or 4.
pub(super) fn read(path: &Path) -> Result<Value, EpisodeError> {
    let bad = |cause: String| EpisodeError::unreadable(path, cause);
    let file = open_file(path).map_err(bad)?;
    read_from(&mut BufReader::new(file)).map_err(bad)
}

/// Reads the pickle that fills the rest of a file.
pub(super) fn read_from<R: Read + Seek>(reader: &mut BufReader<R>) -> Result<Value, String> {
    let io = |cause: std::io::Error| cause.to_string();
    let start = reader.stream_position().map_err(io)?;
    let end = reader.seek(SeekFrom::End(0)).map_err(io)?;
    reader.seek(SeekFrom::Start(start)).map_err(io)?;
    let len = end.saturating_sub(start);
    if len > MAX_FILE_BYTES {
        return Err(format!(
            "a pickle of {len} bytes, expected at most {MAX_FILE_BYTES}"
        ));
    }
    check_protocol(reader)?;
    reader.seek(SeekFrom::Start(start)).map_err(io)?;
    scan::check(reader, len)?;
    reader.seek(SeekFrom::Start(start)).map_err(io)?;
    // NumPy's dtype is a class that is not known here: it becomes None.
    let options = DeOptions::new().replace_unresolved_globals();
    Deserializer::new(reader, options)
        .deserialize_value()
        .map_err(|cause| shortened(&cause.to_string()))
}

fn check_protocol(reader: &mut impl Read) -> Result<(), String> {
    let mut head = [0u8; 2];
    reader
        .read_exact(&mut head)
        .map_err(|_| "an empty file, expected a pickle".to_owned())?;
    match head {
        [0x80, 2..=4] => Ok(()),
        [0x80, protocol] => Err(format!(
            "a pickle of protocol {protocol}, expected 2 to 4; {CONVERT}"
        )),
        // Protocols 0 and 1 have no mark of their own.
        _ => Err(format!(
            "no pickle of protocol 2 to 4, whose first byte is 0x80; if it is one of protocol 0 \
             or 1: {CONVERT}"
        )),
    }
}

/// Messages of the decoder may quote whole values.
fn shortened(message: &str) -> String {
    message.chars().take(200).collect()
}

/// Entries of a dictionary by name; Python 2 wrote names as bytes.
pub(super) struct Fields(Vec<(String, Value)>);

impl Fields {
    /// The entries of a value that should be a dictionary with names for keys.
    pub(super) fn of(value: Value) -> Result<Self, String> {
        let Value::Dict(entries) = value else {
            return Err("expected a dictionary".to_owned());
        };
        let named = |(key, value)| match key {
            HashableValue::String(name) if name.len() <= MAX_NAME => Ok((name, value)),
            HashableValue::Bytes(name) if name.len() <= MAX_NAME => {
                Ok((String::from_utf8_lossy(&name).into_owned(), value))
            }
            _ => Err(format!(
                "a dictionary with a key that is no name of at most {MAX_NAME} bytes"
            )),
        };
        entries
            .into_iter()
            .map(named)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Takes an entry out.
    pub(super) fn take(&mut self, name: &str) -> Result<Value, String> {
        let position = self.0.iter().position(|(key, _)| key == name);
        position
            .map(|position| self.0.swap_remove(position).1)
            .ok_or_else(|| {
                let keys: Vec<&str> = self.0.iter().map(|(key, _)| key.as_str()).take(8).collect();
                format!("no key {name}, only {keys:?}")
            })
    }
}

impl IntoIterator for Fields {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
