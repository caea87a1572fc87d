//! One case, run by our code and compared with every tensor that was recorded.
//!
//! Forward results may differ by 1e-4 of a tensor's largest value, gradients by 1e-4 of the
//! case's largest gradient (some are zero in exact arithmetic, and only rounding remains).
//! Shapes must agree but for axes of length 1, and what makes a case must be there.

use burn::tensor::{DType, Tensor};
use ht_episodes::EpisodeBatch;
use ht_generator::{Pass, WeightGenerator};
use ht_train::{batch_loss, from_vector, gradient_vector};

use crate::Case;
use crate::ours::{Found, Ours};
use crate::tensors::{Array, difference};

const FORWARD: f64 = 1e-4;
const GRADIENT: f64 = 1e-4;
/// After 0, 1, 2 and 3 steps of SGD, relative to the loss or to 1.
const SGD: [f64; 4] = [1e-4, 2e-5, 5e-4, 5e-3];

/// Of the gradient of an ordinary pass from that of a traced one, as a whole: a value that
/// rounding moves over the kink of a ReLU moves more than rounding does.
const UNTRACED_GRADIENT: f64 = 1e-2;

/// Without these a record proves little.
const REQUIRED: [&str; 3] = ["out/query_logits", "out/loss", "out/sgd_losses"];

/// How far our results of one case are from the recorded ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deviations {
    /// Largest deviation of a forward result, relative to the tensor's largest value.
    pub forward: f64,
    /// Largest deviation of a gradient, relative to the largest gradient.
    pub gradient: f64,
    /// Tensors that were compared.
    pub n_compared: usize,
    /// Whether the SGD steps were made in double precision.
    pub sgd_in_doubles: bool,
    /// One line for each tensor that is out of tolerance or could not be compared.
    pub failures: Vec<String>,
}

/// Runs a case and compares it; what differs is in the result.
pub fn compare(case: &Case) -> Deviations {
    let mut deviations = Deviations::default();
    let ours = Ours::of(case);
    compare_description(case, &ours, &mut deviations);
    for name in REQUIRED {
        if !case.recorded.contains_key(name) {
            deviations.failures.push(format!("{name}: not recorded"));
        }
    }
    compare_gradients(case, &ours.gradient, &mut deviations);
    let [logits, gradient] = ours.untraced(case);
    for (what, deviation, most) in [
        ("logits", logits, FORWARD),
        ("gradient", gradient, UNTRACED_GRADIENT),
    ] {
        if deviation.is_nan() || deviation > most {
            deviations.failures.push(format!(
                "{what} of an ordinary pass: {deviation:.1e} from the traced pass, expected at \
                 most {most:.0e}"
            ));
        }
    }
    for (name, theirs) in &case.recorded {
        let (kind, rest) = name.split_once('/').unwrap_or((name.as_str(), ""));
        match (kind, rest) {
            // Variables are all named by `canonical`; the gradients were compared.
            ("in" | "var" | "grad", _) => {}
            ("out", "sgd_losses") => compare_sgd(case, theirs, &mut deviations),
            ("out", "reg_terms") => match ours.penalties() {
                Some(terms) => compare_terms(name, &terms, theirs, &mut deviations),
                None => deviations.not_compared(name),
            },
            ("learned", rest) if rest.starts_with("head_") => {
                compare_head(case, name, rest, theirs, &mut deviations);
            }
            _ => match ours.find(name) {
                Found::One(ours) => deviations.add_array(name, &ours, theirs),
                Found::EitherPass([support, query]) => {
                    let [of_support, of_query] =
                        [&support, &query].map(|ours| ours.deviation_from(theirs));
                    let nearest = if of_support < of_query {
                        support
                    } else {
                        query
                    };
                    deviations.add_array(name, &nearest, theirs);
                }
                Found::Nothing => deviations.not_compared(name),
            },
        }
    }
    deviations
}

