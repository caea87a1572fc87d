//! The loops: convolution, pooling, activation, scale and shift in one pass over an image.
//!
//! Activations lie in H, W, C order with the zeros of the next layer around them. So a row of a
//! kernel meets F * I values in a row, and no loop knows an edge. The output channels are
//! innermost, 8 or 4 of them in an array that the compiler keeps in vector registers for four
//! pixels at a time: a window of the pooling, or four neighbours.

#![expect(
    clippy::inline_always,
    reason = "sums stay in registers only within one function"
)]

use crate::layer::{Activation, Layer, Shape};

/// The slope of the leaky ReLU for negative values.
const SLOPE: f32 = 0.01;

/// Sizes of one layer's loops.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    /// With its zeros.
    input: Shape,
    /// Zeros before the rows and before the columns of the input.
    zeros: [usize; 2],
    /// Without zeros.
    output: Shape,
    /// The output with the zeros of the next layer.
    target: Shape,
    /// Row and column of the target at which the output starts.
    origin: [usize; 2],
    kernel: usize,
    stride: usize,
    activation: Activation,
    is_pooled: bool,
}

impl Default for Sizes {
    fn default() -> Self {
        let nothing = Shape {
            channels: 0,
            height: 0,
            width: 0,
        };
        Self {
            input: nothing,
            zeros: [0, 0],
            output: nothing,
            target: nothing,
            origin: [0, 0],
            kernel: 0,
            stride: 0,
            activation: Activation::Relu,
            is_pooled: false,
        }
    }
}

impl Sizes {
    pub(crate) fn of(layer: &Layer<'_>) -> Self {
        Self {
            input: layer.padded(),
            zeros: layer.padding.map(|(before, _)| before),
            output: layer.output,
            target: layer.output,
            origin: [0, 0],
            kernel: layer.kernel,
            stride: layer.stride,
            activation: layer.activation,
            is_pooled: layer.is_pooled,
        }
    }

    /// Puts the output into a larger plane.
    pub(crate) fn leave_room(&mut self, target: Shape, origin: [usize; 2]) {
        self.target = target;
        self.origin = origin;
    }

    pub(crate) fn input_len(&self) -> usize {
        self.input.len()
    }

    pub(crate) fn output_len(&self) -> usize {
        self.target.len()
    }

    pub(crate) fn unpacked_len(&self) -> usize {
        self.output.channels * (self.taps() + 3)
    }

    /// F * F * I.
    fn taps(&self) -> usize {
        self.kernel * self.row_taps()
    }

    /// F * I.
    fn row_taps(&self) -> usize {
        self.kernel * self.input.channels
    }

    /// Where an output pixel lies in the target.
    fn place(&self, y: usize, x: usize) -> usize {
        let [top, left] = self.origin;
        ((top + y) * self.target.width + left + x) * self.target.channels
    }

    /// Values between two rows of the input.
    fn pitch(&self) -> usize {
        self.input.width * self.input.channels
    }
}

/// Output channels that one block of loops takes.
pub(crate) fn block(n_left: usize) -> usize {
    match n_left {
        8.. => 8,
        4..8 => 4,
        _ => 1,
    }
}

/// Writes an image's values into the input of the first layer.
pub(crate) fn read_image(image: &[u8], shape: Shape, first: &Sizes, target: &mut [f32]) {
    target.fill(0.0);
    let Shape {
        channels,
        height,
        width,
    } = shape;
    let [top, left] = first.zeros;
    let planes = image.chunks_exact(height * width).enumerate();
    for (channel, plane) in planes {
        for (y, row) in plane.chunks_exact(width).enumerate() {
            let start = ((top + y) * first.input.width + left) * channels;
            let target = &mut target[start..start + width * channels];
            for (pixel, byte) in target.chunks_exact_mut(channels).zip(row) {
                pixel[channel] = f32::from(*byte) * (1.0 / 128.0) - 1.0;
            }
        }
    }
}

/// One layer: input with its zeros in, output among the zeros of the next layer out.
pub(crate) fn layer(sizes: &Sizes, weights: &[f32], input: &[f32], output: &mut [f32]) {
    if sizes.target != sizes.output {
        output.fill(0.0);
    }
    let channels = sizes.output.channels;
    let mut first = 0;
    while first < channels {
        first += match block(channels - first) {
            8 => channel_block::<8>(sizes, weights, first, input, output),
            4 => channel_block::<4>(sizes, weights, first, input, output),
            _ => channel_block::<1>(sizes, weights, first, input, output),
        };
    }
}

/// What comes behind a convolution, for B output channels.
struct Epilogue<const B: usize> {
    slope: f32,
    scale: [f32; B],
    shift: [f32; B],
}

impl<const B: usize> Epilogue<B> {
    #[inline(always)]
    fn apply(&self, sums: &[f32; B], target: &mut [f32]) {
        let target = &mut target[..B];
        for b in 0..B {
            let x = sums[b];
            let x = if x > 0.0 { x } else { x * self.slope };
            target[b] = x * self.scale[b] + self.shift[b];
        }
    }
}

