//! A bundle proves itself: `ht-runtime` runs the golden images and must give their logits.

use crate::{Bundle, BundleError, Precision};

/// The largest difference between a logit and the golden one that still counts as equal, as a part
/// of the largest golden logit (at least 1). Sums of some hundred float32 products in another order
/// differ by about a millionth.
pub const TOLERANCE: f32 = 1e-4;

/// What running the golden images gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verification {
    /// Golden images.
    pub images: usize,
    /// Images whose best label is the golden one.
    pub same_label: usize,
    /// The largest difference of a logit from its golden one.
    pub largest_difference: f32,
    /// The largest difference that is allowed.
    pub allowed: f32,
}

impl Verification {
    /// Whether the logits are the golden ones.
    pub fn passed(&self) -> bool {
        self.largest_difference <= self.allowed
    }

    /// Compares logits with golden ones.
    ///
    /// # Shapes
    /// - `golden`, `logits`: `[B, N]`
    pub fn compare(golden: &[f32], logits: &[f32], n_labels: usize) -> Self {
        assert_eq!(golden.len(), logits.len(), "logits of other images");
        let magnitude = golden
            .iter()
            .fold(1.0, |most: f32, value| most.max(value.abs()));
        let pairs = || golden.iter().zip(logits);
        // A maximum would pass over what is not a number.
        let is_number = logits.iter().all(|value| value.is_finite());
        let largest = pairs().map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let rows = golden
            .chunks_exact(n_labels)
            .zip(logits.chunks_exact(n_labels));
        Self {
            images: golden.len() / n_labels,
            same_label: rows.filter(|(a, b)| best(a) == best(b)).count(),
            largest_difference: if is_number { largest } else { f32::INFINITY },
            allowed: TOLERANCE * magnitude,
        }
    }
}

impl Bundle {
    /// Runs the golden images through `ht-runtime`.
    ///
    /// # Errors
    /// A network that cannot be built.
    pub fn verify(&self) -> Result<Verification, BundleError> {
        let logits = self.logits(&self.golden.images, Precision::Float32)?;
        let n_labels = self.cnn.n_labels();
        Ok(Verification::compare(
            &self.golden.logits,
            &logits,
            n_labels,
        ))
    }

    /// Logits of any number of images, by `ht-runtime`.
    ///
    /// # Shapes
    /// - `images`: `[B, C, H, W]` bytes, preprocessed
    /// - returns: `[B, N]`
    ///
    /// # Errors
    /// A network that cannot be built, or bytes that are no whole number of images.
    pub fn logits(&self, images: &[u8], precision: Precision) -> Result<Vec<f32>, BundleError> {
        self.check()?;
        let failed = |cause: ht_runtime::Error| BundleError::value("network", cause);
        let file = self.device_file(precision)?;
        let cnn = ht_runtime::Cnn::parse(&file).map_err(failed)?;
        let mut workspace = vec![0.0; cnn.workspace_len()];
        let mut network = cnn.load(&mut workspace).map_err(failed)?;
        let n_labels = cnn.n_labels();
        let image_len = cnn.image().len();
        let mut logits = vec![0.0; images.len().div_ceil(image_len) * n_labels];
        let rows = logits.chunks_exact_mut(n_labels);
        for (image, logits) in images.chunks(image_len).zip(rows) {
            network.classify(image, logits).map_err(failed)?;
        }
        Ok(logits)
    }
}

/// Index of the largest value.
fn best(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}
