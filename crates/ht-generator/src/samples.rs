//! What the generator of every layer sees of the support set, besides the layer's own input.

use burn::tensor::{Bool, Int, Tensor};

/// The support samples of E episodes.
#[derive(Clone, Debug)]
pub struct Samples {
    /// `[E, S, A']` of the image encoder, if there is one.
    pub image_features: Option<Tensor<3>>,
    /// `[E, S]`, 0..=N; N stands for "no label".
    pub labels: Tensor<2, Int>,
    /// `[E, S]`, true for samples that no token attends to; none where all count.
    pub hidden: Option<Tensor<2, Bool>>,
}

impl Samples {
    /// Which of G weight tokens and S sample tokens are hidden: some samples, no weight token.
    ///
    /// # Shapes
    /// - returns: `[E, G + S]`
    pub(crate) fn hidden_tokens(&self, n_slices: usize) -> Option<Tensor<2, Bool>> {
        self.hidden.as_ref().map(|hidden| {
            let [e, _] = hidden.dims();
            let shown = Tensor::<2, Int>::zeros([e, n_slices], &hidden.device()).bool();
            Tensor::cat(vec![shown, hidden.clone()], 1)
        })
    }
}
