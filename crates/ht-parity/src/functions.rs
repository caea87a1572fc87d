//! Recorded functions: image operations, the class permutation and the schedules, one output
//! tensor each, with the parameters in the tensor's name.

use crate::Deviations;
use crate::image_operations::check_image_operations;
use crate::schedules::schedule;
use crate::tensors::Arrays;

/// Part of a schedule's largest value that ours may differ by.
const SCHEDULE: f64 = 1e-6;

/// Compares every `out/..` tensor of a file of recorded functions.
pub fn compare_functions(arrays: &Arrays) -> Deviations {
    let mut deviations = Deviations::default();
    let mut operations = check_image_operations(arrays);
    for (name, theirs) in arrays.iter().filter(|(name, _)| name.starts_with("out/")) {
        if let Some(at) = operations.iter().position(|row| row.name == *name) {
            let row = operations.swap_remove(at);
            deviations.add_forward(name, row.deviation, row.tolerance);
        } else if let Some(ours) = schedule(name, arrays) {
            deviations.add_forward(name, ours.deviation_from(theirs), SCHEDULE);
        } else {
            deviations.not_compared(name);
        }
    }
    deviations
}
