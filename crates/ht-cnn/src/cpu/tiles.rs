//! The two inner loops that cost: one row of a convolution, and one row's part of the kernel's
//! gradient.
//!
//! Both hold a block of sums in registers, as a matrix product does.

use pulp::Simd;

use super::rows::Rows;

/// Vectors that a tile is wide.
const WIDE: usize = 3;

/// Output channels that share a block of weights: as many as registers allow.
#[inline(always)]
const fn block<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 8 } else { 4 }
}

/// Weights in the order in which the inner loop reads them:
/// `[block of outputs][channel][tap][output in block]`, the last block filled up with zeros.
#[derive(Default)]
pub(super) struct PackedWeights {
    values: Vec<f32>,
    outputs: usize,
}

impl PackedWeights {
    /// Takes `at(output, channel, tap)` of every value.
    #[inline(always)]
    pub(super) fn pack<S: Simd>(
        &mut self,
        [outputs, channels, taps]: [usize; 3],
        at: impl Fn(usize, usize, usize) -> f32,
    ) {
        let block = block::<S>();
        self.outputs = outputs;
        self.values.clear();
        for first in (0..outputs).step_by(block) {
            for c in 0..channels {
                for t in 0..taps {
                    self.values.extend(
                        (first..first + block).map(|o| if o < outputs { at(o, c, t) } else { 0.0 }),
                    );
                }
            }
        }
    }
}

/// Where rows of several outputs go: output `o` starts at `o * stride`.
pub(super) struct RowsMut<'a> {
    /// The buffer.
    pub(super) values: &'a mut [f32],
    /// Floats from one output to the next.
    pub(super) stride: usize,
}

/// `out[o][v] = Σ_c Σ_t weights[o][c][t] · rows[c][taps[t] + v]` for `len` values of v, rounded
/// up to whole vectors.
#[inline(always)]
pub(super) fn convolve_row<S: Simd>(
    simd: S,
    rows: Rows<'_>,
    taps: &[usize],
    weights: &PackedWeights,
    mut out: RowsMut<'_>,
    len: usize,
) {
    if S::REGISTER_COUNT >= 32 {
        blocks::<S, 8>(simd, rows, taps, weights, &mut out, len);
    } else {
        blocks::<S, 4>(simd, rows, taps, weights, &mut out, len);
    }
}

#[inline(always)]
fn blocks<S: Simd, const O: usize>(
    simd: S,
    rows: Rows<'_>,
    taps: &[usize],
    weights: &PackedWeights,
    out: &mut RowsMut<'_>,
    len: usize,
) {
    let vectors = len.div_ceil(S::F32_LANES);
    let block_len = rows.channels * taps.len() * O;
    // All outputs of a tile before the next one: its pixels stay in the nearest cache.
    for at in (0..vectors).step_by(WIDE) {
        let firsts = (0..weights.outputs).step_by(O);
        for (first, block) in firsts.zip(weights.values.chunks_exact(block_len)) {
            let n = O.min(weights.outputs - first);
            let mut out = RowsMut {
                values: &mut out.values[first * out.stride..],
                stride: out.stride,
            };
            match vectors - at {
                1 => tile::<S, O, 1>(simd, rows, taps, block, &mut out, at, n),
                2 => tile::<S, O, 2>(simd, rows, taps, block, &mut out, at, n),
                _ => tile::<S, O, WIDE>(simd, rows, taps, block, &mut out, at, n),
            }
        }
    }
}

/// V vectors from vector `at` on, of the first `n` of O outputs.
#[inline(always)]
fn tile<S: Simd, const O: usize, const V: usize>(
    simd: S,
    rows: Rows<'_>,
    taps: &[usize],
    weights: &[f32],
    out: &mut RowsMut<'_>,
    at: usize,
    n: usize,
) {
    let (at, len) = (at * S::F32_LANES, V * S::F32_LANES);
    let mut sums = [[simd.splat_f32s(0.0); V]; O];
    let (weights, _) = weights.as_chunks::<O>();
    let mut weights = weights.iter();
    for c in 0..rows.channels {
        let channel = &rows.values[c * rows.stride + at..];
        for (&tap, weights) in taps.iter().zip(&mut weights) {
            let (x, _) = S::as_simd_f32s(&channel[tap..tap + len]);
            for (sums, &weight) in sums.iter_mut().zip(weights) {
                let weight = simd.splat_f32s(weight);
                for (sum, &x) in sums.iter_mut().zip(x) {
                    *sum = simd.mul_add_e_f32s(weight, x, *sum);
                }
            }
        }
    }
    for (o, sums) in sums.iter().enumerate().take(n) {
        let (out, _) = S::as_mut_simd_f32s(&mut out.values[o * out.stride + at..][..len]);
        out.copy_from_slice(sums);
    }
}

