//! Named vectors of numbers as safetensors, both ways.

use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::{Learner, TrainError, slots};

/// Name, shape and values of each tensor.
pub(crate) type NamedValues = Vec<(String, Vec<usize>, Vec<f32>)>;

/// Bytes of a file that are neither values nor named by them.
const HEADER: u64 = 1 << 20;

/// The most bytes that a file with this many values can have.
pub(super) fn most_bytes(n_values: usize) -> u64 {
    // Names and shapes take less than the values of all but the smallest tensors.
    HEADER + 8 * n_values as u64
}

/// A model's parameters under their names.
pub(crate) fn by_name(model: &Learner, parameters: &[f32]) -> NamedValues {
    let mut rest = parameters;
    slots(model)
        .into_iter()
        .map(|slot| {
            let (values, later) = rest.split_at(slot.len());
            rest = later;
            (slot.name, slot.shape, values.to_vec())
        })
        .collect()
}

/// The bytes of a file; `path` is what errors speak of.
pub(super) fn encode(tensors: NamedValues, path: &Path) -> Result<Vec<u8>, TrainError> {
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .into_iter()
        .map(|(name, shape, values)| {
            let bytes = values.into_iter().flat_map(f32::to_le_bytes).collect();
            (name, shape, bytes)
        })
        .collect();
    let views = bytes
        .iter()
        .map(|(name, shape, bytes)| {
            TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name, view))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|cause| TrainError::file("write", path, cause))?;
    safetensors::serialize(views, None).map_err(|cause| TrainError::file("write", path, cause))
}

/// The values of a tensor, or why there are none.
pub(super) fn values(
    tensors: &SafeTensors<'_>,
    name: &str,
    shape: &[usize],
) -> Result<Vec<f32>, String> {
    let view = tensors.tensor(name).ok();
    let view = view.filter(|view| view.shape() == shape && view.dtype() == Dtype::F32);
    let view = view.ok_or_else(|| format!("no tensor {name} of shape {shape:?} in f32"))?;
    let (numbers, _) = view.data().as_chunks::<4>();
    let values: Vec<f32> = numbers
        .iter()
        .map(|&bytes| f32::from_le_bytes(bytes))
        .collect();
    if values.iter().all(|value| value.is_finite()) {
        Ok(values)
    } else {
        Err(format!("tensor {name} holds values that are no numbers"))
    }
}
