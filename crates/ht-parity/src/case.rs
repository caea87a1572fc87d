//! A recorded case: one step of the released code with every intermediate result.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use ht_cnn::{CnnSpec, Geometry};
use ht_episodes::{EpisodeBatch, QuerySet, SupportSet};
use ht_generator::WeightGenerator;
use ht_train::LossConfig;
use serde::Deserialize;
use serde_json::Value;

use crate::tensors::{Array, Arrays, read_arrays};
use crate::{ParityError, ReleasedFlags, Variables, whole_file};

/// A description longer than this is none.
const MAX_JSON: u64 = 16 << 20;

/// The JSON file of a case.
#[derive(Debug, Deserialize)]
struct Description {
    config: ReleasedFlags,
    canonical: BTreeMap<String, String>,
    #[serde(default)]
    label_smoothing: f64,
    #[serde(default)]
    warmup_steps: u64,
    #[serde(default)]
    global_step: u64,
    #[serde(default = "default_rate")]
    sgd_lr: f64,
    #[serde(default)]
    num_trainable: Option<usize>,
    #[serde(default)]
    gradients_absent: Vec<String>,
    #[serde(default)]
    token_shapes: BTreeMap<String, Vec<usize>>,
    #[serde(default)]
    generated: Vec<String>,
    /// The class that the head on real classes counts as its first.
    #[serde(default)]
    real_class_min: i32,
}

impl Description {
    fn read(path: &Path) -> Result<Self, ParityError> {
        let bad = |cause: &dyn ToString| ParityError::file(path, cause);
        let text = whole_file::read(path, MAX_JSON)?;
        let mut described: Value = serde_json::from_slice(&text).map_err(|cause| bad(&cause))?;
        forget_nulls(&mut described);
        serde_json::from_value(described).map_err(|cause| bad(&cause))
    }
}

fn default_rate() -> f64 {
    0.01
}

/// A case, ready to be run.
#[derive(Debug)]
pub struct Case {
    /// Everything that was recorded.
    pub recorded: Arrays,
    /// The generator that the case's flags describe, with initial parameters.
    pub model: WeightGenerator,
    /// Which variable is which parameter.
    pub variables: Variables,
    /// `[P]`: the case's parameters.
    pub parameters: Tensor<1>,
    /// The episode, E = 1.
    pub batch: EpisodeBatch,
    /// The loss that the flags describe.
    pub loss: LossConfig,
    /// Step of the schedule of the warm-up heads.
    pub step: u64,
    /// Learning rate of the recorded SGD steps.
    pub learning_rate: f64,
    /// Number of learned values, where it was recorded.
    pub num_trainable: Option<usize>,
    /// Variables that nothing in the recorded loss depends on.
    pub gradients_absent: BTreeSet<String>,
    /// Length and width of the token sequence of each generated layer, where recorded.
    pub token_shapes: BTreeMap<String, Vec<usize>>,
    /// Names of the generated tensors, where recorded.
    pub generated: BTreeSet<String>,
    /// Roles of the variables.
    roles: BTreeMap<String, String>,
}

impl Case {
    /// The values of the variable with a role, in both cases in our order.
    pub(crate) fn parameter(&self, role: &str, theirs: &Array) -> Option<(Vec<f32>, Array)> {
        let has_role = |(_, other): &(&String, &String)| other.trim_end_matches("-eval") == role;
        let (name, _) = self.roles.iter().find(has_role)?;
        let variable = self.recorded.get(&format!("var/{name}"))?;
        if !variable.is_shaped_like(theirs) {
            return None;
        }
        let vector: Vec<f32> = self.parameters.to_data().iter::<f32>().collect();
        self.variables.pair(name, &vector, theirs)
    }