/// What the JSON file says of the model, besides its flags.
fn compare_description(case: &Case, ours: &Ours, deviations: &mut Deviations) {
    let n_parameters = case.parameters.dims()[0];
    if case.num_trainable.is_some_and(|n| n != n_parameters) {
        deviations.failures.push(format!(
            "num_trainable is {:?}, but the generator has {n_parameters} parameters",
            case.num_trainable
        ));
    }
    for (layer, theirs) in &case.token_shapes {
        let ours = ours.token_shape(layer);
        if ours.as_ref() != Some(theirs) {
            deviations.failures.push(format!(
                "token_shapes: {layer} is {theirs:?}, ours {ours:?}"
            ));
        }
    }
    let generated = ours.generated();
    if !case.generated.is_empty() && case.generated != generated {
        let differing = case.generated.symmetric_difference(&generated);
        let differing: Vec<&String> = differing.collect();
        deviations
            .failures
            .push(format!("generated: only one of us generates {differing:?}"));
    }
    // A tensor that both have, but from different sources, may still be alike.
    for name in case.recorded.keys() {
        let is_generated = |path: &str| {
            let path = path.replace("-eval", "");
            generated.contains(&format!("gen/{path}"))
        };
        let is_wrong = match name.split_once('/') {
            Some(("gen", path)) => !is_generated(path),
            Some(("learned", path)) => is_generated(path),
            _ => false,
        };
        if is_wrong {
            let line = format!("{name}: learned there and generated here, or the other way round");
            deviations.failures.push(line);
        }
    }
}

/// Compares the gradient of every variable; where the released code has none, ours is zero.
fn compare_gradients(case: &Case, ours: &[f32], deviations: &mut Deviations) {
    let gradients = || {
        let recorded = case.recorded.iter();
        recorded.filter_map(|(name, array)| Some((name.strip_prefix("grad/")?, array)))
    };
    let largest = gradients().fold(0f32, |largest, (_, array)| largest.max(array.largest()));
    let largest = f64::from(largest);
    for variable in case.variables.names() {
        let name = format!("grad/{variable}");
        let is_absent = case.gradients_absent.contains(variable);
        let Some(theirs) = case.recorded.get(&name) else {
            if is_absent {
                let ours = case.variables.values(variable, ours).unwrap_or_default();
                let size = ours.iter().fold(0f32, |size, value| size.max(value.abs()));
                deviations.add_gradient(&name, f64::from(size) / largest);
            } else {
                deviations.failures.push(format!("{name}: not recorded"));
            }
            continue;
        };
        let value = case.recorded.get(&format!("var/{variable}"));
        if let Some(value) = value.filter(|value| !value.is_shaped_like(theirs)) {
            deviations.other_shape(&name, &value.shape, &theirs.shape);
            continue;
        }
        match case.variables.pair(variable, ours, theirs) {
            Some((ours, theirs)) => {
                deviations.add_gradient(&name, difference(&ours, &theirs.values) / largest);
            }
            None => deviations.not_compared(&name),
        }
    }
    for (variable, _) in gradients().filter(|(name, _)| !case.variables.has(name)) {
        deviations.not_compared(&format!("grad/{variable}"));
    }
    for variable in &case.gradients_absent {
        if !case.variables.has(variable) {
            deviations.not_compared(&format!("gradients_absent: {variable}"));
        }
    }
}

fn compare_sgd(case: &Case, theirs: &Array, deviations: &mut Deviations) {
    if theirs.values.len() != SGD.len() {
        return deviations.other_shape("out/sgd_losses", &[SGD.len()], &theirs.shape);
    }
    deviations.sgd_in_doubles = has_doubles(case);
    let dtype = if deviations.sgd_in_doubles {
        DType::F64
    } else {
        DType::F32
    };
    for (step, (ours, theirs)) in sgd_losses(case, dtype)
        .iter()
        .zip(&theirs.values)
        .enumerate()
    {
        let theirs = f64::from(*theirs);
        let deviation = (ours - theirs).abs() / theirs.abs().max(1.0);
        let name = format!("out/sgd_losses after step {step}");
        deviations.add(&name, deviation, SGD[step]);
    }
}

