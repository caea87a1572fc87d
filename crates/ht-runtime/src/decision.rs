//! From logits to an answer: probabilities at the file's temperature, and whether to believe them.

use crate::Cnn;

/// What a CNN says about one image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// Index of the most probable label; of equal ones the first.
    pub label: usize,
    /// Its probability, 0 to 1.
    pub probability: f32,
    /// The probability of all other labels together, 0 to 1: to its own last digits, where 1 minus the
    /// probability would be 0.
    pub doubt: f32,
    /// Whether the doubt is not above what the file allows. Where it says nothing every number is
    /// accepted; what is no number (weights too large) never is.
    pub is_accepted: bool,
}

impl Cnn<'_> {
    /// Turns logits into probabilities, in place: softmax of logits / temperature.
    ///
    /// # Shapes
    /// - `logits`: `[N]`
    pub fn probabilities(&self, logits: &mut [f32]) {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for value in &mut *logits {
            *value = libm::expf((*value - largest) / self.temperature());
            sum += *value;
        }
        for value in logits {
            *value /= sum;
        }
    }

    /// The answer for one image.
    ///
    /// # Shapes
    /// - `probabilities`: `[N]`
    #[must_use]
    pub fn decide(&self, probabilities: &[f32]) -> Decision {
        let mut label = 0;
        let mut probability = 0.0;
        for (index, &value) in probabilities.iter().enumerate() {
            if value > probability {
                (label, probability) = (index, value);
            }
        }
        let others = probabilities.iter().enumerate();
        let others = others.filter(|&(index, _)| index != label);
        let doubt = others.map(|(_, value)| value).sum();
        Decision {
            label,
            probability,
            doubt,
            is_accepted: probability > 0.0 && self.most_doubt().is_none_or(|most| doubt <= most),
        }
    }
}
