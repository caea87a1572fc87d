//! Passes over rows of values: layer norm, softmax, sums of columns.
//!
//! Sums are kept in sixteen lanes, so that the compiler can use whole vectors.

#![expect(
    clippy::inline_always,
    reason = "a vector instruction set reaches only what is inlined into its entry"
)]

use std::borrow::Cow;

use ht_episodes::vectorized;

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
        let mut out = Vec::with_capacity(x.len());
        let mut statistics = Vec::with_capacity(x.len() / d);
        vectorized(
            #[inline(always)]
            || {
                for x in x.chunks_exact(d) {
                    let mean = sum([x], |[x]| x) / d as f32;
                    let variance = sum([x], |[x]| (x - mean) * (x - mean)) / d as f32;
                    let inverse = 1.0 / (variance + self.epsilon).sqrt();
                    statistics.push((mean, inverse));
                    let weights = self.scale.iter().zip(self.shift);
                    out.extend(
                        x.iter()
                            .zip(weights)
                            .map(|(&x, (&scale, &shift))| (x - mean) * inverse * scale + shift),
                    );
                }
            },
        );
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
        vectorized(
            #[inline(always)]
            || {
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
            },
        );
        [of_scale, of_shift]
    }
}

/// `x + row` for each row of `x`.
pub(super) fn add_row(x: &[f32], row: &[f32]) -> Vec<f32> {
    let mut sums = Vec::with_capacity(x.len());
    vectorized(
        #[inline(always)]
        || {
            for x in x.chunks_exact(row.len()) {
                sums.extend(x.iter().zip(row).map(|(x, y)| x + y));
            }
        },
    );
    sums
}

/// `x = x + y`.
pub(super) fn add(x: &mut [f32], y: &[f32]) {
    vectorized(
        #[inline(always)]
        || {
            for (x, &y) in x.iter_mut().zip(y) {
                *x += y;
            }
        },
    );
}

/// Of each of E blocks of T rows the first R.
pub(super) fn first_of_each(rows: &[f32], e: usize, [t, r]: [usize; 2]) -> Cow<'_, [f32]> {
    if t == r {
        return Cow::Borrowed(rows);
    }
    let block = rows.len() / e;
    let blocks = rows.chunks_exact(block);
    let firsts = blocks.map(|block_rows| &block_rows[..block / t * r]);
    Cow::Owned(firsts.collect::<Vec<_>>().concat())
}

/// E blocks of rows as the first rows of larger blocks, `len` values in all; zeros behind them.
pub(super) fn spread_to_first(firsts: &[f32], e: usize, len: usize) -> Vec<f32> {
    if firsts.len() == len {
        return firsts.to_vec();
    }
    let mut rows = vec![0.0; len];
    add_to_first(&mut rows, firsts, e);
    rows
}

/// Adds E blocks of rows to the first rows of as many larger blocks.
pub(super) fn add_to_first(rows: &mut [f32], firsts: &[f32], e: usize) {
    let (block, first) = (rows.len() / e, firsts.len() / e);
    let blocks = rows.chunks_exact_mut(block);
    for (block, first) in blocks.zip(firsts.chunks_exact(first)) {
        add(&mut block[..first.len()], first);
    }
}

/// Multiplies values below zero by `slope`.
pub(super) fn activate(x: &mut [f32], slope: f32) {
    vectorized(
        #[inline(always)]
        || {
            for x in x.iter_mut() {
                *x = if *x > 0.0 { *x } else { *x * slope };
            }
        },
    );
}

/// Multiplies the gradient by `slope` where the activated value is not positive.
pub(super) fn activate_backward(gradient: &mut [f32], activated: &[f32], slope: f32) {
    vectorized(
        #[inline(always)]
        || {
            for (gradient, &x) in gradient.iter_mut().zip(activated) {
                *gradient = if x > 0.0 {
                    *gradient
                } else {
                    *gradient * slope
                };
            }
        },
    );
}

