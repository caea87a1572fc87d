//! How sharp logits are, by the images that a CNN was written from.
//!
//! Logits are divided by a temperature (Guo et al., *On Calibration of Modern Neural Networks*, ICML
//! 2017). A CNN that was shown one image of each class knows its classes less well than one that was
//! shown five, and its logits need not say so: those of class means do not. So the temperature is a
//! power law of the labelled images of each class, fitted on episodes of all sizes.

use serde::{Deserialize, Serialize};

use crate::EpisodeLogits;

/// Temperatures that are searched.
const TEMPERATURES: [f64; 2] = [0.05, 20.0];
/// Powers that are searched.
const POWERS: [f64; 2] = [-2.0, 2.0];
/// Steps of a search in a search.
const FEW: usize = 18;
/// Steps of a search.
const MANY: usize = 40;

/// What logits are divided by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Temperature {
    /// With one labelled image of each class.
    pub at_one_image: f64,
    /// The power of the images of each class that it is multiplied by.
    pub power: f64,
    /// The fewest and the most images of each class that it was fitted on; with others the nearest
    /// of these decides.
    pub images: [f64; 2],
}

/// What a file may hold.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    /// One for all sizes, as files of before have it.
    Constant(f64),
    /// By the images.
    ByImages(ByImages),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ByImages {
    at_one_image: f64,
    power: f64,
    images: [f64; 2],
}

impl From<Written> for Temperature {
    fn from(written: Written) -> Self {
        match written {
            Written::Constant(temperature) => Self {
                at_one_image: temperature,
                power: 0.0,
                images: [1.0, 1.0],
            },
            Written::ByImages(ByImages {
                at_one_image,
                power,
                images,
            }) => Self {
                at_one_image,
                power,
                images,
            },
        }
    }
}

impl Temperature {
    /// For a CNN that was written from so many labelled images of each class, on the mean.
    pub fn at(&self, images: f64) -> f64 {
        let [fewest, most] = self.images;
        self.at_one_image * images.max(fewest).min(most).powf(self.power)
    }

    /// Whether it is a number above 0 for all images.
    pub fn is_fit(&self) -> bool {
        let [fewest, most] = self.images;
        let is_fit = |temperature: f64| temperature.is_finite() && temperature > 0.0;
        is_fit(fewest)
            && fewest <= most
            && self.images.iter().all(|&images| is_fit(self.at(images)))
    }

    /// The one of the lowest mean surprise. Where all episodes have as many images it is one for all.
    pub(crate) fn fit(episodes: &[EpisodeLogits]) -> Self {
        let [fewest, most] = range(episodes);
        // Searched where the episodes are, of whatever size: one image may be far from all of them.
        let middle = (fewest * most).sqrt();
        let of = |log: f64, power: f64| Self {
            at_one_image: log.exp() / middle.powf(power),
            power,
            images: [fewest, most],
        };
        let at_power = |power: f64, steps: usize| {
            let surprise = |log: f64| mean_surprise(episodes, &of(log, power));
            lowest(TEMPERATURES.map(f64::ln), steps, surprise)
        };
        let power = if fewest < most {
            lowest(POWERS, FEW, |power| {
                mean_surprise(episodes, &of(at_power(power, FEW), power))
            })
        } else {
            0.0
        };
        of(at_power(power, MANY), power)
    }
}

/// The fewest and the most labelled images of each class.
fn range(episodes: &[EpisodeLogits]) -> [f64; 2] {
    let images = episodes.iter().map(|episode| episode.images_per_class);
    let fewest = images.clone().reduce(f64::min).unwrap_or(1.0);
    [fewest, images.reduce(f64::max).unwrap_or(1.0)]
}

/// The mean over the query images of all episodes.
fn mean_surprise(episodes: &[EpisodeLogits], temperature: &Temperature) -> f64 {
    let surprises = episodes.iter().flat_map(|episode| {
        let temperature = temperature.at(episode.images_per_class);
        let known = episode.known.iter();
        known.map(move |(logits, label)| surprise(logits, *label, temperature))
    });
    let (sum, n) = surprises.fold((0.0, 0.0), |(sum, n), surprise| (sum + surprise, n + 1.0));
    sum / f64::max(n, 1.0)
}

/// Minus the logarithm of a label's probability at a temperature.
pub(crate) fn surprise(logits: &[f32], label: usize, temperature: f64) -> f64 {
    let own = f64::from(logits[label]);
    let largest = logits.iter().copied().fold(f32::MIN, f32::max);
    let largest = f64::from(largest);
    let powers = logits
        .iter()
        .map(|&logit| ((f64::from(logit) - largest) / temperature).exp());
    powers.sum::<f64>().ln() + (largest - own) / temperature
}

/// Where a function with one valley is lowest: golden-section search. The mean surprise has one over the
/// logarithm of a temperature, since it is convex in the inverse; over powers one is expected, no more.
fn lowest([mut low, mut high]: [f64; 2], steps: usize, of: impl Fn(f64) -> f64) -> f64 {
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let mut inner = [high - ratio * (high - low), low + ratio * (high - low)];
    let mut values = inner.map(&of);
    for _ in 0..steps {
        if values[0] < values[1] {
            high = inner[1];
            inner = [high - ratio * (high - low), inner[0]];
            values = [of(inner[0]), values[0]];
        } else {
            low = inner[0];
            inner = [inner[1], low + ratio * (high - low)];
            values = [values[1], of(inner[1])];
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAW: Temperature = Temperature {
        at_one_image: 2.0,
        power: -0.5,
        images: [1.0, 4.0],
    };

    #[test]
    fn it_follows_the_images_within_those_that_were_seen() {
        for (images, expected) in [(0.5, 2.0), (1.0, 2.0), (4.0, 1.0), (9.0, 1.0)] {
            assert!((LAW.at(images) - expected).abs() < 1e-12, "{images}");
        }
    }

    #[test]
    fn one_for_all_sizes_is_read_as_such() {
        let found: Temperature = serde_json::from_str("1.25").expect("a temperature");
        for images in [1.0, 3.0] {
            assert!((found.at(images) - 1.25).abs() < 1e-12, "{found:?}");
        }
        let written = serde_json::to_string(&LAW).expect("JSON");
        let found: Temperature = serde_json::from_str(&written).expect("a temperature");
        assert_eq!(found, LAW);
        let unknown = r#"{"at_one_image": 1, "power": 0, "images": [1, 5], "other": 1}"#;
        assert!(serde_json::from_str::<Temperature>(unknown).is_err());
    }

    #[test]
    fn what_is_no_temperature_is_not_fit() {
        assert!(LAW.is_fit());
        for unfit in [
            Temperature {
                at_one_image: 0.0,
                ..LAW
            },
            Temperature {
                at_one_image: -1.0,
                ..LAW
            },
            Temperature {
                power: f64::NAN,
                ..LAW
            },
            Temperature { power: 1e9, ..LAW },
            Temperature {
                images: [0.0, 4.0],
                ..LAW
            },
            Temperature {
                images: [5.0, 4.0],
                ..LAW
            },
        ] {
            assert!(!unfit.is_fit(), "{unfit:?}");
        }
    }

    #[test]
    fn the_lowest_point_of_a_valley_is_found() {
        for place in [-1.9, 0.3, 1.9] {
            let found = lowest(POWERS, MANY, |at| (at - place).powi(2));
            assert!((found - place).abs() < 1e-6, "{found}");
        }
    }
}
