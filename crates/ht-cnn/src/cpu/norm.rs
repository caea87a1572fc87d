//! Batch normalisation over the images and pixels of each channel, which stand side by side.

use pulp::{Simd, WithSimd};

/// Floats of the widest vector there is.
const MAX_LANES: usize = 64;

/// One call over the channels of all episodes.
pub(super) struct Normalize<'a> {
    /// `[E · O, H · W · B]`.
    pub(super) x: &'a [f32],
    /// `[E · O]`.
    pub(super) scale: &'a [f32],
    /// `[E · O]`.
    pub(super) shift: &'a [f32],
    /// Added to the variance.
    pub(super) epsilon: f32,
    /// Where the result is put behind what there is, as `x`.
    pub(super) out: &'a mut Vec<f32>,
    /// `[E · O]`: mean and 1 / standard deviation.
    pub(super) statistics: &'a mut [(f32, f32)],
}

impl WithSimd for Normalize<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let n = self.x.len() / self.scale.len();
        let channels = self.x.chunks_exact(n);
        let weights = self.scale.iter().zip(self.shift);
        for ((x, (&scale, &shift)), statistics) in channels.zip(weights).zip(self.statistics) {
            let mean = sum(simd, x, x, |x, _| x) / n as f32;
            let squares = sum(simd, x, x, |x, _| {
                let centred = simd.sub_f32s(x, simd.splat_f32s(mean));
                simd.mul_f32s(centred, centred)
            });
            let inverse = 1.0 / (squares / n as f32 + self.epsilon).sqrt();
            *statistics = (mean, inverse);
            let factor = scale * inverse;
            let offset = shift - mean * factor;
            self.out.extend(x.iter().map(|&x| x * factor + offset));
        }
    }
}

/// The way back.
pub(super) struct NormalizeBackward<'a> {
    /// `[E · O, H · W · B]`: what was normalised.
    pub(super) x: &'a [f32],
    /// `[E · O]`.
    pub(super) scale: &'a [f32],
    /// What the way forward found.
    pub(super) statistics: &'a [(f32, f32)],
    /// As `x`: gradient of the result; becomes the gradient of `x`.
    pub(super) gradient: &'a mut [f32],
    /// `[E · O]`.
    pub(super) scale_gradient: &'a mut [f32],
    /// `[E · O]`.
    pub(super) shift_gradient: &'a mut [f32],
}

impl WithSimd for NormalizeBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let n = self.x.len() / self.scale.len();
        let channels = self
            .x
            .chunks_exact(n)
            .zip(self.gradient.chunks_exact_mut(n));
        let weights = self.scale.iter().zip(self.statistics);
        let sums = self.scale_gradient.iter_mut().zip(self.shift_gradient);
        for (((x, gradient), (&scale, &(mean, inverse))), (scale_gradient, shift_gradient)) in
            channels.zip(weights).zip(sums)
        {
            let total = sum(simd, gradient, gradient, |gradient, _| gradient);
            let along = sum(simd, gradient, x, |gradient, x| {
                simd.mul_f32s(gradient, simd.sub_f32s(x, simd.splat_f32s(mean)))
            }) * inverse;
            (*scale_gradient, *shift_gradient) = (along, total);
            let factor = scale * inverse;
            let slope = -factor * inverse * along / n as f32;
            let offset = -factor * total / n as f32 - slope * mean;
            for (gradient, &x) in gradient.iter_mut().zip(x) {
                *gradient = *gradient * factor + (x * slope + offset);
            }
        }
    }
}

/// The sum of a function of two rows.
#[inline(always)]
fn sum<S: Simd>(simd: S, a: &[f32], b: &[f32], term: impl Fn(S::f32s, S::f32s) -> S::f32s) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (S::as_simd_f32s(a), S::as_simd_f32s(b));
    let mut sums = [simd.splat_f32s(0.0); 4];
    let (a_blocks, a_last) = a.as_chunks::<4>();
    let (b_blocks, b_last) = b.as_chunks::<4>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum = simd.add_f32s(*sum, term(a, b));
        }
    }
    for (&a, &b) in a_last.iter().zip(b_last) {
        sums[0] = simd.add_f32s(sums[0], term(a, b));
    }
    if !a_rest.is_empty() {
        let (a, b) = (
            simd.partial_load_f32s(a_rest),
            simd.partial_load_f32s(b_rest),
        );
        let mut last = [0.0; MAX_LANES];
        let last = &mut last[..a_rest.len()];
        simd.partial_store_f32s(last, term(a, b));
        sums[1] = simd.add_f32s(sums[1], simd.partial_load_f32s(last));
    }
    let pairs = simd.add_f32s(sums[0], sums[1]);
    simd.reduce_sum_f32s(simd.add_f32s(pairs, simd.add_f32s(sums[2], sums[3])))
}
