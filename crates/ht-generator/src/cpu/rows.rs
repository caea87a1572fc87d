//! Passes over rows of values: layer norm, softmax, sums of columns.
//!
//! Sums are kept in sixteen lanes, so that the compiler can use whole vectors; `pulp` picks the
//! instruction set at run time.

#![expect(
    clippy::inline_always,
    reason = "a vector instruction set reaches only what is inlined into its entry"
)]

use pulp::Arch;

/// Sums that are kept side by side.
const LANES: usize = 16;

/// Mean and 1 / standard deviation of each row.
pub(super) type RowStatistics = Vec<(f32, f32)>;

/// Scale, shift and what is added to the variance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Norm<'a> {
    /// `[D]`.
    pub(super) scale: &'a [f32],
    /// `[D]`.
    pub(super) shift: &'a [f32],
    /// Added to the variance.
    pub(super) epsilon: f32,
}

impl Norm<'_> {
    /// Normalises each row of `x`.
    pub(super) fn forward(&self, x: &[f32]) -> (Vec<f32>, RowStatistics) {
        let d = self.scale.len();
        let mut out = vec![0.0; x.len()];
        let mut statistics = Vec::with_capacity(x.len() / d);
        Arch::new().dispatch(|| {
            for (x, out) in x.chunks_exact(d).zip(out.chunks_exact_mut(d)) {
                let mean = sum([x], |[x]| x) / d as f32;
                let variance = sum([x], |[x]| (x - mean) * (x - mean)) / d as f32;
                let inverse = 1.0 / (variance + self.epsilon).sqrt();
                statistics.push((mean, inverse));
                let weights = self.scale.iter().zip(self.shift);
                for ((out, &x), (&scale, &shift)) in out.iter_mut().zip(x).zip(weights) {
                    *out = (x - mean) * inverse * scale + shift;
                }
            }
        });
        (out, statistics)
    }

    /// Turns the gradient of the result into that of `x`; returns the gradients of scale and
    /// shift.
    pub(super) fn backward(
        &self,
        x: &[f32],
        statistics: &RowStatistics,
        gradient: &mut [f32],
    ) -> [Vec<f32>; 2] {
        let d = self.scale.len();
        let [mut of_scale, mut of_shift] = [(); 2].map(|()| vec![0.0f32; d]);
        Arch::new().dispatch(|| {
            let rows = x.chunks_exact(d).zip(gradient.chunks_exact_mut(d));
            for ((x, gradient), &(mean, inverse)) in rows.zip(statistics) {
                let sums = of_scale.iter_mut().zip(&mut of_shift);
                for (((of_scale, of_shift), &x), &gradient) in sums.zip(x).zip(&*gradient) {
                    *of_scale += gradient * (x - mean) * inverse;
                    *of_shift += gradient;
                }
                let scale = self.scale;
                let total = sum([gradient, scale], |[g, scale]| g * scale) / d as f32;
                let along = sum([gradient, scale, x], |[g, scale, x]| g * scale * (x - mean))
                    * inverse
                    / d as f32;
                for ((gradient, &x), &scale) in gradient.iter_mut().zip(x).zip(scale) {
                    let normalized = (x - mean) * inverse;
                    *gradient = inverse * (*gradient * scale - total - normalized * along);
                }
            }
        });
        [of_scale, of_shift]
    }
}

/// `x = (x + bias) * factor` for each row.
pub(super) fn add_bias_and_scale(x: &mut [f32], bias: &[f32], factor: f32) {
    Arch::new().dispatch(|| {
        for row in x.chunks_exact_mut(bias.len()) {
            for (x, &bias) in row.iter_mut().zip(bias) {
                *x = (*x + bias) * factor;
            }
        }
    });
}

/// `x = x + bias + y` for each row.
pub(super) fn add_bias_and(x: &mut [f32], bias: &[f32], y: &[f32]) {
    Arch::new().dispatch(|| {
        let d = bias.len();
        for (row, y) in x.chunks_exact_mut(d).zip(y.chunks_exact(d)) {
            for ((x, &bias), &y) in row.iter_mut().zip(bias).zip(y) {
                *x += bias + y;
            }
        }
    });
}

