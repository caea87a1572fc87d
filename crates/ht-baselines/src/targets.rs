//! The labels of a support set as rows of zeros and ones.

use burn::tensor::{Bool, Tensor};
use ht_cnn::ABSENT_LOGIT;
use ht_episodes::SupportSet;

/// What the labelled, shown samples of a support set ask of a classifier.
#[derive(Clone, Debug)]
pub(crate) struct Targets {
    /// `[E, S, N]`: 1 at the label of each sample; all zero where it has none or is hidden.
    pub(crate) one_hot: Tensor<3>,
    /// `[E, N]`, true for labels that the episode does not have.
    absent: Option<Tensor<2, Bool>>,
}

impl Targets {
    /// The labels of `support` among `ways` classes.
    pub(crate) fn of(support: &SupportSet, ways: usize) -> Self {
        Self {
            one_hot: support.one_hot(ways),
            absent: support.absent.clone(),
        }
    }

    /// Logits with those of absent labels out of the way.
    ///
    /// # Shapes
    /// - `logits`: `[E, S, N]`, returns the same
    pub(crate) fn without_absent(&self, logits: Tensor<3>) -> Tensor<3> {
        match &self.absent {
            None => logits,
            Some(absent) => {
                let absent = absent.clone().unsqueeze_dim::<3>(1);
                let absent = absent.expand(logits.dims());
                logits.mask_fill(absent, ABSENT_LOGIT)
            }
        }
    }

    /// The share of each sample in its episode's mean loss: 0 where it has no label.
    ///
    /// # Shapes
    /// - returns: `[E, S, 1]`
    pub(crate) fn shares(&self) -> Tensor<3> {
        let counted = self.one_hot.clone().sum_dim(2);
        let total = counted.clone().sum_dim(1).clamp_min(1.0);
        counted / total
    }
}
