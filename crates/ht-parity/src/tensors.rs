//! Tensors by name from a safetensors file, as numbers that all have one type.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors};

use crate::{ParityError, whole_file};

/// Larger files hold no recorded case and no checkpoint of this method.
const MAX_BYTES: u64 = 4 << 30;

/// An array of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, the last axis fastest.
    pub values: Vec<f32>,
}

impl Array {
    /// The largest absolute value, 0 for an empty array.
    pub fn largest(&self) -> f32 {
        self.values.iter().fold(0.0, |a, b| a.max(b.abs()))
    }

    /// The largest difference from recorded values, relative to the largest of these.
    pub fn deviation_from(&self, recorded: &Self) -> f64 {
        let largest = f64::from(recorded.largest());
        let difference = difference(&self.values, &recorded.values);
        if largest > 0.0 {
            difference / largest
        } else {
            difference
        }
    }

    /// Whether the shapes are the same but for axes of length 1.
    pub fn is_shaped_like(&self, other: &Self) -> bool {
        same_shape(&self.shape, &other.shape)
    }

    /// The sum of all values, as an array of one.
    #[must_use]
    pub fn sum(&self) -> Self {
        Self {
            shape: vec![1],
            values: vec![self.values.iter().sum()],
        }
    }

    /// The axes in another order: axis i of the result is axis `order[i]` of this array.
    #[must_use]
    pub fn permuted(&self, order: &[usize]) -> Self {
        let mut strides = vec![1; self.shape.len()];
        for axis in (1..self.shape.len()).rev() {
            strides[axis - 1] = strides[axis] * self.shape[axis];
        }
        let shape: Vec<usize> = order.iter().map(|&axis| self.shape[axis]).collect();
        let mut values = Vec::with_capacity(self.values.len());
        let mut index = vec![0; shape.len()];
        for _ in 0..self.values.len() {
            let at: usize = index.iter().zip(order).map(|(i, &a)| i * strides[a]).sum();
            values.push(self.values[at]);
            for axis in (0..shape.len()).rev() {
                index[axis] += 1;
                if index[axis] < shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        Self { shape, values }
    }

    /// A tensor with as many axes; the caller has checked their number.
    pub(crate) fn to_tensor<const D: usize>(&self, device: &Device) -> Tensor<D> {
        let data = TensorData::new(self.values.clone(), self.shape.clone());
        Tensor::from_data(data, device)
    }

    /// The same for whole numbers.
    pub(crate) fn to_integers<const D: usize>(&self, device: &Device) -> Tensor<D, Int> {
        let values: Vec<i32> = self.values.iter().map(|&value| value as i32).collect();
        Tensor::from_data(TensorData::new(values, self.shape.clone()), device)
    }
}

/// Whether two shapes are the same but for axes of length 1.
pub(crate) fn same_shape(ours: &[usize], theirs: &[usize]) -> bool {
    let [ours, theirs] = [ours, theirs].map(|shape| shape.iter().filter(|&&size| size != 1));
    ours.eq(theirs)
}

/// The largest difference; infinite where the numbers of values differ or one is no number.
pub(crate) fn difference(ours: &[f32], theirs: &[f32]) -> f64 {
    if ours.len() != theirs.len() {
        return f64::INFINITY;
    }
    let differences = ours
        .iter()
        .zip(theirs)
        .map(|(a, b)| f64::from((a - b).abs()));
    differences.fold(0.0, |largest, d| {
        if d.is_nan() {
            f64::INFINITY
        } else {
            largest.max(d)
        }
    })
}

impl From<TensorData> for Array {
    fn from(data: TensorData) -> Self {
        Self {
            shape: data.shape().to_vec(),
            values: data.iter::<f32>().collect(),
        }
    }
}

/// Arrays by name.
pub type Arrays = BTreeMap<String, Array>;

/// Reads a safetensors file.
///
/// # Errors
/// An unreadable or too large file, a tensor of a type that is not a number.
pub fn read_arrays(path: &Path) -> Result<Arrays, ParityError> {
    let bad = |cause: &dyn ToString| ParityError::file(path, cause);
    let bytes = whole_file::read(path, MAX_BYTES)?;
    let file = SafeTensors::deserialize(&bytes).map_err(|cause| bad(&cause))?;
    file.iter()
        .map(|(name, view)| {
            let data = view.data();
            let values = match view.dtype() {
                Dtype::F32 => numbers(data, f32::from_le_bytes),
                Dtype::F64 => numbers(data, |bytes| f64::from_le_bytes(bytes) as f32),
                Dtype::I32 => numbers(data, |bytes| i32::from_le_bytes(bytes) as f32),
                Dtype::I64 => numbers(data, |bytes| i64::from_le_bytes(bytes) as f32),
                Dtype::U8 => data.iter().map(|&byte| f32::from(byte)).collect(),
                other => {
                    let cause = format!("tensor {name} of type {other:?}, expected numbers");
                    return Err(bad(&cause));
                }
            };
            let shape = view.shape().to_vec();
            Ok((name.to_owned(), Array { shape, values }))
        })
        .collect()
}

fn numbers<const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    data.chunks_exact(N)
        .filter_map(|bytes| bytes.try_into().ok().map(&number))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn axes_change_places() {
        let array = Array {
            shape: vec![2, 3],
            values: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        };
        let turned = array.permuted(&[1, 0]);
        assert_eq!(turned.shape, [3, 2]);
        assert_eq!(turned.values, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(turned.permuted(&[1, 0]), array);
    }

    #[test]
    fn axes_of_length_one_do_not_count() {
        let array = |shape: &[usize]| Array {
            shape: shape.to_vec(),
            values: Vec::new(),
        };
        assert!(array(&[1, 2, 3]).is_shaped_like(&array(&[2, 1, 3, 1])));
        assert!(array(&[1]).is_shaped_like(&array(&[])));
        assert!(!array(&[2, 3]).is_shaped_like(&array(&[3, 2])));
        assert!(!array(&[2, 3]).is_shaped_like(&array(&[6])));
    }

    #[test]
    fn a_damaged_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("broken.safetensors");
        fs::write(&path, b"\xff\xff\xff\xff\xff\xff\xff\xff{}").expect("writable");
        let error = read_arrays(&path).expect_err("damaged").to_string();
        assert!(error.contains("broken.safetensors"), "{error}");
    }
}
