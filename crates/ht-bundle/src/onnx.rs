//! A bundle as one ONNX file, for any runtime of that format.
//!
//! ```text
//! image [B, C, H, W] float32 in [-1, 1)
//!   per layer: Conv ─ Relu | LeakyRelu ─ MaxPool ─ BatchNormalization (mean 0, variance 1)
//!   Flatten | GlobalAveragePool, Flatten ─ Gemm
//! logits [B, N] float32
//! ```
//!
//! B is free. The features are flattened in C, H, W order here, and the logits kernel is reordered
//! to match, which saves a transposition. Labels and preprocessing are in `metadata_props`.

mod messages;

use prost::Message;
use serde::Serialize;

use crate::{Activation, Bundle, BundleError, Cnn, Features, Image, Layer, Pooling};
use messages::{
    Attribute, Dimension, Graph, Model, Node, OperatorSet, Property, Shape, Tensor, TensorType,
    Type, ValueInfo,
};

/// Version of the file's layout that goes with the operator set.
const IR_VERSION: i64 = 10;
/// Version of the operators.
const OPSET: i64 = 22;
const FLOAT: i32 = 1;
/// Name of the input.
const INPUT: &str = "image";
/// Name of the output.
const OUTPUT: &str = "logits";

impl Bundle {
    /// The ONNX file.
    ///
    /// # Errors
    /// A bundle that is none.
    pub fn onnx(&self) -> Result<Vec<u8>, BundleError> {
        self.check()?;
        let model = Model {
            ir_version: IR_VERSION,
            producer_name: env!("CARGO_PKG_NAME").to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(graph(&self.cnn)?),
            opset_import: vec![OperatorSet {
                domain: String::new(),
                version: OPSET,
            }],
            metadata_props: self.properties()?,
        };
        Ok(model.encode_to_vec())
    }

    /// What a program must know besides the graph.
    fn properties(&self) -> Result<Vec<Property>, BundleError> {
        let manifest = &self.manifest;
        let rejection = manifest.rejection.as_ref();
        let most_doubt = rejection.map(|rejection| rejection.most_doubt);
        let threshold = most_doubt.map(|most_doubt| 1.0 - most_doubt);
        let entries = [
            ("labels", json("labels", &manifest.labels)?),
            (
                "preprocessing",
                json("preprocessing", &manifest.preprocessing)?,
            ),
            ("preprocessing_text", manifest.preprocessing.describe()),
            ("temperature", json("temperature", &manifest.temperature)?),
            ("rejection_threshold", json("rejection", &threshold)?),
            ("rejection_most_doubt", json("rejection", &most_doubt)?),
            ("generator", manifest.generator.name.clone()),
            (
                "generator_parameters_sha256",
                manifest.generator.parameters_sha256.clone(),
            ),
        ];
        let entries = entries.into_iter().map(|(key, value)| Property {
            key: key.to_owned(),
            value,
        });
        Ok(entries.collect())
    }
}

fn json(field: &str, value: &impl Serialize) -> Result<String, BundleError> {
    serde_json::to_string(value).map_err(|cause| BundleError::value(field, cause))
}

/// A graph under construction: each node takes what the last one gave.
struct Builder {
    nodes: Vec<Node>,
    tensors: Vec<Tensor>,
    last: String,
}

fn graph(cnn: &Cnn) -> Result<Graph, BundleError> {
    let mut builder = Builder {
        nodes: Vec::new(),
        tensors: Vec::new(),
        last: INPUT.to_owned(),
    };
    let shapes = cnn.shapes()?;
    for ((layer, shape), number) in cnn.layers.iter().zip(&shapes).zip(1..) {
        builder.layer(layer, shape.input, number);
    }
    let last = shapes.last().map_or(cnn.image, |shape| shape.output);
    if cnn.features == Features::Mean {
        builder.node("GlobalAveragePool", "means", &[], vec![]);
    }
    builder.node("Flatten", "features", &[], vec![int("axis", 1)]);
    let n = cnn.n_labels();
    let kernel = match cnn.features {
        Features::Mean => cnn.logits.kernel.clone(),
        Features::Flatten => channels_first(&cnn.logits.kernel, last),
    };
    let n_features = kernel.len() / n;
    builder.tensor("logits.kernel", &[n, n_features], &kernel);
    builder.tensor("logits.bias", &[n], &cnn.logits.bias);
    let inputs = ["logits.kernel", "logits.bias"];
    builder.node("Gemm", OUTPUT, &inputs, vec![int("transB", 1)]);
    let Image {
        channels,
        height,
        width,
    } = cnn.image;
    Ok(Graph {
        node: builder.nodes,
        name: "cnn".to_owned(),
        initializer: builder.tensors,
        input: vec![value(INPUT, &[channels, height, width])],
        output: vec![value(OUTPUT, &[n])],
    })
}

