//! What we compute for a recorded case, under the names and in the layout of the record.

use std::collections::BTreeSet;

use burn::tensor::Tensor;
use ht_cnn::{LayerWeights, LogitsWeights};
use ht_generator::{Pass, Trace};
use ht_train::{BatchLoss, batch_loss, from_vector, gradient_vector, n_correct, query_loss};

use crate::Case;
use crate::tensors::Array;

/// Everything we compute for a case.
pub(crate) struct Ours {
    trace: Trace,
    loss: BatchLoss,
    real_loss: Tensor<1>,
    head_weights: Vec<f64>,
    /// `[P]`.
    pub(crate) gradient: Vec<f32>,
    accuracy: f32,
    /// Convolution layers; the logits layer is number `depth + 1`.
    depth: usize,
}

/// What a recorded name stands for.
pub(crate) enum Found {
    /// One array.
    One(Array),
    /// A weight of the support pass and the same of the query pass: the record does not say
    /// which of them it shows.
    EitherPass([Array; 2]),
    /// Nothing here.
    Nothing,
}

impl From<Option<Array>> for Found {
    fn from(array: Option<Array>) -> Self {
        array.map_or(Self::Nothing, Self::One)
    }
}

impl Ours {
    /// Runs a case.
    pub(crate) fn of(case: &Case) -> Self {
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
        Self {
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

    /// How far an ordinary pass, as training makes it, is from the traced one that is compared
    /// with the record: logits relative to the largest, the gradient as a whole to its norm.
    ///
    /// The traced pass takes the definition of every part; an ordinary one may take a device's own
    /// loops, which round differently.
    pub(crate) fn untraced(&self, case: &Case) -> [f64; 2] {
        let mut pass = Pass::evaluation();
        let model = from_vector(case.model.clone(), &case.parameters);
        let loss = batch_loss(&model, &case.batch, &case.loss, case.step, &mut pass);
        let logits = array(&loss.logits);
        let gradient = gradient_vector(&model, loss.total.backward());
        let gradient: Vec<f32> = gradient.into_data().iter().collect();
        let square = |value: f32| f64::from(value) * f64::from(value);
        let pairs = gradient.iter().zip(&self.gradient);
        let apart: f64 = pairs.map(|(a, b)| square(a - b)).sum();
        let whole: f64 = self.gradient.iter().copied().map(square).sum();
        let of_gradient = (apart / whole.max(f64::MIN_POSITIVE)).sqrt();
        [
            logits.deviation_from(&array(&self.loss.logits)),
            of_gradient,
        ]
    }

    /// The terms of the regularizers, if there are any; their order is our own.
    pub(crate) fn penalties(&self) -> Option<Array> {
        let terms = self.loss.penalties.iter();
        let values: Vec<f32> = terms.flat_map(|term| array(term).values).collect();
        (!values.is_empty()).then(|| list(values))
    }

    /// Shape of the token sequence of a layer's generator, without the axis of the episodes.
    pub(crate) fn token_shape(&self, layer: &str) -> Option<Vec<usize>> {
        match self.traced_in(layer, "tokens") {
            Found::One(tokens) => Some(tokens.shape[1..].to_vec()),
            _ => None,
        }
    }

    /// Names of the generated tensors, as the record has them.
    pub(crate) fn generated(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for (l, parts) in self.loss.generation.layers.iter().enumerate() {
            let generated = &parts.generated;
            for (name, is_there) in [
                ("conv/kernel", generated.kernel.is_some()),
                ("conv/bias", generated.bias.is_some()),
                ("batch_normalization/gamma", generated.scale.is_some()),
                ("batch_normalization/beta", generated.shift.is_some()),
            ] {
                if is_there {
                    names.insert(format!("gen/layer_{}/{name}", l + 1));
                }
            }
        }
        let logits = ["kernel", "bias"].map(|t| format!("gen/layer_{}/fc/{t}", self.depth + 1));
        names.extend(logits);
        names
    }

    /// Our tensor of a recorded name, in the recorded layout.
    pub(crate) fn find(&self, name: &str) -> Found {
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
        match name {
            ["query_logits"] => Some(array(&self.loss.logits)),
            ["query_pred"] => {
                let predicted = self.loss.logits.clone().inner().argmax(2);
                Some(list(predicted.into_data().iter::<f32>().collect()))
            }
            ["accuracy"] => Some(list(vec![self.accuracy])),
            ["loss"] => Some(scalar(&self.loss.total)),
            ["loss_ce"] => Some(scalar(&self.loss.cross_entropy)),
            ["loss_reg"] => self.penalties().map(|terms| terms.sum()),
            ["shared_head_loss"] => self.loss.class_head.as_ref().map(scalar),
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

fn list(values: Vec<f32>) -> Array {
    Array {
        shape: vec![values.len()],
        values,
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
