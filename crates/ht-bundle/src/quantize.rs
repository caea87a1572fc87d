//! Kernels as bytes: one scale per output channel or label, symmetric around zero.
//!
//! A weight w becomes q = round(w / scale) within -127..=127, where scale is the largest |w| of
//! its row / 127; it is read back as q · scale. Biases, scales and shifts stay float32.

use crate::Cnn;

/// How the weights of a device file or a C header are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// As they are.
    Float32,
    /// Kernels as bytes; a quarter of the size, at a loss that must be measured.
    Int8,
}

/// A matrix of bytes, one scale per row.
pub(crate) struct Quantized {
    /// One per row.
    pub(crate) scales: Vec<f32>,
    pub(crate) values: Vec<i8>,
}

/// Quantises rows of equal length.
///
/// # Shapes
/// - `values`: `[n_rows, ..]`
pub(crate) fn quantize(values: &[f32], n_rows: usize) -> Quantized {
    let len = values.len() / n_rows.max(1);
    let mut quantized = Quantized {
        scales: Vec::with_capacity(n_rows),
        values: Vec::with_capacity(values.len()),
    };
    for row in values.chunks_exact(len.max(1)) {
        let largest = row
            .iter()
            .fold(0.0, |most: f32, value| most.max(value.abs()));
        let scale = largest / 127.0;
        quantized.scales.push(scale);
        let byte = |value: &f32| {
            let steps = if scale > 0.0 { value / scale } else { 0.0 };
            steps.round().clamp(-127.0, 127.0) as i8
        };
        quantized.values.extend(row.iter().map(byte));
    }
    quantized
}

impl Quantized {
    fn dequantized(&self) -> Vec<f32> {
        let len = self.values.len() / self.scales.len().max(1);
        let rows = self.values.chunks_exact(len.max(1)).zip(&self.scales);
        rows.flat_map(|(row, scale)| row.iter().map(move |&value| f32::from(value) * scale))
            .collect()
    }
}

impl Cnn {
    /// The CNN that runs when the weights are stored in a precision: with [`Precision::Int8`], all
    /// kernels rounded to bytes and back, so that the loss of accuracy can be measured.
    #[must_use]
    pub fn rounded_to(&self, precision: Precision) -> Self {
        let mut cnn = self.clone();
        if precision == Precision::Int8 {
            for layer in &mut cnn.layers {
                layer.kernel = quantize(&layer.kernel, layer.channels).dequantized();
            }
            let n_labels = cnn.n_labels();
            cnn.logits.kernel = quantize(&cnn.logits.kernel, n_labels).dequantized();
        }
        cnn
    }
}