impl Builder {
    /// Appends a node that takes the last output and some tensors, and gives `output`.
    fn node(&mut self, op: &str, output: &str, tensors: &[&str], attribute: Vec<Attribute>) {
        let last = std::mem::replace(&mut self.last, output.to_owned());
        let tensors = tensors.iter().map(|&name| name.to_owned());
        self.nodes.push(Node {
            input: std::iter::once(last).chain(tensors).collect(),
            output: vec![output.to_owned()],
            name: format!("{output}.{op}"),
            op_type: op.to_owned(),
            attribute,
        });
    }

    fn tensor(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        self.tensors.push(Tensor {
            dims: shape.iter().map(|&size| size as i64).collect(),
            data_type: FLOAT,
            name: name.to_owned(),
            raw_data: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        });
    }

    fn layer(&mut self, layer: &Layer, input: Image, number: usize) {
        let name = |part: &str| format!("layer{number}.{part}");
        let (o, f) = (layer.channels, layer.side);
        self.tensor(&name("kernel"), &[o, input.channels, f, f], &layer.kernel);
        let mut weights = vec![name("kernel")];
        if let Some(bias) = &layer.bias {
            self.tensor(&name("bias"), &[o], bias);
            weights.push(name("bias"));
        }
        let weights: Vec<&str> = weights.iter().map(String::as_str).collect();
        let [(top, bottom), (left, right)] = layer.padding;
        let attributes = vec![
            ints("kernel_shape", &[f, f]),
            ints("pads", &[top, left, bottom, right]),
            ints("strides", &[layer.stride; 2]),
        ];
        self.node("Conv", &name("convolved"), &weights, attributes);
        match layer.activation {
            Activation::Relu => self.node("Relu", &name("activated"), &[], vec![]),
            Activation::LeakyRelu => {
                let slope = float("alpha", 0.01);
                self.node("LeakyRelu", &name("activated"), &[], vec![slope]);
            }
        }
        if layer.pooling == Pooling::Max {
            let window = vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
            self.node("MaxPool", &name("pooled"), &[], window);
        }
        // With mean 0, variance 1 and epsilon 0 this is exactly x · scale + shift, in one node.
        self.tensor(&name("scale"), &[o], &layer.scale);
        self.tensor(&name("shift"), &[o], &layer.shift);
        self.tensor(&name("mean"), &[o], &vec![0.0; o]);
        self.tensor(&name("variance"), &[o], &vec![1.0; o]);
        let parts = ["scale", "shift", "mean", "variance"].map(name);
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let epsilon = vec![float("epsilon", 0.0)];
        self.node("BatchNormalization", &name("normalized"), &parts, epsilon);
    }
}

/// Reorders the columns of a logits kernel from H, W, C to C, H, W.
fn channels_first(kernel: &[f32], last: Image) -> Vec<f32> {
    let (channels, pixels) = (last.channels, last.height * last.width);
    let reorder = |row: &[f32]| -> Vec<f32> {
        let column = |index: usize| row[index % pixels * channels + index / pixels];
        (0..row.len()).map(column).collect()
    };
    kernel
        .chunks_exact(channels * pixels)
        .flat_map(reorder)
        .collect()
}

/// A tensor of float32 whose first axis is free.
fn value(name: &str, shape: &[usize]) -> ValueInfo {
    let batch = Dimension {
        dim_value: None,
        dim_param: Some("batch".to_owned()),
    };
    let size = |&size: &usize| Dimension {
        dim_value: Some(size as i64),
        dim_param: None,
    };
    let shape = Shape {
        dim: std::iter::once(batch)
            .chain(shape.iter().map(size))
            .collect(),
    };
    ValueInfo {
        name: name.to_owned(),
        r#type: Some(Type {
            tensor_type: Some(TensorType {
                elem_type: FLOAT,
                shape: Some(shape),
            }),
        }),
    }
}

fn float(name: &str, value: f32) -> Attribute {
    Attribute {
        name: name.to_owned(),
        f: Some(value),
        r#type: 1,
        ..Attribute::default()
    }
}

fn int(name: &str, value: i64) -> Attribute {
    Attribute {
        name: name.to_owned(),
        i: Some(value),
        r#type: 2,
        ..Attribute::default()
    }
}

fn ints(name: &str, values: &[usize]) -> Attribute {
    Attribute {
        name: name.to_owned(),
        ints: values.iter().map(|&value| value as i64).collect(),
        r#type: 7,
        ..Attribute::default()
    }
}
