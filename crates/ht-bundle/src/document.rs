//! `manifest.json`: the manifest, the shape of the network and the digest of each file, together.
//!
//! The file is read as untrusted: the version comes first, so that a newer bundle is told from a
//! damaged one, and a field that is not known is an error.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cnn::{Activation, Features, Image, Pooling};
use crate::{
    Bundle, BundleError, Cnn, Generator, Layer, Manifest, Preprocessing, Rejection, SupportImage,
};

/// The version of the layout that this crate writes.
pub const FORMAT: u32 = 2;

/// The file as it stands on disk.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    pub(crate) format: u32,
    pub(crate) labels: Vec<String>,
    pub(crate) preprocessing: Preprocessing,
    pub(crate) temperature: f32,
    pub(crate) rejection: Option<Rejection>,
    pub(crate) generator: Generator,
    pub(crate) support: Vec<SupportImage>,
    pub(crate) network: Network,
    pub(crate) cost: Cost,
    pub(crate) files: BTreeMap<String, FileDigest>,
}

/// The CNN without its weights.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Network {
    pub(crate) image: Image,
    pub(crate) layers: Vec<LayerEntry>,
    pub(crate) features: Features,
}

/// A layer without its weights.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LayerEntry {
    pub(crate) channels: usize,
    pub(crate) side: usize,
    pub(crate) stride: usize,
    pub(crate) padding: [(usize, usize); 2],
    pub(crate) bias: bool,
    pub(crate) activation: Activation,
    pub(crate) pooling: Pooling,
}

/// What the CNN costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Numbers in all weight tensors.
    pub weights: usize,
    /// Multiply-adds of one image, in the convolutions and the logits layer.
    pub multiply_adds: usize,
    /// Bytes of the device file in float32.
    pub device_bytes: usize,
    /// Bytes that `ht-runtime` needs for activations, at their peak.
    pub activation_bytes: usize,
    /// Bytes of the whole workspace of `ht-runtime`: unpacked weights and activations.
    pub workspace_bytes: usize,
}

/// A file of the bundle.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileDigest {
    pub(crate) bytes: usize,
    pub(crate) sha256: String,
}

impl Document {
    pub(crate) fn of(bundle: &Bundle, cost: Cost, files: BTreeMap<String, FileDigest>) -> Self {
        let manifest = bundle.manifest.clone();
        Self {
            format: FORMAT,
            labels: manifest.labels,
            preprocessing: manifest.preprocessing,
            temperature: manifest.temperature,
            rejection: manifest.rejection,
            generator: manifest.generator,
            support: manifest.support,
            network: Network::of(&bundle.cnn),
            cost,
            files,
        }
    }

    /// Reads the text of a manifest.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let version: Version = serde_json::from_slice(text).map_err(|cause| cause.to_string())?;
        match version.format {
            1 => of_format_1(text),
            FORMAT => serde_json::from_slice(text).map_err(|cause| cause.to_string()),
            newer if newer > FORMAT => Err(format!(
                "format {newer}, expected at most {FORMAT}: a newer hypertransformer wrote this bundle"
            )),
            other => Err(format!("format {other}, expected 1 to {FORMAT}")),
        }
    }

    pub(crate) fn into_manifest(self) -> Manifest {
        Manifest {
            labels: self.labels,
            preprocessing: self.preprocessing,
            temperature: self.temperature,
            rejection: self.rejection,
            generator: self.generator,
            support: self.support,
        }
    }
}

/// Format 1 had the least probability of an accepted label where format 2 has the most doubt.
fn of_format_1(text: &[u8]) -> Result<Document, String> {
    let mut value: Value = serde_json::from_slice(text).map_err(|cause| cause.to_string())?;
    if let Some(rejection) = value.get_mut("rejection").and_then(Value::as_object_mut) {
        let threshold = rejection.remove("threshold");
        let threshold = threshold.and_then(|threshold| threshold.as_f64());
        let threshold = threshold.ok_or("rejection.threshold: expected a number")?;
        rejection.insert("most_doubt".to_owned(), (1.0 - threshold).into());
    }
    serde_json::from_value(value).map_err(|cause| cause.to_string())
}

impl Network {
    fn of(cnn: &Cnn) -> Self {
        let entry = |layer: &Layer| LayerEntry {
            channels: layer.channels,
            side: layer.side,
            stride: layer.stride,
            padding: layer.padding,
            bias: layer.bias.is_some(),
            activation: layer.activation,
            pooling: layer.pooling,
        };
        Self {
            image: cnn.image,
            layers: cnn.layers.iter().map(entry).collect(),
            features: cnn.features,
        }
    }
}

impl Bundle {
    /// What the CNN costs.
    ///
    /// # Errors
    /// A network that cannot be built.
    pub fn cost(&self) -> Result<Cost, BundleError> {
        let file = self.device_file(crate::Precision::Float32)?;
        let cnn =
            ht_runtime::Cnn::parse(&file).map_err(|cause| BundleError::value("network", cause))?;
        Ok(Cost {
            weights: self.cnn.n_weights(),
            multiply_adds: self.cnn.n_multiply_adds()?,
            device_bytes: file.len(),
            activation_bytes: 4 * cnn.activations_len(),
            workspace_bytes: 4 * cnn.workspace_len(),
        })
    }
}