/// The sum of all rows.
pub(super) fn sum_rows(x: &[f32], d: usize) -> Vec<f32> {
    let mut sums = vec![0.0f32; d];
    vectorized(
        #[inline(always)]
        || {
            for row in x.chunks_exact(d) {
                for (sum, &x) in sums.iter_mut().zip(row) {
                    *sum += x;
                }
            }
        },
    );
    sums
}

/// Makes each row of scores weights that sum to one; `penalty` is subtracted first, row by row in
/// turns of `rows_each` (one for each episode).
pub(super) fn softmax(scores: &mut [f32], t: usize, penalty: Option<(&[f32], usize)>) {
    vectorized(
        #[inline(always)]
        || {
            for (number, row) in scores.chunks_exact_mut(t).enumerate() {
                if let Some((penalty, rows_each)) = penalty {
                    let penalty = &penalty[number / rows_each * t..][..t];
                    for (score, &penalty) in row.iter_mut().zip(penalty) {
                        *score -= penalty;
                    }
                }
                let largest = largest(row);
                for score in row.iter_mut() {
                    *score = exp_of_negative(*score - largest);
                }
                let factor = 1.0 / sum([row], |[x]| x);
                for weight in row.iter_mut() {
                    *weight *= factor;
                }
            }
        },
    );
}

/// `exp(x)` for x <= 0, within 2 units in the last place, in operations that fit whole vectors;
/// 0 below -87, where it would soon be no normal number.
#[inline(always)]
fn exp_of_negative(x: f32) -> f32 {
    /// Adding it rounds to a whole number, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts: the first has few digits, so that a multiple of it is exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let is_zero = x < -87.0;
    // A comparison, and not `max`: what is no number stays none.
    let x = if is_zero { -87.0 } else { x };
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let twos = rounded - ROUND;
    let rest = x - twos * LN_2[0] - twos * LN_2[1];
    // The series of exp(rest), |rest| <= ln 2 / 2, from its eighth term.
    let series = [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ];
    let power = series
        .into_iter()
        .fold(1.0 / 5040.0, |sum, term| sum * rest + term);
    let exponent = rounded.to_bits().wrapping_sub(ROUND.to_bits());
    let result = f32::from_bits(exponent.wrapping_add(127) << 23) * power;
    if is_zero { 0.0 } else { result }
}

/// Turns the gradient of the weights into that of the scores.
pub(super) fn softmax_backward(gradient: &mut [f32], weights: &[f32], t: usize) {
    vectorized(
        #[inline(always)]
        || {
            let rows = gradient.chunks_exact_mut(t).zip(weights.chunks_exact(t));
            for (gradient, weights) in rows {
                let total = sum([gradient, weights], |[g, w]| g * w);
                for (gradient, &weight) in gradient.iter_mut().zip(weights) {
                    *gradient = weight * (*gradient - total);
                }
            }
        },
    );
}

/// The largest value, or minus infinity.
#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    let (blocks, rest) = row.as_chunks::<LANES>();
    let mut most = [f32::NEG_INFINITY; LANES];
    for block in blocks {
        for (most, &value) in most.iter_mut().zip(block) {
            *most = if value > *most { value } else { *most };
        }
    }
    most.iter()
        .chain(rest)
        .fold(f32::NEG_INFINITY, |a, &b| a.max(b))
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

#[cfg(test)]
mod tests {
    use super::exp_of_negative;

    #[test]
    fn the_exponential_is_exact_to_two_units() {
        for step in 0..400_000 {
            let x = -2.2e-4 * step as f32;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp_of_negative(x)) - exact).abs() / exact;
            assert!(error < 2.4e-7 || x < -87.0, "{x}: {error:e}");
        }
        assert!(exp_of_negative(f32::NAN).is_nan());
        for (x, exact) in [(0.0, 1.0f32), (-88.0, 0.0), (f32::NEG_INFINITY, 0.0)] {
            assert_eq!(exp_of_negative(x).to_bits(), exact.to_bits(), "{x}");
        }
    }
}
