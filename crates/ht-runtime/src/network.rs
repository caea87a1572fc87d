//! A CNN ready to run: where each layer's weights and activations lie in the workspace.
//!
//! ```text
//! workspace  | kernels, biases, scales, shifts in the order of the loops | activations |
//! ```
//!
//! A layer reads its input at one end of the activations and writes its output at the other, so
//! that the longest pair of neighbours is all the memory that activations take.

use crate::Error;
use crate::cnn::{Cnn, MAX_LAYERS};
use crate::convolution::{self, Sizes};
use crate::layer::{Layer, Matrix, Shape};

/// Sizes of all that happens to an image.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    steps: [Sizes; MAX_LAYERS],
    n_steps: usize,
    image: Shape,
    /// Shape of the last activations.
    last: Shape,
    n_features: usize,
    n_labels: usize,
    weights_len: u64,
    activations_len: usize,
}

/// A CNN in a workspace.
pub struct Network<'w> {
    plan: Plan,
    weights: &'w [f32],
    activations: &'w mut [f32],
}

impl Plan {
    pub(crate) fn new(image: Shape) -> Self {
        Self {
            steps: [Sizes::default(); MAX_LAYERS],
            n_steps: 0,
            image,
            last: image,
            n_features: 0,
            n_labels: 0,
            weights_len: 0,
            activations_len: 0,
        }
    }

    /// Appends a layer. The layer before it leaves room for its zeros.
    pub(crate) fn push_layer(&mut self, layer: &Layer<'_>) {
        let padded = layer.padded();
        let origin = layer.padding.map(|(before, _)| before);
        if let Some(before) = self.steps[..self.n_steps].last_mut() {
            before.leave_room(padded, origin);
        }
        self.weights_len += layer.unpacked_len() as u64;
        self.last = layer.output;
        self.steps[self.n_steps] = Sizes::of(layer);
        self.n_steps += 1;
    }

    /// Appends the logits layer.
    pub(crate) fn finish(&mut self, is_mean: bool, n_labels: usize) {
        self.n_labels = n_labels;
        self.n_features = if is_mean {
            self.last.channels
        } else {
            self.last.len()
        };
        self.weights_len += n_labels as u64 * (self.n_features as u64 + 1);
        let steps = &self.steps[..self.n_steps];
        let pairs = steps
            .iter()
            .map(|step| step.input_len() + step.output_len());
        // The means are a step of their own.
        let means = if is_mean {
            self.last.len() + self.n_features
        } else {
            0
        };
        self.activations_len = pairs.max().unwrap_or(0).max(means);
    }

    pub(crate) fn n_features(&self) -> usize {
        self.n_features
    }

    pub(crate) fn activations_len(&self) -> usize {
        self.activations_len
    }

    pub(crate) fn workspace_len(&self) -> u64 {
        self.weights_len + self.activations_len as u64
    }

    fn is_mean(&self) -> bool {
        self.n_features != self.last.len()
    }
}

impl<'w> Network<'w> {
    pub(crate) fn load(
        cnn: &Cnn<'_>,
        plan: &Plan,
        workspace: &'w mut [f32],
    ) -> Result<Self, Error> {
        check_len("workspace", cnn.workspace_len(), workspace.len())?;
        let (weights, activations) = workspace.split_at_mut(plan.weights_len as usize);
        let mut rest = &mut *weights;
        let mut layers = cnn.layers();
        while let Some(layer) = layers.next()? {
            let (mine, later) = rest.split_at_mut(layer.unpacked_len());
            unpack_layer(&layer, mine);
            rest = later;
        }
        let (logits, _) = layers.logits(plan.n_features)?;
        let (kernel, bias) = rest.split_at_mut(plan.n_labels * plan.n_features);
        unpack_matrix(
            &logits.kernel,
            plan.n_labels,
            plan.n_features,
            |tap| tap,
            kernel,
        );
        logits.bias.copy_to(bias);
        Ok(Self {
            plan: *plan,
            weights,
            activations,
        })
    }

