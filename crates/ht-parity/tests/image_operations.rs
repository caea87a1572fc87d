//! The image operations and the class permutation agree with the recorded values of the
//! released code, where they are at hand.

use std::path::PathBuf;

use ht_parity::image_operations::{NamedTensor, check_image_operations};
use safetensors::{Dtype, SafeTensors};

fn recorded() -> Option<Vec<NamedTensor>> {
    let folder = std::env::var_os("HT_PARITY_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/parity"),
        PathBuf::from,
    );
    let bytes = std::fs::read(folder.join("misc.safetensors")).ok()?;
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let tensors = file.tensors().into_iter();
    let tensors = tensors.map(|(name, view)| NamedTensor {
        name,
        shape: view.shape().to_vec(),
        values: floats(view.dtype(), view.data()),
    });
    Some(tensors.collect())
}

fn floats(dtype: Dtype, data: &[u8]) -> Vec<f32> {
    let words = data.as_chunks().0.iter();
    match dtype {
        Dtype::U8 => data.iter().copied().map(f32::from).collect(),
        Dtype::I32 => words.map(|word| i32::from_le_bytes(*word) as f32).collect(),
        Dtype::F32 => words.map(|word| f32::from_le_bytes(*word)).collect(),
        // Step numbers, which no image operation reads.
        _ => vec![],
    }
}

#[test]
fn operations_agree_with_the_released_code() {
    let Some(tensors) = recorded() else {
        println!("skipped: no misc.safetensors in HT_PARITY_DIR or ../shared/parity");
        return;
    };
    let rows = check_image_operations(&tensors);
    for row in &rows {
        println!("{:<50} {:e}", row.name, row.deviation);
    }
    assert!(!rows.is_empty(), "the file has no image operations");
    let wrong: Vec<_> = rows
        .iter()
        .filter(|row| !row.is_within_tolerance())
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
