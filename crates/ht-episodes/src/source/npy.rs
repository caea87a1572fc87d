//! The header of a NumPy array file: enough to read raw bytes of a known layout.
//!
//! Only `|b1`, `|u1` and object arrays in C order are known. A general reader would turn each
//! byte of a bool array into a Rust `bool`, but Omniglot's npz files store 255 for true.

use std::io::Read;

/// What the header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NpyHeader {
    pub(super) shape: Vec<usize>,
    pub(super) element: NpyElement,
}

/// What an array holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NpyElement {
    /// One byte each, 0 or 1 (or 255 for true).
    Bool,
    /// One byte each.
    Byte,
    /// Python objects: a pickle follows the header.
    Object,
}

/// The header dictionary is a line of text; a longer one is no array of ours.
const MAX_HEADER: usize = 4096;

/// Reads the header and leaves the reader at the first byte of the data.
pub(super) fn read_header(reader: &mut impl Read) -> Result<NpyHeader, String> {
    let mut magic = [0u8; 8];
    reader
        .read_exact(&mut magic)
        .map_err(|cause| format!("npy header: {cause}"))?;
    if &magic[..6] != b"\x93NUMPY" {
        return Err("no npy array: expected the magic bytes \\x93NUMPY".to_owned());
    }
    let length_bytes = if magic[6] == 1 { 2 } else { 4 };
    let mut length = [0u8; 4];
    reader
        .read_exact(&mut length[..length_bytes])
        .map_err(|cause| format!("npy header: {cause}"))?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_HEADER {
        return Err(format!(
            "npy header of {length} bytes, expected at most {MAX_HEADER}"
        ));
    }
    let mut text = vec![0u8; length];
    reader
        .read_exact(&mut text)
        .map_err(|cause| format!("npy header: {cause}"))?;
    parse_header(&String::from_utf8_lossy(&text))
}

fn parse_header(text: &str) -> Result<NpyHeader, String> {
    let value_of = |key: &str| {
        let start = text.find(&format!("'{key}':"))? + key.len() + 3;
        Some(text[start..].trim_start())
    };
    let descr = value_of("descr").ok_or("npy header without 'descr'")?;
    let element = match descr.get(..4) {
        Some("'|b1") => NpyElement::Bool,
        Some("'|u1") => NpyElement::Byte,
        Some("'|O'") => NpyElement::Object,
        _ => return Err("npy array of another type, expected |b1 or |u1".to_owned()),
    };
    if !value_of("fortran_order").is_some_and(|order| order.starts_with("False")) {
        return Err("npy array in Fortran order, expected C order".to_owned());
    }
    let shape = value_of("shape")
        .and_then(|shape| shape.strip_prefix('('))
        .and_then(|shape| shape.split(')').next())
        .ok_or("npy header without 'shape'")?;
    let shape = shape
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty())
        .map(|size| size.parse().map_err(|_| format!("npy shape ({shape})")))
        .collect::<Result<_, _>>()?;
    Ok(NpyHeader { shape, element })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(dictionary: &str) -> Result<NpyHeader, String> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((dictionary.len() as u16).to_le_bytes());
        bytes.extend(dictionary.as_bytes());
        read_header(&mut bytes.as_slice())
    }

    #[test]
    fn reads_numpy_headers() {
        let text = "{'descr': '|b1', 'fortran_order': False, 'shape': (964, 20, 105, 105), }";
        assert_eq!(header(text).expect("valid").shape, [964, 20, 105, 105]);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for text in [
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
            "{'descr': '|b1', 'fortran_order': True, 'shape': (3,), }",
            "{'descr': '|b1', 'fortran_order': False, 'shape': (99999999999999999999,), }",
            "{'descr': '|b1', 'fortran_order': False}",
            "",
        ] {
            assert!(header(text).is_err(), "{text}");
        }
        assert!(read_header(&mut b"\x93NUMPY\x02\x00\xff\xff\xff\xff".as_slice()).is_err());
        assert!(read_header(&mut b"PK".as_slice()).is_err());
    }
}