    /// Reads `NAME.safetensors` and `NAME.json`, for an autodiff device.
    ///
    /// # Errors
    /// A damaged file, a flag without counterpart, a variable without parameter.
    pub fn read(tensors: &Path, device: &Device) -> Result<Self, ParityError> {
        let description = Description::read(&tensors.with_extension("json"))?;
        let recorded = read_arrays(tensors)?;
        let get = |name: &str, axes: usize| -> Result<&Array, ParityError> {
            recorded
                .get(name)
                .filter(|array| array.shape.len() == axes)
                .ok_or_else(|| {
                    ParityError::file(tensors, &format!("no tensor {name} with {axes} axes"))
                })
        };

        // NHWC there, [E, n, C, H, W] here.
        let images = |name: &str| -> Result<Tensor<5>, ParityError> {
            let nchw = get(name, 4)?.permuted(&[0, 3, 1, 2]);
            Ok(nchw.to_tensor::<4>(device).unsqueeze())
        };
        let labels = |name: &str| -> Result<_, ParityError> {
            Ok(get(name, 1)?.to_integers::<1>(device).unsqueeze())
        };
        let mut support =
            SupportSet::new(images("in/support_images")?, labels("in/support_labels")?);
        if recorded.contains_key("in/support_mask") {
            let mask = get("in/support_mask", 1)?.to_tensor::<1>(device);
            support.hidden = Some(mask.greater_elem(0.5).unsqueeze());
        }
        let query = QuerySet {
            images: images("in/query_images")?,
            labels: labels("in/query_labels")?,
            hidden: None,
        };

        let flags = &description.config;
        flags.check_repeatable(support.hidden.is_some())?;
        let [_, _, channels, height, width] = support.images.dims();
        let image = Geometry {
            channels,
            height,
            width,
        };
        let [_, ways] = get("out/query_logits", 2)?.shape[..] else {
            return Err(ParityError::file(tensors, &"no out/query_logits"));
        };
        let spec = CnnSpec::new(&flags.cnn()?, image, ways)?;
        let variable = |name: &str| recorded.get(&format!("var/{name}"));
        let n_classes = n_classes(&description, variable);
        let config = flags.generator(description.warmup_steps, n_classes)?;
        let model = WeightGenerator::new(&config, &spec, 0, device)?;
        let n_support = support.labels.dims()[1];
        let support_classes = match n_classes {
            None => TensorData::zeros::<i32, _>([1, n_support]),
            Some(n_classes) => {
                let classes = get("in/support_classes", 1)?;
                real_classes(classes, n_support, n_classes, description.real_class_min)
                    .map_err(|cause| ParityError::file(tensors, &cause))?
            }
        };
        let shapes = |name: &str| variable(name).map(|array| array.shape.clone());
        let variables = Variables::new(&description.canonical, shapes, &model)?;
        let stranger = recorded
            .keys()
            .filter_map(|name| name.strip_prefix("var/"))
            .find(|name| !variables.has(name));
        if let Some(name) = stranger {
            let cause = "it is recorded, but canonical does not name it";
            return Err(ParityError::variable(name, cause));
        }
        let parameters = variables.vector(variable, &device.clone().inner())?;
        // The record may name a gradient by its tensor.
        let plain = |name: &String| {
            let name = name.strip_prefix("grad/").unwrap_or(name);
            name.strip_suffix(":0").unwrap_or(name).to_owned()
        };
        Ok(Self {
            model,
            variables,
            parameters,
            batch: EpisodeBatch {
                support,
                query_classes: query.labels.zeros_like().into_data(),
                query,
                support_classes,
            },
            loss: flags.loss(description.label_smoothing),
            step: description.global_step,
            learning_rate: description.sgd_lr,
            num_trainable: description.num_trainable,
            gradients_absent: description.gradients_absent.iter().map(plain).collect(),
            token_shapes: description.token_shapes,
            generated: description
                .generated
                .iter()
                .map(|name| name.replace("-eval", ""))
                .collect(),
            roles: description.canonical,
            recorded,
        })
    }
}

/// Outputs of the head on real classes, if the record has one.
fn n_classes<'a>(
    description: &Description,
    variable: impl Fn(&str) -> Option<&'a Array>,
) -> Option<usize> {
    let mut roles = description.canonical.iter();
    let is_head = |role: &str| role.starts_with("shared_head.") && role.ends_with(".kernel");
    let (name, _) = roles.find(|(_, role)| is_head(role))?;
    variable(name)?.shape.get(1).copied()
}

/// The real classes of the support images, counted from the head's first.
fn real_classes(
    classes: &Array,
    n_support: usize,
    n_classes: usize,
    first: i32,
) -> Result<TensorData, String> {
    let n_values = classes.values.len();
    if n_values != n_support {
        return Err(format!(
            "in/support_classes has {n_values} values, expected {n_support}"
        ));
    }
    let counted: Vec<i32> = (classes.values.iter())
        .map(|&class| class as i32 - first)
        .collect();
    let is_known = |&class: &i32| usize::try_from(class).is_ok_and(|class| class < n_classes);
    match counted.iter().find(|class| !is_known(class)) {
        Some(class) => Err(format!(
            "in/support_classes has class {class} of {n_classes}, counted from {first}"
        )),
        None => Ok(TensorData::new(counted, [1, n_support])),
    }
}

/// The safetensors files of a folder, in order of their names.
///
/// # Errors
/// A folder that cannot be read, or without such files.
pub fn case_files(folder: &Path) -> Result<Vec<PathBuf>, ParityError> {
    let entries = fs::read_dir(folder).map_err(|cause| ParityError::file(folder, &cause))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "safetensors"))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(ParityError::NoCases(folder.to_owned()));
    }
    Ok(files)
}

/// A flag that is null is one that was not given.
fn forget_nulls(value: &mut Value) {
    if let Value::Object(members) = value {
        members.retain(|_, member| !member.is_null());
        members.values_mut().for_each(forget_nulls);
    }
}
