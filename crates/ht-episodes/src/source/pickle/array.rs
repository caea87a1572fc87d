//! NumPy arrays inside pickles: the state that an array is restored from.
//!
//! The state is (1, shape, dtype, is Fortran order, data). The dtype itself cannot be read, a
//! repeated one not even in part: the size of an element follows from the data's length.

use serde_pickle::Value;

use crate::source::decode::check_images;

/// Arrays have no more elements than this, whatever their shape says.
const MAX_ELEMENTS: usize = 1 << 40;

/// An array of numbers in C order.
pub(in crate::source) struct Array {
    shape: Vec<usize>,
    data: Vec<u8>,
    /// Bytes of one element.
    width: usize,
}

impl Array {
    /// Reads a restored array of numbers.
    pub(in crate::source) fn of(value: Value) -> Result<Self, String> {
        let (shape, state) = state(value)?;
        let Value::Bytes(data) = state else {
            return Err("an array without bytes, expected an array of numbers".to_owned());
        };
        let elements = elements(&shape)?;
        let width = data.len().checked_div(elements).unwrap_or(1);
        if width * elements != data.len() || ![1, 2, 4, 8].contains(&width) {
            return Err(format!(
                "an array of shape {shape:?} with {} bytes",
                data.len()
            ));
        }
        Ok(Self { shape, data, width })
    }

    /// The elements of an array of bytes.
    pub(in crate::source) fn into_bytes(self) -> Result<Vec<u8>, String> {
        if self.width == 1 {
            Ok(self.data)
        } else {
            Err(format!(
                "an array of {}-byte numbers, expected uint8",
                self.width
            ))
        }
    }

    /// Number and H, W, C of the pictures in an array [images, H, W, C] or [images, H, W].
    pub(in crate::source) fn pictures(&self) -> Result<(usize, [usize; 3]), String> {
        let (images, sides) = match *self.shape.as_slice() {
            [images, height, width] => (images, [height, width, 1]),
            [images, height, width, channels] => (images, [height, width, channels]),
            _ => {
                return Err(format!(
                    "an array of shape {:?}, expected [images, height, width, channels]",
                    self.shape
                ));
            }
        };
        check_images(images)?;
        Ok((images, sides))
    }

    fn integers(&self) -> Vec<i64> {
        let number = |bytes: &[u8]| {
            let is_negative = bytes.last().is_some_and(|&top| top >= 0x80);
            // A byte is unsigned as everywhere in these files, the rest signed.
            let fill = if is_negative && self.width > 1 {
                0xff
            } else {
                0
            };
            let mut padded = [fill; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            i64::from_le_bytes(padded)
        };
        self.data.chunks_exact(self.width).map(number).collect()
    }
}

/// The bytes of an array of bytes, of any shape.
pub(in crate::source) fn bytes(value: Value) -> Result<Vec<u8>, String> {
    Array::of(value)?.into_bytes()
}

/// A list, tuple or array of whole numbers.
pub(in crate::source) fn integers(value: Value) -> Result<Vec<i64>, String> {
    match value {
        Value::List(items) => items
            .into_iter()
            .map(|item| match item {
                Value::I64(number) => Ok(number),
                _ => Err("a list with something else than whole numbers".to_owned()),
            })
            .collect(),
        value => Ok(Array::of(value)?.integers()),
    }
}

/// A list of texts.
pub(in crate::source) fn texts(value: Value) -> Result<Vec<String>, String> {
    let Value::List(items) = value else {
        return Err("expected a list of texts".to_owned());
    };
    let text = |item| match item {
        Value::String(text) => Ok(text),
        Value::Bytes(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
        _ => Err("a list with something else than texts".to_owned()),
    };
    items.into_iter().map(text).collect()
}

/// The elements of a list of arrays, or of an array of arrays.
pub(in crate::source) fn arrays(value: Value) -> Result<Vec<Value>, String> {
    match value {
        Value::List(items) => Ok(items),
        value => match state(value)? {
            (_, Value::List(items)) => Ok(items),
            _ => Err("an array of numbers, expected a list or array of arrays".to_owned()),
        },
    }
}

/// Shape and elements of an array in C order.
fn state(value: Value) -> Result<(Vec<usize>, Value), String> {
    let not_one = || "expected a NumPy array".to_owned();
    let Value::Tuple(state) = value else {
        return Err(not_one());
    };
    let Ok([version, shape, dtype, is_fortran, data]) = <[Value; 5]>::try_from(state) else {
        return Err(not_one());
    };
    let (Value::I64(_), Value::Tuple(shape)) = (version, shape) else {
        return Err(not_one());
    };
    if !matches!(is_fortran, Value::Bool(false) | Value::I64(0)) {
        return Err("an array in Fortran order, expected C order".to_owned());
    }
    if is_big_endian(&dtype) {
        return Err("an array of big-endian numbers, expected little-endian".to_owned());
    }
    let size = |size| match size {
        Value::I64(size) => usize::try_from(size).map_err(|_| format!("an array of {size} rows")),
        _ => Err(not_one()),
    };
    let shape = shape.into_iter().map(size).collect::<Result<_, _>>()?;
    Ok((shape, data))
}

/// The second value of a dtype's state is its byte order.
fn is_big_endian(dtype: &Value) -> bool {
    let Value::Tuple(state) = dtype else {
        return false;
    };
    match state.get(1) {
        Some(Value::String(order)) => order == ">",
        Some(Value::Bytes(order)) => order == b">",
        _ => false,
    }
}

fn elements(shape: &[usize]) -> Result<usize, String> {
    let product = |product: usize, &size: &usize| product.checked_mul(size);
    shape
        .iter()
        .try_fold(1, product)
        .filter(|&elements| elements <= MAX_ELEMENTS)
        .ok_or_else(|| format!("an array of shape {shape:?} is out of bounds"))
}