/// Compares the terms of a sum one by one, each relative to itself. Their order says nothing,
/// so both are sorted.
fn compare_terms(name: &str, ours: &Array, theirs: &Array, deviations: &mut Deviations) {
    if !ours.is_shaped_like(theirs) {
        return deviations.other_shape(name, &ours.shape, &theirs.shape);
    }
    let [ours, theirs] = [ours, theirs].map(|terms| {
        let mut values = terms.values.clone();
        values.sort_by(f32::total_cmp);
        values
    });
    let deviation = ours.iter().zip(&theirs).map(|(&ours, &theirs)| {
        let [ours, theirs] = [ours, theirs].map(|term| Array {
            shape: Vec::new(),
            values: vec![term],
        });
        ours.deviation_from(&theirs)
    });
    deviations.add_forward(name, deviation.fold(0.0, f64::max), FORWARD);
}

/// A head is its parameters and nothing else.
fn compare_head(case: &Case, name: &str, path: &str, theirs: &Array, deviations: &mut Deviations) {
    let role = format!("cnn.{}", path.replace("-eval", "").replace('/', "."));
    match case.parameter(&role, theirs) {
        Some((ours, theirs)) => {
            let deviation = difference(&ours, &theirs.values);
            deviations.add(name, deviation, FORWARD);
        }
        None => deviations.not_compared(name),
    }
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

    /// Adds a forward result that must have the recorded shape.
    fn add_array(&mut self, name: &str, ours: &Array, theirs: &Array) {
        if ours.is_shaped_like(theirs) {
            self.add_forward(name, ours.deviation_from(theirs), FORWARD);
        } else {
            self.other_shape(name, &ours.shape, &theirs.shape);
        }
    }

    fn add_gradient(&mut self, name: &str, deviation: f64) {
        self.gradient = self.gradient.max(deviation);
        self.add(name, deviation, GRADIENT);
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

    fn other_shape(&mut self, name: &str, ours: &[usize], theirs: &[usize]) {
        self.failures
            .push(format!("{name}: shape {theirs:?}, ours {ours:?}"));
    }

    pub(crate) fn not_compared(&mut self, name: &str) {
        self.failures
            .push(format!("{name}: nothing to compare it with"));
    }
}

/// The loss before and after each plain SGD step on the same episode.
///
/// The steps multiply rounding errors by thousands in some cases. So they are made in double
/// precision where the device has it; what is left is the rounding of the record.
fn sgd_losses(case: &Case, dtype: DType) -> Vec<f64> {
    let mut parameters = case.parameters.clone().cast(dtype);
    let batch = batch_in(case, dtype);
    let mut losses = Vec::with_capacity(SGD.len());
    for step in 0..SGD.len() {
        let (model, loss) = loss(case, &parameters, &batch);
        losses.push(loss.clone().inner().into_scalar::<f64>());
        if step + 1 < SGD.len() {
            let gradient = gradient_vector(&model, loss.backward());
            parameters = parameters - gradient * case.learning_rate;
        }
    }
    losses
}

/// Whether the device computes in double precision. A Vulkan driver (lavapipe) says so, but Burn's
/// kernels then compute something else: the first loss 25 away from the record, the next not a number.
fn has_doubles(case: &Case) -> bool {
    let first_loss = |dtype| {
        let parameters = case.parameters.clone().cast(dtype);
        let (_, loss) = loss(case, &parameters, &batch_in(case, dtype));
        loss.inner().into_scalar::<f64>()
    };
    case.parameters.device().supports_dtype(DType::F64) && {
        let [single, double] = [DType::F32, DType::F64].map(first_loss);
        (single - double).abs() <= 1e-3 * single.abs().max(1.0)
    }
}

/// The model with these parameters, and its loss `[1]`.
fn loss(case: &Case, parameters: &Tensor<1>, batch: &EpisodeBatch) -> (WeightGenerator, Tensor<1>) {
    let model = from_vector(case.model.clone(), parameters);
    let evaluation = &mut Pass::evaluation();
    let loss = batch_loss(&model, batch, &case.loss, case.step, evaluation);
    (model, loss.total)
}

fn batch_in(case: &Case, dtype: DType) -> EpisodeBatch {
    let mut batch = case.batch.clone();
    batch.support.images = batch.support.images.cast(dtype);
    batch.query.images = batch.query.images.cast(dtype);
    batch
}
