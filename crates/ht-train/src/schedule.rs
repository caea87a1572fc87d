//! The learning rate as a function of the step.

use serde::{Deserialize, Serialize};

/// What the learning rate does after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Decay {
    /// It stays.
    Constant,
    /// It falls to zero along half a cosine, at the last step.
    Cosine,
    /// It is multiplied by `rate` every `steps` steps, continuously, as in the released code.
    Exponential {
        /// Factor.
        rate: f64,
        /// Steps per factor.
        steps: f64,
    },
}

/// The learning rate over time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleConfig {
    /// The highest learning rate.
    pub learning_rate: f64,
    /// Steps over which it rises linearly from zero.
    pub warmup_steps: u64,
    /// What follows.
    pub decay: Decay,
}

impl ScheduleConfig {
    /// Learning rate of the update at `step` (from 0) of `steps`.
    pub fn learning_rate(&self, step: u64, steps: u64) -> f64 {
        let warmup = if step < self.warmup_steps {
            (step + 1) as f64 / self.warmup_steps as f64
        } else {
            1.0
        };
        let decay = match self.decay {
            Decay::Constant => 1.0,
            Decay::Cosine => {
                let length = steps.saturating_sub(self.warmup_steps).max(1) as f64;
                let done = step.saturating_sub(self.warmup_steps) as f64 / length;
                0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos())
            }
            Decay::Exponential { rate, steps } => rate.powf(step as f64 / steps),
        };
        self.learning_rate * warmup * decay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(decay: Decay, warmup_steps: u64, steps: &[u64]) -> Vec<f64> {
        let schedule = ScheduleConfig {
            learning_rate: 2.0,
            warmup_steps,
            decay,
        };
        steps
            .iter()
            .map(|&step| schedule.learning_rate(step, 110))
            .collect()
    }

    #[test]
    fn warm_up_then_cosine() {
        let rates = rates(Decay::Cosine, 10, &[0, 4, 9, 10, 60, 110]);
        let expected = [0.2, 1.0, 2.0, 2.0, 1.0, 0.0];
        for (ours, expected) in rates.iter().zip(expected) {
            assert!((ours - expected).abs() < 1e-9, "{rates:?}");
        }
    }

    #[test]
    fn constant_after_the_warm_up() {
        assert_eq!(
            rates(Decay::Constant, 2, &[0, 1, 2, 109]),
            [1.0, 2.0, 2.0, 2.0]
        );
        let text = "learning_rate = 1.0\nwarmup_steps = 0\ndecay = 'constant'";
        let schedule: ScheduleConfig = toml::from_str(text).expect("valid");
        assert_eq!(schedule.decay, Decay::Constant);
    }

    #[test]
    fn exponential_as_in_the_released_code() {
        let decay = Decay::Exponential {
            rate: 0.95,
            steps: 1e5,
        };
        let rates = rates(decay, 0, &[0, 50_000, 100_000]);
        assert!((rates[0] - 2.0).abs() < 1e-12);
        assert!((rates[1] - 2.0 * 0.95f64.sqrt()).abs() < 1e-12);
        assert!((rates[2] - 1.9).abs() < 1e-12);
    }
}
