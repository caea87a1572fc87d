//! From a config to what runs: images, samplers and the CNN's geometry, all checked.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;
use ht_cnn::{CnnSpec, Geometry};
use ht_episodes::{ClassSplit, EpisodeSampler, ImageShape, Split};
use ht_generator::WeightGenerator;

use crate::{ExperimentConfig, FixedEpisodes, TrainError};

/// An experiment that is known to be possible.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// As written.
    pub config: ExperimentConfig,
    /// Draws training episodes.
    pub train_sampler: EpisodeSampler,
    /// Draws validation and test episodes.
    pub evaluation_sampler: EpisodeSampler,
}

impl Experiment {
    /// Reads the data and checks that every episode and every layer is possible.
    ///
    /// # Errors
    /// Whatever of it is not.
    pub fn resolve(config: ExperimentConfig, data: Option<&Path>) -> Result<Self, TrainError> {
        // What needs no data is checked first, so that a wrong number costs no waiting.
        config.generator.check(&config.cnn_spec()?)?;
        let images = Arc::new(config.data.load(data)?);
        let split = ClassSplit::new(&config.split, &images)?;
        let episodes = &config.episodes;
        let sampler =
            |spec| EpisodeSampler::new(Arc::clone(&images), split.clone(), spec, episodes.rotation);
        let train_sampler = sampler(episodes.train_spec())?;
        let evaluation_sampler = sampler(episodes.evaluation_spec(config.evaluation.queries))?;
        if let Some(head) = config.generator.class_head {
            let n_classes = train_sampler.n_classes(Split::Train);
            if head.classes != n_classes {
                return Err(TrainError::Config {
                    place: "generator.class_head.classes".to_owned(),
                    cause: format!(
                        "is {}, expected the number of training classes, {n_classes}",
                        head.classes
                    ),
                });
            }
        }
        Ok(Self {
            config,
            train_sampler,
            evaluation_sampler,
        })
    }
}

impl Experiment {
    /// The first `n_episodes` evaluation episodes of a split.
    pub fn fixed_episodes(&self, split: Split, n_episodes: u64) -> FixedEpisodes<'_> {
        FixedEpisodes {
            sampler: &self.evaluation_sampler,
            seed: self.config.evaluation.seed,
            split,
            n_episodes,
        }
    }
}

impl ExperimentConfig {
    /// The geometry of the generated CNN.
    ///
    /// # Errors
    /// A layer that does not fit the images.
    pub fn cnn_spec(&self) -> Result<CnnSpec, TrainError> {
        let ImageShape {
            channels,
            height,
            width,
        } = self.data.shape();
        let image = Geometry {
            channels,
            height,
            width,
        };
        Ok(CnnSpec::new(&self.cnn, image, self.episodes.ways)?)
    }

    /// The generator with its initial parameters.
    ///
    /// # Errors
    /// A size that is out of range.
    pub fn new_generator(&self, device: &Device) -> Result<WeightGenerator, TrainError> {
        let spec = self.cnn_spec()?;
        Ok(WeightGenerator::new(
            &self.generator,
            &spec,
            self.seed,
            device,
        )?)
    }
}