/// Rows of a gradient and of the input that belong together.
pub(super) struct Lines<'a> {
    /// For each row: where it starts in the gradient, and how far the taps move in the input.
    pub(super) starts: &'a [(usize, usize)],
    /// Values of a row; behind them the gradient must be zero up to a whole vector.
    pub(super) len: usize,
}

/// Adds `Σ_r Σ_v gradient[o][r][v] · input[c][r][taps[t] + v]` to `sums[o][c][t]`, each of which
/// is a whole vector until the end.
#[inline(always)]
pub(super) fn correlate_rows<S: Simd>(
    simd: S,
    input: Rows<'_>,
    taps: &[usize],
    gradient: Rows<'_>,
    lines: &Lines<'_>,
    sums: &mut [S::f32s],
) {
    let n = gradient.channels;
    let mut first = 0;
    // All of the input for some outputs before the next ones: their gradient stays in a near
    // cache.
    while first < n {
        first += match n - first {
            8.. if S::REGISTER_COUNT >= 32 => {
                channels::<S, 8>(simd, input, taps, gradient, lines, sums, first)
            }
            4.. => channels::<S, 4>(simd, input, taps, gradient, lines, sums, first),
            _ => channels::<S, 1>(simd, input, taps, gradient, lines, sums, first),
        };
    }
}

/// All channels and taps for outputs `first` to `first + O`; returns O.
#[inline(always)]
fn channels<S: Simd, const O: usize>(
    simd: S,
    input: Rows<'_>,
    taps: &[usize],
    gradient: Rows<'_>,
    lines: &Lines<'_>,
    sums: &mut [S::f32s],
    first: usize,
) -> usize {
    let stride = input.channels * taps.len();
    for c in 0..input.channels {
        let channel = &input.values[c * input.stride..];
        let mut t = 0;
        while t < taps.len() {
            let sums = &mut sums[first * stride + c * taps.len() + t..];
            let taps = &taps[t..];
            t += match taps.len() {
                1 => products::<S, O, 1>(simd, channel, taps, gradient, lines, sums, first, stride),
                2 => products::<S, O, 2>(simd, channel, taps, gradient, lines, sums, first, stride),
                _ => products::<S, O, 3>(simd, channel, taps, gradient, lines, sums, first, stride),
            };
        }
    }
    O
}

/// The next T taps for outputs `first` to `first + O`, whose sums are `stride` apart; returns T.
#[inline(always)]
#[expect(
    clippy::too_many_arguments,
    reason = "a struct would be built in the inner loop"
)]
fn products<S: Simd, const O: usize, const T: usize>(
    simd: S,
    input: &[f32],
    taps: &[usize],
    gradient: Rows<'_>,
    lines: &Lines<'_>,
    sums: &mut [S::f32s],
    first: usize,
    stride: usize,
) -> usize {
    let vectors = lines.len.div_ceil(S::F32_LANES);
    let mut products = [[simd.splat_f32s(0.0); T]; O];
    for &(start, shift) in lines.starts {
        let input: [_; T] =
            core::array::from_fn(|t| &S::as_simd_f32s(&input[taps[t] + shift..]).0[..vectors]);
        let gradient: [_; O] = core::array::from_fn(|o| {
            let line = &gradient.values[(first + o) * gradient.stride + start..];
            &S::as_simd_f32s(line).0[..vectors]
        });
        for v in 0..vectors {
            for (products, gradient) in products.iter_mut().zip(gradient) {
                for (product, input) in products.iter_mut().zip(input) {
                    *product = simd.mul_add_e_f32s(gradient[v], input[v], *product);
                }
            }
        }
    }
    for (o, products) in products.iter().enumerate() {
        for (sum, &product) in sums[o * stride..][..T].iter_mut().zip(products) {
            *sum = simd.add_f32s(*sum, product);
        }
    }
    T
}
