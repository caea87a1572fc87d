//! What the generator of every layer sees of the support set, besides the layer's own input.

use burn::tensor::{Bool, Int, Tensor};
use ht_episodes::SupportSet;

use crate::SampleTokens;

/// Classes in the place of samples.
#[derive(Clone, Debug)]
struct ClassTokens {
    /// `[E, N, S]`: takes the mean over the labelled samples of each class.
    means: Tensor<3>,
    /// `[E, N]`, each its own.
    labels: Tensor<2, Int>,
    /// `[E, N]`, true where a class shows nothing.
    hidden: Tensor<2, Bool>,
}

impl ClassTokens {
    fn new(support: &SupportSet, ways: usize) -> Self {
        let [e, _] = support.labels.dims();
        let one_hot = support.one_hot(ways).swap_dims(1, 2);
        let counts = one_hot.clone().sum_dim(2);
        let hidden = counts.clone().equal_elem(0.0).squeeze_dim(2);
        let labels = Tensor::<1, Int>::arange(0..ways as i64, &support.labels.device());
        Self {
            means: one_hot / counts.clamp_min(1.0),
            labels: labels.unsqueeze::<2>().expand([e, ways]),
            hidden,
        }
    }
}

/// The support samples of E episodes.
#[derive(Clone, Debug)]
pub struct Samples<'a> {
    /// `[E, S, A']` of the image encoder, if there is one.
    pub image_features: Option<Tensor<3>>,
    /// Labels, and the samples that no token attends to.
    pub support: &'a SupportSet,
    /// Where classes have tokens instead of samples.
    classes: Option<ClassTokens>,
}

impl<'a> Samples<'a> {
    /// The samples of a support set for N ways.
    pub fn new(
        support: &'a SupportSet,
        image_features: Option<Tensor<3>>,
        tokens: SampleTokens,
        ways: usize,
    ) -> Self {
        let classes = match tokens {
            SampleTokens::Each => None,
            SampleTokens::ClassMeans => Some(ClassTokens::new(support, ways)),
        };
        Self {
            image_features,
            support,
            classes,
        }
    }

    /// The label of each of T tokens.
    ///
    /// # Shapes
    /// - returns: `[E, T]`
    pub(crate) fn labels(&self) -> Tensor<2, Int> {
        let classes = self.classes.as_ref();
        classes.map_or_else(|| self.support.labels.clone(), |it| it.labels.clone())
    }

    /// What stands in T tokens, of what is known of S samples.
    ///
    /// # Shapes
    /// - `features`: `[E, S, A]`
    /// - returns: `[E, T, A]`
    pub(crate) fn token_features(&self, features: Tensor<3>) -> Tensor<3> {
        match &self.classes {
            None => features,
            Some(classes) => classes
                .means
                .clone()
                .cast(features.dtype())
                .matmul(features),
        }
    }

    /// Which of G weight tokens and T others are hidden: none of the weight tokens.
    ///
    /// # Shapes
    /// - returns: `[E, G + T]`
    pub(crate) fn hidden_tokens(&self, n_slices: usize) -> Option<Tensor<2, Bool>> {
        let hidden = match &self.classes {
            None => self.support.hidden.as_ref(),
            Some(classes) => Some(&classes.hidden),
        };
        hidden.map(|hidden| {
            let [e, _] = hidden.dims();
            let shown = Tensor::<2, Int>::zeros([e, n_slices], &hidden.device()).bool();
            Tensor::cat(vec![shown, hidden.clone()], 1)
        })
    }
}