/// B output channels of a layer, from channel `first` on. Returns B.
fn channel_block<const B: usize>(
    sizes: &Sizes,
    weights: &[f32],
    first: usize,
    input: &[f32],
    output: &mut [f32],
) -> usize {
    let (channels, taps) = (sizes.output.channels, sizes.taps());
    let (kernel, rest) = weights.split_at(channels * taps);
    let (kernel, _) = kernel[first * taps..(first + B) * taps].as_chunks::<B>();
    let part = |index: usize| -> [f32; B] {
        let start = index * channels + first;
        core::array::from_fn(|b| rest[start + b])
    };
    let bias = part(0);
    let epilogue = Epilogue {
        slope: match sizes.activation {
            Activation::Relu => 0.0,
            Activation::LeakyRelu => SLOPE,
        },
        scale: part(1),
        shift: part(2),
    };
    let (pitch, row_taps) = (sizes.pitch(), sizes.row_taps());
    let (down, right) = (sizes.stride * pitch, sizes.stride * sizes.input.channels);
    for y in 0..sizes.output.height {
        let place = sizes.place(y, 0) + first;
        let row = &mut output[place..];
        let pixels = row
            .chunks_mut(sizes.target.channels)
            .take(sizes.output.width);
        if sizes.is_pooled {
            for (x, pixel) in pixels.enumerate() {
                let start = 2 * (y * down + x * right);
                let starts = [start, start + right, start + down, start + down + right];
                let [a, b, c, d] = convolve(kernel, &bias, input, starts, pitch, row_taps);
                epilogue.apply(&greater(&greater(&a, &b), &greater(&c, &d)), pixel);
            }
        } else {
            convolve_row(sizes, kernel, &bias, &epilogue, (input, y * down), pixels);
        }
    }
    B
}

/// A row of output pixels without pooling: four at a time, then one at a time.
#[inline(always)]
fn convolve_row<'a, const B: usize>(
    sizes: &Sizes,
    kernel: &[[f32; B]],
    bias: &[f32; B],
    epilogue: &Epilogue<B>,
    (input, start): (&[f32], usize),
    mut pixels: impl Iterator<Item = &'a mut [f32]>,
) {
    let (pitch, row_taps) = (sizes.pitch(), sizes.row_taps());
    let right = sizes.stride * sizes.input.channels;
    let width = sizes.output.width;
    let whole = width / 4 * 4;
    for x in (0..whole).step_by(4) {
        let starts = [0, 1, 2, 3].map(|n| start + (x + n) * right);
        let sums = convolve(kernel, bias, input, starts, pitch, row_taps);
        for (sums, pixel) in sums.iter().zip(&mut pixels) {
            epilogue.apply(sums, pixel);
        }
    }
    for (x, pixel) in (whole..width).zip(pixels) {
        let starts = [start + x * right];
        let [sums] = convolve(kernel, bias, input, starts, pitch, row_taps);
        epilogue.apply(&sums, pixel);
    }
}

/// B output channels of P pixels.
///
/// # Shapes
/// - `kernel`: `[F * F * I, B]`
/// - `starts`: where in the input each pixel's window starts
/// - returns: `[P, B]`
#[inline(always)]
fn convolve<const B: usize, const P: usize>(
    kernel: &[[f32; B]],
    bias: &[f32; B],
    input: &[f32],
    starts: [usize; P],
    pitch: usize,
    row_taps: usize,
) -> [[f32; B]; P] {
    let mut sums = [*bias; P];
    for (y, kernel) in kernel.chunks_exact(row_taps).enumerate() {
        let rows = starts.map(|start| &input[start + y * pitch..][..row_taps]);
        for (tap, weights) in kernel.iter().enumerate() {
            for (sums, row) in sums.iter_mut().zip(&rows) {
                let x = row[tap];
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum += x * weight;
                }
            }
        }
    }
    sums
}

#[inline(always)]
fn greater<const B: usize>(a: &[f32; B], b: &[f32; B]) -> [f32; B] {
    core::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
}

/// The mean over the pixels.
///
/// # Shapes
/// - `input`: `[H, W, C]`
/// - `output`: `[C]`
pub(crate) fn means(input: &[f32], output: &mut [f32]) {
    let channels = output.len();
    output.fill(0.0);
    for pixel in input.chunks_exact(channels) {
        for (sum, value) in output.iter_mut().zip(pixel) {
            *sum += value;
        }
    }
    let n_pixels = (input.len() / channels) as f32;
    for sum in output {
        *sum /= n_pixels;
    }
}

/// The logits layer.
///
/// # Shapes
/// - `weights`: kernel `[N, P]` in blocks of rows, then bias `[N]`
/// - `features`: `[P]`
/// - `logits`: `[N]`
pub(crate) fn logits(weights: &[f32], features: &[f32], logits: &mut [f32]) {
    let (kernel, bias) = weights.split_at(logits.len() * features.len());
    logits.copy_from_slice(bias);
    let (mut kernel, mut rest) = (kernel, logits);
    while !rest.is_empty() {
        let block = block(rest.len());
        let (rows, later) = kernel.split_at(block * features.len());
        let (some, others) = rest.split_at_mut(block);
        match block {
            8 => rows_block::<8>(rows, features, some),
            4 => rows_block::<4>(rows, features, some),
            _ => rows_block::<1>(rows, features, some),
        }
        (kernel, rest) = (later, others);
    }
}

fn rows_block<const B: usize>(kernel: &[f32], features: &[f32], logits: &mut [f32]) {
    let mut sums = [0.0; B];
    for (weights, x) in kernel.as_chunks::<B>().0.iter().zip(features) {
        for (sum, weight) in sums.iter_mut().zip(weights) {
            *sum += x * weight;
        }
    }
    for (logit, sum) in logits.iter_mut().zip(sums) {
        *logit += sum;
    }
}
