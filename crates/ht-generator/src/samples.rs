//! What the generator of every layer sees of the support set, besides the layer's own input.

use burn::tensor::{Bool, Int, Tensor};
use ht_episodes::SupportSet;

/// The support samples of E episodes.
#[derive(Clone, Debug)]
pub struct Samples<'a> {
    /// `[E, S, A']` of the image encoder, if there is one.
    pub image_features: Option<Tensor<3>>,
    /// Labels, and the samples that no token attends to.
    pub support: &'a SupportSet,
}

impl Samples<'_> {
    /// Which of G weight tokens and S sample tokens are hidden: some samples, no weight token.
    ///
    /// # Shapes
    /// - returns: `[E, G + S]`
    pub(crate) fn hidden_tokens(&self, n_slices: usize) -> Option<Tensor<2, Bool>> {
        self.support.hidden.as_ref().map(|hidden| {
            let [e, _] = hidden.dims();
            let shown = Tensor::<2, Int>::zeros([e, n_slices], &hidden.device()).bool();
            Tensor::cat(vec![shown, hidden.clone()], 1)
        })
    }
}
