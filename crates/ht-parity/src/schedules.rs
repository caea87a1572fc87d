//! The recorded schedules: learning rate and warm-up weights at given steps.

use ht_generator::WarmupHeadsConfig;
use ht_train::{Decay, ScheduleConfig};

use crate::tensors::{Array, Arrays};

/// Our values of a recorded schedule, by its name, which holds its parameters; none for
/// what is no schedule.
///
/// `lr_0.02_decay_0.95_per_100000` is a learning rate, `warmup_weights_3000_steps_3_heads`
/// the weights of the heads and, last, of the real logits.
pub(crate) fn schedule(name: &str, arrays: &Arrays) -> Option<Array> {
    let steps = arrays.get("in/steps")?.values.iter();
    let steps: Vec<u64> = steps.map(|&step| step as u64).collect();
    let words: Vec<&str> = name.strip_prefix("out/")?.split('_').collect();
    let (columns, values): (usize, Vec<f32>) = match words.as_slice() {
        ["lr", rate, "decay", factor, "per", every] => {
            let schedule = ScheduleConfig {
                learning_rate: rate.parse().ok()?,
                warmup_steps: 0,
                decay: Decay::Exponential {
                    rate: factor.parse().ok()?,
                    steps: every.parse().ok()?,
                },
            };
            let rates = steps.iter().map(|&step| schedule.learning_rate(step, 0));
            (1, rates.map(|rate| rate as f32).collect())
        }
        ["warmup", "weights", warmup, "steps", heads, "heads"] => {
            let config = WarmupHeadsConfig {
                steps: warmup.parse().ok()?,
            };
            let n_heads: usize = heads.parse().ok()?;
            let weights = steps
                .iter()
                .flat_map(|&step| config.loss_weights(step, n_heads));
            (n_heads + 1, weights.map(|weight| weight as f32).collect())
        }
        _ => return None,
    };
    Some(Array {
        shape: vec![steps.len(), columns],
        values,
    })
}
