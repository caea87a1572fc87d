//! From a config to what runs: images, samplers and the CNN's geometry, all checked.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;
use ht_baselines::Baseline;
use ht_cnn::{CnnSpec, Geometry};
use ht_episodes::{ClassSplit, EpisodeList, EpisodeSampler, ImageShape, Split};
use ht_generator::WeightGenerator;

use crate::{ExperimentConfig, FixedEpisodes, Learner, Method, TrainError};

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
        let n_head_classes = match config.method()? {
            Method::Generator(generator) => {
                generator.check(&config.cnn_spec()?)?;
                let head = generator.class_head.map(|head| head.classes);
                head.map(|classes| ("generator.class_head.classes", classes))
            }
            Method::Baseline(baseline) => {
                baseline.check(&config.cnn_spec()?)?;
                let classes = baseline.n_classes();
                classes.map(|classes| ("baseline.classes", classes))
            }
        };
        let images = Arc::new(config.data.load(data)?);
        let split = ClassSplit::new(&config.split, &images)?;
        let episodes = &config.episodes;
        let sampler =
            |spec| EpisodeSampler::new(Arc::clone(&images), split.clone(), spec, episodes.rotation);
        let train_sampler = sampler(episodes.train_spec())?;
        let evaluation_sampler = sampler(episodes.evaluation_spec(config.evaluation.queries))?;
        if let Some((key, classes)) = n_head_classes {
            let n_classes = train_sampler.n_classes(Split::Train);
            if classes != n_classes {
                return Err(TrainError::Config {
                    place: key.to_owned(),
                    cause: format!(
                        "is {classes}, expected the number of training classes, {n_classes}"
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
    /// SHA-256 of the images of all classes.
    pub fn data_digest(&self) -> String {
        self.train_sampler.images().digest()
    }

    /// The first `n_episodes` evaluation episodes of a split.
    pub fn fixed_episodes(&self, split: Split, n_episodes: u64) -> FixedEpisodes<'_> {
        let (sampler, seed) = (&self.evaluation_sampler, self.config.evaluation.seed);
        let plans = (0..n_episodes).map(|index| sampler.plan(seed, split, index));
        FixedEpisodes {
            images: sampler.images(),
            list: EpisodeList::new(split.name(), plans.collect()),
        }
    }

    /// The episodes of a list, which must be of this experiment's data and ways, and show no class of
    /// its training unless they are training episodes.
    ///
    /// # Errors
    /// A damaged list, or one of other data, ways or classes.
    pub fn listed_episodes(&self, path: &Path) -> Result<FixedEpisodes<'_>, TrainError> {
        let images = self.evaluation_sampler.images();
        let list = EpisodeList::read(path, images)?;
        let expected = self.config.episodes.ways;
        if let Some(plan) = list.plans().iter().find(|plan| plan.ways != expected) {
            let cause = format!("its episodes have {} ways, expected {expected}", plan.ways);
            return Err(TrainError::file("read", path, cause));
        }
        let trained_on = self.train_sampler.classes(Split::Train);
        let mut shown = list.plans().iter().flat_map(|plan| &plan.classes);
        if list.split() != Split::Train.name()
            && let Some(shown) = shown.find(|shown| trained_on.contains(&shown.class))
        {
            let name = images.class_name(shown.class);
            let split = list.split();
            let cause =
                format!("its {split} episodes show {name}, a training class: another split");
            return Err(TrainError::file("read", path, cause));
        }
        Ok(FixedEpisodes { images, list })
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

    /// Parameters of the method, counted before any is made.
    ///
    /// # Errors
    /// A layer that does not fit the images.
    pub fn n_parameters(&self) -> Result<u64, TrainError> {
        let spec = self.cnn_spec()?;
        Ok(match self.method()? {
            Method::Generator(config) => {
                config.check(&spec)?;
                config.n_parameters(&spec)
            }
            Method::Baseline(config) => {
                config.check(&spec)?;
                config.n_parameters(&spec)
            }
        })
    }

    /// The method with its initial parameters.
    ///
    /// # Errors
    /// A size that is out of range.
    pub fn new_learner(&self, device: &Device) -> Result<Learner, TrainError> {
        let spec = self.cnn_spec()?;
        Ok(match self.method()? {
            Method::Generator(config) => {
                Learner::Generator(WeightGenerator::new(config, &spec, self.seed, device)?)
            }
            Method::Baseline(config) => {
                Learner::Baseline(Baseline::new(config, &spec, self.seed, device)?)
            }
        })
    }

    /// The generator with its initial parameters.
    ///
    /// # Errors
    /// A size that is out of range, an experiment with a baseline.
    pub fn new_generator(&self, device: &Device) -> Result<WeightGenerator, TrainError> {
        match self.new_learner(device)? {
            Learner::Generator(generator) => Ok(generator),
            Learner::Baseline(_) => Err(TrainError::Config {
                place: "baseline".to_owned(),
                cause: "this needs an experiment with a section generator".to_owned(),
            }),
        }
    }
}
