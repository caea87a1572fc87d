//! One case, run by our code and compared with every tensor that was recorded.
//!
//! Forward results may differ by 1e-4 of a tensor's largest value, gradients by 1e-4 of the
//! case's largest gradient (some are zero in exact arithmetic, and only rounding remains).

use burn::tensor::{DType, Tensor};
use ht_cnn::{LayerWeights, LogitsWeights};
use ht_episodes::EpisodeBatch;
use ht_generator::{Pass, Trace};
use ht_train::{BatchLoss, batch_loss, from_vector, gradient_vector, n_correct, query_loss};

use crate::Case;
use crate::tensors::{Array, difference};

const FORWARD: f64 = 1e-4;
const GRADIENT: f64 = 1e-4;
/// After 0, 1, 2 and 3 steps of SGD, relative to the loss or to 1.
const SGD: [f64; 4] = [1e-4, 2e-5, 5e-4, 5e-3];

/// How far our results of one case are from the recorded ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deviations {
    /// Largest deviation of a forward result, relative to the tensor's largest value.
    pub forward: f64,
    /// Largest deviation of a gradient, relative to the largest gradient.
    pub gradient: f64,
    /// Tensors that were compared.
    pub n_compared: usize,
    /// One line for each tensor that is out of tolerance or could not be compared.
    pub failures: Vec<String>,
}

/// Everything we compute for a case.
struct Ours {
    trace: Trace,
    loss: BatchLoss,
    real_loss: Tensor<1>,
    head_weights: Vec<f64>,
    gradient: Vec<f32>,
    accuracy: f32,
    /// Convolution layers; the logits layer is number `depth + 1`.
    depth: usize,
}

/// Runs a case and compares it; what differs is in the result.
pub fn compare(case: &Case) -> Deviations {
    let mut deviations = Deviations::default();
    let n_parameters = case.parameters.dims()[0];
    if case.num_trainable.is_some_and(|n| n != n_parameters) {
        deviations.failures.push(format!(
            "num_trainable is {:?}, but the generator has {n_parameters} parameters",
            case.num_trainable
        ));
    }
    let ours = run(case);
    let largest_gradient = case
        .recorded
        .iter()
        .filter(|(name, _)| name.starts_with("grad/"))
        .fold(0f32, |largest, (_, array)| largest.max(array.largest()));
    for (name, theirs) in &case.recorded {
        if name.starts_with("in/") || name.starts_with("var/") {
            continue;
        }
        if let Some(variable) = name.strip_prefix("grad/") {
            match case.variables.pair(variable, &ours.gradient, theirs) {
                Some((ours, theirs)) => {
                    let deviation = difference(&ours, &theirs.values) / f64::from(largest_gradient);
                    deviations.gradient = deviations.gradient.max(deviation);
                    deviations.add(name, deviation, GRADIENT);
                }
                None => deviations.not_compared(name),
            }
        } else if name == "out/sgd_losses" {
            let losses = sgd_losses(case, theirs.values.len());
            for (step, (ours, theirs)) in losses.iter().zip(&theirs.values).enumerate() {
                let theirs = f64::from(*theirs);
                let deviation = (ours - theirs).abs() / theirs.abs().max(1.0);
                let tolerance = SGD.get(step).copied().unwrap_or(SGD[3]);
                deviations.add(&format!("{name} after step {step}"), deviation, tolerance);
            }
        } else if let Some(head) = name.strip_prefix("learned/head_") {
            // A head is its parameters and nothing else.
            let role = format!("cnn.head_{}", head.replace("-eval", "").replace('/', "."));
            match case.parameter(&role, theirs) {
                Some((ours, theirs)) => {
                    let deviation = difference(&ours, &theirs.values);
                    deviations.add(name, deviation, FORWARD);
                }
                None => deviations.not_compared(name),
            }
        } else {
            let summed = theirs.sum();
            let theirs = if name == "out/reg_terms" {
                &summed
            } else {
                theirs
            };
            match ours.find(name) {
                Found::One(ours) => {
                    deviations.add_forward(name, ours.deviation_from(theirs), FORWARD);
                }
                // The record does not say which pass it shows.
                Found::EitherPass(passes) => {
                    let deviation = passes
                        .iter()
                        .map(|ours| ours.deviation_from(theirs))
                        .fold(f64::INFINITY, f64::min);
                    deviations.add_forward(name, deviation, FORWARD);
                }
                Found::Nothing => deviations.not_compared(name),
            }
        }
    }
    deviations
}

impl Deviations {
    /// Whether everything was compared and is within tolerance.
    pub fn is_ok(&self) -> bool {
        self.failures.is_empty() && self.n_compared > 0
    }

    /// Adds a forward result.
    pub(crate) fn add_forward(&mut self, name: &str, deviation: f64, tolerance: f64) {
        self.forward = self.forward.max(deviation);
        self.add(name, deviation, tolerance);
    }

