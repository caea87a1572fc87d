//! Writes the device file that `ht-runtime` reads; the layout is in its `cnn.rs`.

use crate::quantize::{Precision, quantize};
use crate::{Activation, Bundle, BundleError, Cnn, Features, Layer, Manifest, Pooling};

impl Bundle {
    /// The device file: everything that `ht-runtime` needs, in one.
    ///
    /// # Errors
    /// A network that is no network, or beyond the limits of `ht-runtime`.
    pub fn device_file(&self, precision: Precision) -> Result<Vec<u8>, BundleError> {
        device_file(&self.manifest, &self.cnn, precision, ht_runtime::VERSION)
    }

    /// Whether a device file, of any version, is what this bundle makes.
    pub(crate) fn makes(&self, file: &[u8]) -> Result<bool, BundleError> {
        let version = if file.get(8) == Some(&1) {
            1
        } else {
            ht_runtime::VERSION
        };
        let made = device_file(&self.manifest, &self.cnn, Precision::Float32, version)?;
        Ok(made == file)
    }
}

fn device_file(
    manifest: &Manifest,
    cnn: &Cnn,
    precision: Precision,
    version: u16,
) -> Result<Vec<u8>, BundleError> {
    cnn.check()?;
    let mut file = Writer::default();
    file.bytes.extend(ht_runtime::MAGIC);
    file.size("version", version.into())?;
    file.byte("precision", usize::from(precision == Precision::Int8))?;
    let rejection = manifest.rejection.as_ref();
    let is_inverted = manifest.preprocessing.invert;
    file.byte(
        "flags",
        usize::from(is_inverted) + 2 * usize::from(rejection.is_some()),
    )?;
    file.size("network.image.channels", cnn.image.channels)?;
    file.size("network.image.height", cnn.image.height)?;
    file.size("network.image.width", cnn.image.width)?;
    file.size("network.layers", cnn.layers.len())?;
    file.size("labels", cnn.n_labels())?;
    file.byte(
        "network.features",
        usize::from(cnn.features == Features::Mean),
    )?;
    file.byte("reserved", 0)?;
    file.floats(&[manifest.temperature]);
    file.floats(&[rejection.map_or(0.0, |rejection| match version {
        1 => (1.0 - rejection.most_doubt) as f32,
        _ => rejection.most_doubt as f32,
    })]);
    let length_at = file.bytes.len();
    file.floats(&[0.0]);
    for label in &manifest.labels {
        file.byte("labels", label.len())?;
        file.bytes.extend(label.bytes());
    }
    for layer in &cnn.layers {
        file.layer(layer, precision)?;
    }
    file.matrix(&cnn.logits.kernel, cnn.n_labels(), precision);
    file.floats(&cnn.logits.bias);

    let mut bytes = file.bytes;
    let length = u32::try_from(bytes.len())
        .map_err(|_| BundleError::value("network", "weights of more than 4 GB"))?;
    bytes[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    // The limits are those of the one that reads it.
    ht_runtime::Cnn::parse(&bytes).map_err(|cause| BundleError::value("network", cause))?;
    Ok(bytes)
}

/// Bytes of the file so far.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn byte(&mut self, field: &str, value: usize) -> Result<(), BundleError> {
        let value = u8::try_from(value)
            .map_err(|_| BundleError::value(field, format!("{value}, expected at most 255")))?;
        self.bytes.push(value);
        Ok(())
    }

    fn size(&mut self, field: &str, value: usize) -> Result<(), BundleError> {
        let value = u16::try_from(value)
            .map_err(|_| BundleError::value(field, format!("{value}, expected at most 65535")))?;
        self.bytes.extend(value.to_le_bytes());
        Ok(())
    }

    fn floats(&mut self, values: &[f32]) {
        self.bytes
            .extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }

    fn matrix(&mut self, values: &[f32], n_rows: usize, precision: Precision) {
        match precision {
            Precision::Float32 => self.floats(values),
            Precision::Int8 => {
                let quantized = quantize(values, n_rows);
                self.floats(&quantized.scales);
                let bytes = quantized.values.iter().map(|value| value.cast_unsigned());
                self.bytes.extend(bytes);
            }
        }
    }

    fn layer(&mut self, layer: &Layer, precision: Precision) -> Result<(), BundleError> {
        self.size("network.layers.channels", layer.channels)?;
        self.byte("network.layers.side", layer.side)?;
        self.byte("network.layers.stride", layer.stride)?;
        for (before, after) in layer.padding {
            self.byte("network.layers.padding", before)?;
            self.byte("network.layers.padding", after)?;
        }
        self.byte(
            "activation",
            usize::from(layer.activation == Activation::LeakyRelu),
        )?;
        self.byte("pooling", usize::from(layer.pooling == Pooling::Max))?;
        self.byte("bias", usize::from(layer.bias.is_some()))?;
        self.byte("reserved", 0)?;
        self.matrix(&layer.kernel, layer.channels, precision);
        if let Some(bias) = &layer.bias {
            self.floats(bias);
        }
        self.floats(&layer.scale);
        self.floats(&layer.shift);
        Ok(())
    }
}
