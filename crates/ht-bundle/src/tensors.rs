//! The two safetensors files of a bundle: weights and golden images.

use std::collections::BTreeSet;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::document::Network;
use crate::{Cnn, Golden, Layer, Logits};

/// Name, shape, type, bytes.
type Entry = (String, Vec<usize>, Dtype, Vec<u8>);

/// The weights: `layers.0.kernel [O, I, F, F]`, `.bias`, `.scale`, `.shift [O]`, .., `logits.kernel
/// [N, P]`, `logits.bias [N]`.
pub(crate) fn weights_file(cnn: &Cnn) -> Result<Vec<u8>, String> {
    let mut entries = Vec::new();
    let mut inputs = cnn.image.channels;
    for (index, layer) in cnn.layers.iter().enumerate() {
        let mut push = |part: &str, shape: Vec<usize>, values: &[f32]| {
            entries.push((
                format!("layers.{index}.{part}"),
                shape,
                Dtype::F32,
                bytes(values),
            ));
        };
        let o = layer.channels;
        push(
            "kernel",
            vec![o, inputs, layer.side, layer.side],
            &layer.kernel,
        );
        if let Some(bias) = &layer.bias {
            push("bias", vec![o], bias);
        }
        push("scale", vec![o], &layer.scale);
        push("shift", vec![o], &layer.shift);
        inputs = o;
    }
    let n = cnn.n_labels();
    let Logits { kernel, bias } = &cnn.logits;
    let shape = vec![n, kernel.len() / n.max(1)];
    entries.push(("logits.kernel".to_owned(), shape, Dtype::F32, bytes(kernel)));
    entries.push(("logits.bias".to_owned(), vec![n], Dtype::F32, bytes(bias)));
    serialize(&entries)
}

/// The golden images: `images [B, C, H, W]` bytes and `logits [B, N]`.
pub(crate) fn golden_file(cnn: &Cnn, golden: &Golden) -> Result<Vec<u8>, String> {
    let image = cnn.image;
    let n_images = golden.images.len() / image.n_values().max(1);
    let shape = vec![n_images, image.channels, image.height, image.width];
    let logits = bytes(&golden.logits);
    serialize(&[
        ("images".to_owned(), shape, Dtype::U8, golden.images.clone()),
        (
            "logits".to_owned(),
            vec![n_images, cnn.n_labels()],
            Dtype::F32,
            logits,
        ),
    ])
}

/// Reads the weights of a network of a known shape; the number of labels comes from the manifest.
pub(crate) fn read_weights(file: &[u8], network: &Network, n_labels: usize) -> Result<Cnn, String> {
    let mut tensors = Tensors::new(file)?;
    let mut layers = Vec::new();
    let mut inputs = network.image.channels;
    for (index, entry) in network.layers.iter().enumerate() {
        let name = |part: &str| format!("layers.{index}.{part}");
        let (o, f) = (entry.channels, entry.side);
        let kernel = tensors.floats(&name("kernel"), &[o, inputs, f, f])?;
        let bias = entry.bias.then(|| tensors.floats(&name("bias"), &[o]));
        layers.push(Layer {
            kernel,
            channels: o,
            side: f,
            stride: entry.stride,
            padding: entry.padding,
            bias: bias.transpose()?,
            activation: entry.activation,
            pooling: entry.pooling,
            scale: tensors.floats(&name("scale"), &[o])?,
            shift: tensors.floats(&name("shift"), &[o])?,
        });
        inputs = o;
    }
    let bias = tensors.floats("logits.bias", &[n_labels])?;
    let mut cnn = Cnn {
        image: network.image,
        layers,
        features: network.features,
        logits: Logits {
            kernel: Vec::new(),
            bias,
        },
    };
    let n_features = cnn.n_features().map_err(|cause| cause.to_string())?;
    cnn.logits.kernel = tensors.floats("logits.kernel", &[n_labels, n_features])?;
    tensors.finish()?;
    Ok(cnn)
}

/// Reads golden images for a CNN.
pub(crate) fn read_golden(file: &[u8], cnn: &Cnn) -> Result<Golden, String> {
    let mut tensors = Tensors::new(file)?;
    let n_images = tensors.rows("images");
    let image = cnn.image;
    let shape = [n_images, image.channels, image.height, image.width];
    let images = tensors.take("images", Dtype::U8, &shape)?.to_vec();
    let logits = tensors.floats("logits", &[n_images, cnn.n_labels()])?;
    tensors.finish()?;
    Ok(Golden { images, logits })
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn serialize(entries: &[Entry]) -> Result<Vec<u8>, String> {
    let views = entries
        .iter()
        .map(|(name, shape, dtype, bytes)| {
            TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name, view))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|cause| cause.to_string())?;
    safetensors::serialize(views, None).map_err(|cause| cause.to_string())
}

/// A file's tensors, each to be taken once.
struct Tensors<'a> {
    file: SafeTensors<'a>,
    taken: BTreeSet<String>,
}

impl<'a> Tensors<'a> {
    fn new(file: &'a [u8]) -> Result<Self, String> {
        Ok(Self {
            file: SafeTensors::deserialize(file).map_err(|cause| cause.to_string())?,
            taken: BTreeSet::new(),
        })
    }

    fn rows(&self, name: &str) -> usize {
        let view = self.file.tensor(name);
        view.map_or(0, |view| view.shape().first().copied().unwrap_or(0))
    }

    fn take(&mut self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<&'a [u8], String> {
        let view = self.file.tensor(name).ok();
        let view = view.filter(|view| view.dtype() == dtype && view.shape() == shape);
        let view =
            view.ok_or_else(|| format!("no tensor {name} of type {dtype:?} and shape {shape:?}"))?;
        self.taken.insert(name.to_owned());
        Ok(view.data())
    }

    fn floats(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        let (floats, _) = self.take(name, Dtype::F32, shape)?.as_chunks();
        Ok(floats
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect())
    }

    fn finish(&self) -> Result<(), String> {
        let mut names = self.file.names().into_iter();
        match names.find(|name| !self.taken.contains(*name)) {
            None => Ok(()),
            Some(name) => Err(format!("a tensor {name:.80} that is not expected")),
        }
    }
}