/// `x = x * factor`.
pub(super) fn scale(x: &mut [f32], factor: f32) {
    Arch::new().dispatch(|| {
        for x in x.iter_mut() {
            *x *= factor;
        }
    });
}

/// `x = x + y`.
pub(super) fn add(x: &mut [f32], y: &[f32]) {
    Arch::new().dispatch(|| {
        for (x, &y) in x.iter_mut().zip(y) {
            *x += y;
        }
    });
}

/// `x + bias` for each row, values below zero times `slope`.
pub(super) fn add_bias_and_activate(x: &mut [f32], bias: &[f32], slope: f32) {
    Arch::new().dispatch(|| {
        for row in x.chunks_exact_mut(bias.len()) {
            for (x, &bias) in row.iter_mut().zip(bias) {
                let value = *x + bias;
                *x = if value > 0.0 { value } else { value * slope };
            }
        }
    });
}

/// Multiplies the gradient by `slope` where the activated value is not positive.
pub(super) fn activate_backward(gradient: &mut [f32], activated: &[f32], slope: f32) {
    Arch::new().dispatch(|| {
        for (gradient, &x) in gradient.iter_mut().zip(activated) {
            *gradient = if x > 0.0 {
                *gradient
            } else {
                *gradient * slope
            };
        }
    });
}

/// The sum of all rows.
pub(super) fn sum_rows(x: &[f32], d: usize) -> Vec<f32> {
    let mut sums = vec![0.0f32; d];
    Arch::new().dispatch(|| {
        for row in x.chunks_exact(d) {
            for (sum, &x) in sums.iter_mut().zip(row) {
                *sum += x;
            }
        }
    });
    sums
}

/// Makes each row of scores weights that sum to one; `penalty` is added first, row by row in
/// turns of `rows_each` (one for each episode).
pub(super) fn softmax(scores: &mut [f32], t: usize, penalty: Option<(&[f32], usize)>) {
    Arch::new().dispatch(|| {
        for (number, row) in scores.chunks_exact_mut(t).enumerate() {
            if let Some((penalty, rows_each)) = penalty {
                let penalty = &penalty[number / rows_each * t..][..t];
                for (score, &penalty) in row.iter_mut().zip(penalty) {
                    *score -= penalty;
                }
            }
            let largest = row.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
            for score in row.iter_mut() {
                *score = (*score - largest).exp();
            }
            let factor = 1.0 / sum([row], |[x]| x);
            for weight in row.iter_mut() {
                *weight *= factor;
            }
        }
    });
}

/// Turns the gradient of the weights into that of the scores.
pub(super) fn softmax_backward(gradient: &mut [f32], weights: &[f32], t: usize) {
    Arch::new().dispatch(|| {
        let rows = gradient.chunks_exact_mut(t).zip(weights.chunks_exact(t));
        for (gradient, weights) in rows {
            let total = sum([gradient, weights], |[g, w]| g * w);
            for (gradient, &weight) in gradient.iter_mut().zip(weights) {
                *gradient = weight * (*gradient - total);
            }
        }
    });
}

/// The sum of a function of several rows of the same length.
#[inline(always)]
fn sum<const N: usize>(rows: [&[f32]; N], term: impl Fn([f32; N]) -> f32) -> f32 {
    let blocks = rows.map(|row| row.as_chunks::<LANES>());
    let mut sums = [0.0f32; LANES];
    let (n_blocks, rest) = blocks.first().map_or((0, 0), |(b, r)| (b.len(), r.len()));
    for block in 0..n_blocks {
        let values: [&[f32; LANES]; N] = blocks.map(|(blocks, _)| &blocks[block]);
        for (k, sum) in sums.iter_mut().enumerate() {
            *sum += term(values.map(|values| values[k]));
        }
    }
    for (k, sum) in sums.iter_mut().enumerate().take(rest) {
        *sum += term(blocks.map(|(_, rest)| rest[k]));
    }
    sums.iter().sum()
}