    fn add(&mut self, name: &str, deviation: f64, tolerance: f64) {
        self.n_compared += 1;
        // Not a number is no agreement.
        if deviation.is_nan() || deviation > tolerance {
            self.failures.push(format!(
                "{name}: {deviation:.1e}, expected at most {tolerance:.0e}"
            ));
        }
    }

    pub(crate) fn not_compared(&mut self, name: &str) {
        self.failures
            .push(format!("{name}: nothing to compare it with"));
    }
}

fn run(case: &Case) -> Ours {
    let mut pass = Pass::evaluation().traced();
    let model = from_vector(case.model.clone(), &case.parameters);
    let loss = batch_loss(&model, &case.batch, &case.loss, case.step, &mut pass);
    let real_loss = query_loss(
        &loss.logits,
        &case.batch.query,
        None,
        case.loss.label_smoothing,
    );
    let gradient = gradient_vector(&model, loss.total.clone().backward());
    let labels = case.batch.query.labels.clone().inner();
    let n_query = labels.dims()[1];
    let n_correct: usize = n_correct(loss.logits.clone().inner(), labels, None)
        .iter()
        .sum();
    Ours {
        trace: pass.into_trace(),
        real_loss,
        head_weights: match model.warmup_heads() {
            Some(heads) => heads.loss_weights(case.step),
            None => vec![1.0],
        },
        loss,
        accuracy: n_correct as f32 / n_query as f32,
        gradient: gradient.into_data().iter::<f32>().collect(),
        depth: case.model.spec().layers.len(),
    }
}

/// The loss before and after each plain SGD step on the same episode.
///
/// The steps multiply rounding errors by thousands in some cases. So they are made in double
/// precision where the device has it; what is left is the rounding of the record.
fn sgd_losses(case: &Case, n_losses: usize) -> Vec<f64> {
    let device = case.parameters.device();
    let dtype = if device.supports_dtype(DType::F64) {
        DType::F64
    } else {
        DType::F32
    };
    let mut parameters = case.parameters.clone().cast(dtype);
    let EpisodeBatch {
        mut support,
        mut query,
    } = case.batch.clone();
    support.images = support.images.cast(dtype);
    query.images = query.images.cast(dtype);
    let batch = EpisodeBatch { support, query };
    let mut losses = Vec::with_capacity(n_losses);
    for step in 0..n_losses {
        let model = from_vector(case.model.clone(), &parameters);
        let evaluation = &mut Pass::evaluation();
        let loss = batch_loss(&model, &batch, &case.loss, case.step, evaluation);
        losses.push(loss.total.clone().inner().into_scalar::<f64>());
        if step + 1 < n_losses {
            let gradient = gradient_vector(&model, loss.total.backward());
            parameters = parameters - gradient * case.learning_rate;
        }
    }
    losses
}

enum Found {
    One(Array),
    EitherPass([Array; 2]),
    Nothing,
}

impl From<Option<Array>> for Found {
    fn from(array: Option<Array>) -> Self {
        array.map_or(Self::Nothing, Self::One)
    }
}

impl Ours {
    /// Our tensor of a recorded name, in the recorded layout.
    fn find(&self, name: &str) -> Found {
        // The query pass's own copies have a suffix; both passes are looked at anyway.
        let name = name.replace("-eval", "");
        let parts: Vec<&str> = name.split('/').collect();
        match parts.as_slice() {
            ["feat", "shared"] => self.traced("image_features"),
            ["feat", layer] => self.traced_in(layer, "features"),
            ["seq_in", layer] => self.traced_in(layer, "tokens"),
            ["blocks", layer] => self.traced_in(layer, "blocks"),
            ["attn", layer, block] => self.traced_block(layer, block, "attention"),
            ["attn_self", layer, block] => self.traced_block(layer, block, "self/attention"),
            ["attn_cross", layer, block] => self.traced_block(layer, block, "cross/attention"),
            ["enc_out" | "dec_out", layer, block] => self.traced_block(layer, block, "output"),
            ["act_support", layer] => self.support_activations(layer),
            ["act_query", layer] => self.query_activations(layer),
            ["gen" | "learned", layer, kind, tensor] => self.weights(layer, kind, tensor),
            ["out", rest @ ..] => self.result(rest).into(),
            _ => Found::Nothing,
        }
    }

    fn traced(&self, name: &str) -> Found {
        self.trace.get(name).cloned().map(Array::from).into()
    }

    fn traced_in(&self, layer: &str, name: &str) -> Found {
        match self.scope(layer) {
            Some(scope) => self.traced(&format!("{scope}/{name}")),
            None => Found::Nothing,
        }
    }

