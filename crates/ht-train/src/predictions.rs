//! What a method says of every query image: for whoever asks which classes are confused, and
//! how far its confidence can be believed.

use crate::evaluate::classify;
use crate::{Compute, FixedEpisodes, Learner};

/// What the CNN of an episode says of one query image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Its label, 0..N.
    pub label: usize,
    /// The label of the largest logit.
    pub predicted: usize,
    /// The probability of that label, in [0, 1].
    pub confidence: f64,
}

impl Prediction {
    /// Whether it is right.
    pub fn is_correct(&self) -> bool {
        self.predicted == self.label
    }

    fn of(label: usize, logits: &[f32]) -> Self {
        let predicted = best_label(logits);
        let top = logits[predicted];
        let sum: f64 = logits
            .iter()
            .map(|&logit| f64::from(logit - top).exp())
            .sum();
        Self {
            label,
            predicted,
            confidence: 1.0 / sum,
        }
    }
}

/// The label of the largest of N logits; of equal ones the first, as on every device.
pub fn best_label(logits: &[f32]) -> usize {
    (1..logits.len()).fold(0, |best, n| if logits[n] > logits[best] { n } else { best })
}

/// The predictions of each episode, in the order of its plan's query images.
///
/// `model` must be on the device of `compute`, without autodiff.
pub fn predict(
    model: &Learner,
    episodes: &FixedEpisodes<'_>,
    compute: &Compute,
) -> Vec<Vec<Prediction>> {
    let of_image =
        |(label, logits): (Option<usize>, Vec<f32>)| Some(Prediction::of(label?, &logits));
    let of_episodes = image_logits(model, episodes, compute).into_iter();
    of_episodes
        .map(|images| images.into_iter().filter_map(of_image).collect())
        .collect()
}

/// The label of each query image, if it has one, and its N logits, episode by episode in the order of
/// the plans' query images.
pub(crate) fn image_logits(
    model: &Learner,
    episodes: &FixedEpisodes<'_>,
    compute: &Compute,
) -> Vec<Vec<(Option<usize>, Vec<f32>)>> {
    classify(model, episodes, compute, |plans, logits, _| {
        let [_, n_images, ways] = logits.dims();
        let logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
        let of_episodes = plans.iter().zip(logits.chunks(n_images * ways));
        of_episodes
            .map(|(plan, logits)| {
                // Padding stands behind the images.
                let images = plan.query().zip(logits.chunks(ways));
                images
                    .map(|(image, logits)| (image.label, logits.to_vec()))
                    .collect()
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use ht_episodes::Split;

    use super::*;
    use crate::{Experiment, ExperimentConfig, evaluate};

    #[test]
    fn the_first_of_equal_logits_is_the_answer() {
        assert_eq!(best_label(&[0.0, 2.0, 2.0, 1.0]), 1);
        assert_eq!(best_label(&[-1.0, -1.0]), 0);
    }

    #[test]
    fn by_hand() {
        let prediction = Prediction::of(0, &[0.0, 2.0f32.ln(), 2.0f32.ln()]);
        assert_eq!(prediction.predicted, 1);
        assert!(!prediction.is_correct());
        assert!((prediction.confidence - 0.4).abs() < 1e-6);
    }

    #[test]
    fn predictions_have_the_accuracy_of_the_evaluation() {
        let smoke =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/smoke.toml");
        let config = ExperimentConfig::load(&smoke, &[]).expect("a config");
        let experiment = Experiment::resolve(config, None).expect("possible");
        let compute = Compute {
            device: Device::flex(),
            n_threads: 2,
            n_loaders: 1,
        };
        let model = experiment
            .config
            .new_learner(&compute.device)
            .expect("built");
        let episodes = experiment.fixed_episodes(Split::Test, 20);
        let accuracies: Vec<f64> = predict(&model, &episodes, &compute)
            .iter()
            .map(|predictions| {
                assert_eq!(predictions.len(), 9);
                let right = predictions.iter().filter(|one| one.is_correct()).count();
                right as f64 / predictions.len() as f64
            })
            .collect();
        let expected = evaluate(&model, &episodes, &compute);
        assert_eq!(accuracies.len(), expected.len());
        for (ours, theirs) in accuracies.iter().zip(expected) {
            assert!((ours - theirs).abs() < 1e-9, "{ours} and {theirs}");
        }
    }
}