    /// Logits of one image.
    ///
    /// # Shapes
    /// - `image`: `[C, H, W]` bytes; a pixel's value is byte / 128 - 1
    /// - `logits`: `[N]`, overwritten
    ///
    /// # Errors
    /// A slice of another length.
    pub fn classify(&mut self, image: &[u8], logits: &mut [f32]) -> Result<(), Error> {
        let plan = &self.plan;
        check_len("image", plan.image.len(), image.len())?;
        check_len("logits", plan.n_labels, logits.len())?;
        let mut weights = self.weights;
        let mut ends = Ends {
            values: self.activations,
            is_front: true,
        };
        let steps = &plan.steps[..plan.n_steps];
        if let Some(first) = steps.first() {
            convolution::read_image(image, plan.image, first, ends.input(first.input_len()));
        }
        for step in steps {
            let (mine, later) = weights.split_at(step.unpacked_len());
            let (input, output) = ends.pair(step.input_len(), step.output_len());
            convolution::layer(step, mine, input, output);
            weights = later;
            ends.turn();
        }
        if plan.is_mean() {
            let (input, output) = ends.pair(plan.last.len(), plan.n_features);
            convolution::means(input, output);
            ends.turn();
        }
        let features = ends.input(plan.n_features);
        convolution::logits(weights, features, logits);
        Ok(())
    }
}

/// The two ends of the activations.
struct Ends<'a> {
    values: &'a mut [f32],
    /// Whether the input of the next step is in front.
    is_front: bool,
}

impl Ends<'_> {
    fn input(&mut self, len: usize) -> &mut [f32] {
        self.pair(len, 0).0
    }

    fn pair(&mut self, input: usize, output: usize) -> (&mut [f32], &mut [f32]) {
        let len = self.values.len();
        if self.is_front {
            let (front, back) = self.values.split_at_mut(input);
            let start = back.len() - output;
            (front, &mut back[start..])
        } else {
            let (front, back) = self.values.split_at_mut(len - input);
            (back, &mut front[..output])
        }
    }

    fn turn(&mut self) {
        self.is_front = !self.is_front;
    }
}

/// Kernel in the order of the loops, then bias, scale and shift.
fn unpack_layer(layer: &Layer<'_>, target: &mut [f32]) {
    let (channels, taps, inputs) = (layer.output.channels, layer.taps(), layer.input.channels);
    let (kernel, rest) = target.split_at_mut(channels * taps);
    let area = layer.kernel * layer.kernel;
    // In the loops a tap is row, column, channel of the input; in the file channel, row, column.
    let stored = |tap: usize| (tap % inputs) * area + tap / inputs;
    unpack_matrix(&layer.weights, channels, taps, stored, kernel);
    let (bias, rest) = rest.split_at_mut(channels);
    match &layer.bias {
        Some(values) => values.copy_to(bias),
        None => bias.fill(0.0),
    }
    let (scale, shift) = rest.split_at_mut(channels);
    layer.scale.copy_to(scale);
    layer.shift.copy_to(shift);
}

/// Rows in blocks of 8, 4 or 1; within a block, the taps in order, and of each tap all rows.
fn unpack_matrix(
    matrix: &Matrix<'_>,
    rows: usize,
    columns: usize,
    stored: impl Fn(usize) -> usize,
    target: &mut [f32],
) {
    let mut first = 0;
    while first < rows {
        let block = convolution::block(rows - first);
        let start = first * columns;
        let target = &mut target[start..start + block * columns];
        for (tap, values) in target.chunks_exact_mut(block).enumerate() {
            for (row, value) in values.iter_mut().enumerate() {
                *value = matrix.get(first + row, stored(tap), columns);
            }
        }
        first += block;
    }
}

fn check_len(argument: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found {
        Ok(())
    } else {
        Err(Error::SliceLength {
            argument,
            expected,
            found,
        })
    }
}