    fn traced_block(&self, layer: &str, block: &str, name: &str) -> Found {
        let block = block.replace("enc_", "block_").replace("dec_", "decoder_");
        self.traced_in(layer, &format!("{block}/{name}"))
    }

    /// Number of a layer, from 0; the logits layer is `depth`.
    fn number(&self, layer: &str) -> Option<usize> {
        let number: usize = layer.strip_prefix("layer_")?.parse().ok()?;
        number.checked_sub(1).filter(|&l| l <= self.depth)
    }

    fn scope(&self, layer: &str) -> Option<String> {
        self.number(layer).map(|l| {
            if l == self.depth {
                "logits".to_owned()
            } else {
                layer.to_owned()
            }
        })
    }

    fn support_activations(&self, layer: &str) -> Found {
        match self.traced_in(layer, "activations") {
            // [1, S, C, H, W] to [1, S, H, W, C].
            Found::One(array) if array.shape.len() == 5 => {
                Found::One(array.permuted(&[0, 1, 3, 4, 2]))
            }
            found => found,
        }
    }

    fn query_activations(&self, layer: &str) -> Found {
        if let Some(head) = layer.strip_prefix("head_") {
            let logits = self.number(head).and_then(|l| self.loss.head_logits.get(l));
            return logits.map(array).into();
        }
        match self.number(layer) {
            Some(l) if l == self.depth => Found::One(array(&self.loss.logits)),
            Some(l) => {
                let activations = self.loss.activations.get(l).cloned();
                let nhwc = activations.map(|a| a.into_images().permute([0, 1, 3, 4, 2]));
                nhwc.as_ref().map(array).into()
            }
            None => Found::Nothing,
        }
    }

    /// A weight as applied in the support pass or in the query pass.
    fn weights(&self, layer: &str, kind: &str, tensor: &str) -> Found {
        let Some(l) = self.number(layer) else {
            return Found::Nothing;
        };
        let passes = if l == self.depth {
            let generation = &self.loss.generation;
            let weights = [&generation.support_logits, &generation.cnn.logits];
            weights.map(|weights| logits_weight(weights, kind, tensor))
        } else {
            let generation = &self.loss.generation;
            let support = generation.layers[l].support_weights(1);
            let weights = [&support, &generation.cnn.layers[l]];
            weights.map(|weights| layer_weight(weights, kind, tensor))
        };
        match passes {
            [Some(support), Some(query)] => Found::EitherPass([support, query]),
            _ => Found::Nothing,
        }
    }

    fn result(&self, name: &[&str]) -> Option<Array> {
        let scalar = |tensor: &Tensor<1>| array(&tensor.clone().inner());
        let list = |values: Vec<f32>| Array {
            shape: vec![values.len()],
            values,
        };
        match name {
            ["query_logits"] => Some(array(&self.loss.logits)),
            ["query_pred"] => {
                let predicted = self.loss.logits.clone().inner().argmax(2);
                Some(list(predicted.into_data().iter::<f32>().collect()))
            }
            ["accuracy"] => Some(list(vec![self.accuracy])),
            ["loss"] => Some(scalar(&self.loss.total)),
            ["loss_ce"] => Some(scalar(&self.loss.cross_entropy)),
            // The single terms are compared by their sum.
            ["loss_reg" | "reg_terms"] => self.loss.penalty.as_ref().map(scalar),
            ["head_logits", layer] => {
                let logits = self.loss.head_logits.get(self.number(layer)?)?;
                Some(array(logits))
            }
            ["head_losses"] => {
                let losses = self.loss.heads.iter().chain([&self.real_loss]);
                Some(list(losses.flat_map(|loss| scalar(loss).values).collect()))
            }
            ["head_loss_weights"] => {
                Some(list(self.head_weights.iter().map(|&w| w as f32).collect()))
            }
            _ => None,
        }
    }
}

fn layer_weight(weights: &LayerWeights, kind: &str, tensor: &str) -> Option<Array> {
    match (kind, tensor) {
        // [1, O, I, F, F] to [1, F, F, I, O].
        ("conv", "kernel") => Some(array(&weights.kernel.clone().permute([0, 3, 4, 2, 1]))),
        ("conv", "bias") => weights.bias.as_ref().map(array),
        ("batch_normalization", "gamma") => Some(array(&weights.scale)),
        ("batch_normalization", "beta") => Some(array(&weights.shift)),
        _ => None,
    }
}

fn logits_weight(weights: &LogitsWeights, kind: &str, tensor: &str) -> Option<Array> {
    match (kind, tensor) {
        ("fc", "kernel") => Some(array(&weights.kernel.clone().swap_dims(1, 2))),
        ("fc", "bias") => Some(array(&weights.bias)),
        _ => None,
    }
}

fn array<const D: usize>(tensor: &Tensor<D>) -> Array {
    Array::from(tensor.to_data())
}
