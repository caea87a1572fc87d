//! A bundle as one C99 file: constant weights and plain loops, no heap, no mathematics library.
//!
//! The loops are written once, in `c_header/*.h`; what is made here are sizes, labels and weights.
//! It is for processors that have a C compiler and nothing else; where Rust runs, `ht-runtime` is
//! several times faster.

use crate::quantize::{Precision, quantize};
use crate::{Activation, Bundle, BundleError, Features, Image, Layer, LayerShape, Pooling};

const LOOPS: &str = include_str!("c_header/loops.h");
const CLASSIFY: &str = include_str!("c_header/classify.h");
/// Numbers in a line of an array.
const PER_LINE: usize = 8;

impl Bundle {
    /// The C header, with `cnn_classify(const uint8_t *image, float *logits)`.
    ///
    /// # Errors
    /// A bundle that is none.
    pub fn c_header(&self, precision: Precision) -> Result<String, BundleError> {
        self.check()?;
        let shapes = self.cnn.shapes()?;
        let mut text = self.c_sizes(&shapes, precision);
        let labels = self.manifest.labels.iter().map(|label| c_string(label));
        text += "\nstatic const char *const cnn_labels[CNN_LABELS] = {\n";
        text.extend(labels.map(|label| format!("    {label},\n")));
        text += "};\n";
        text += match precision {
            Precision::Float32 => "\ntypedef float cnn_weight;\n",
            Precision::Int8 => "\ntypedef int8_t cnn_weight;\n",
        };
        text += LOOPS;
        let mut table = String::new();
        for ((layer, shape), number) in self.cnn.layers.iter().zip(&shapes).zip(1..) {
            text += &kernel(
                &format!("cnn_{number}"),
                &layer.kernel,
                layer.channels,
                precision,
            );
            if let Some(bias) = &layer.bias {
                text += &array(&format!("cnn_{number}_bias"), bias);
            }
            text += &array(&format!("cnn_{number}_scale"), &layer.scale);
            text += &array(&format!("cnn_{number}_shift"), &layer.shift);
            table += &table_row(layer, shape, number, precision);
        }
        let n_labels = self.cnn.n_labels();
        text += &kernel("cnn_logits", &self.cnn.logits.kernel, n_labels, precision);
        text += &array("cnn_logits_bias", &self.cnn.logits.bias);
        text += "\nstatic const cnn_layer cnn_layers[CNN_LAYERS] = {\n";
        text += &table;
        text += "};\n";
        text += CLASSIFY;
        Ok(text)
    }

    /// The head: what the file is, and its sizes.
    fn c_sizes(&self, shapes: &[LayerShape], precision: Precision) -> String {
        let Image {
            channels,
            height,
            width,
        } = self.cnn.image;
        let manifest = &self.manifest;
        let describe = manifest.preprocessing.describe();
        let rejection = manifest.rejection.as_ref();
        let most_doubt = c_float(rejection.map_or(1.0, |rejection| rejection.most_doubt as f32));
        // Activations go to and fro between two places.
        let sizes: Vec<usize> = std::iter::once(self.cnn.image.n_values())
            .chain(shapes.iter().map(|shape| shape.output.n_values()))
            .collect();
        let largest = |skip: usize| {
            let largest = sizes.iter().skip(skip).step_by(2).max();
            largest.copied().unwrap_or(1)
        };
        let (a, b) = (largest(0), largest(1));
        let weights = match precision {
            Precision::Float32 => "float32",
            Precision::Int8 => "int8 kernels with a scale per output channel",
        };
        let n_labels = self.cnn.n_labels();
        let defines = [
            ("CHANNELS", channels.to_string()),
            ("HEIGHT", height.to_string()),
            ("WIDTH", width.to_string()),
            ("LAYERS", self.cnn.layers.len().to_string()),
            ("LABELS", n_labels.to_string()),
            (
                "FEATURES",
                (self.cnn.logits.kernel.len() / n_labels).to_string(),
            ),
            (
                "MEAN",
                u8::from(self.cnn.features == Features::Mean).to_string(),
            ),
            ("INT8", u8::from(precision == Precision::Int8).to_string()),
            ("MEMORY_A", a.to_string()),
            ("MEMORY_B", b.to_string()),
            (
                "INVERT",
                u8::from(manifest.preprocessing.invert).to_string(),
            ),
            ("TEMPERATURE", c_float(manifest.temperature)),
            ("MOST_DOUBT", most_doubt),
        ];
        let defines: Vec<String> = defines
            .iter()
            .map(|(name, value)| format!("#define CNN_{name} {value}\n"))
            .collect();
        let defines = defines.concat();
        format!(
            "/* A generated CNN: {} weights in {weights}, {} bytes of static memory.\n \
             *\n \
             * Image: {channels} x {height} x {width} bytes (channels, rows, columns): {describe}.\n \
             * The last step is done in here, the others before; CNN_INVERT tells whether light\n \
             * and dark are swapped.\n \
             * Probabilities are softmax(logits / CNN_TEMPERATURE); where all but the best one\n \
             * add up to more than CNN_MOST_DOUBT the image is none of the labels.\n \
             */\n\
             #ifndef CNN_H\n#define CNN_H\n\n#include <stdint.h>\n\n{defines}",
            self.cnn.n_weights(),
            4 * (a + b),
        )
    }
}

/// A row of the table of layers.
fn table_row(layer: &Layer, shape: &LayerShape, number: usize, precision: Precision) -> String {
    let [(top, _), (left, _)] = layer.padding;
    let (input, output) = (shape.input, shape.output);
    let pooled = u8::from(layer.pooling == Pooling::Max);
    let slope = match layer.activation {
        Activation::Relu => "0.0f",
        Activation::LeakyRelu => "0.01f",
    };
    let optional = |part: &str, is_there: bool| {
        if is_there {
            format!("cnn_{number}_{part}")
        } else {
            "0".to_owned()
        }
    };
    format!(
        "    {{{}, {}, {}, {}, {}, {}, {}, {}, {top}, {left}, {pooled}, {slope},\n     \
         cnn_{number}_kernel, {}, {}, cnn_{number}_scale, cnn_{number}_shift}},\n",
        input.channels,
        input.height,
        input.width,
        output.channels,
        output.height,
        output.width,
        layer.side,
        layer.stride,
        optional("step", precision == Precision::Int8),
        optional("bias", layer.bias.is_some()),
    )
}

/// A kernel, and in int8 the value of its unit per row.
fn kernel(name: &str, values: &[f32], n_rows: usize, precision: Precision) -> String {
    match precision {
        Precision::Float32 => array(&format!("{name}_kernel"), values),
        Precision::Int8 => {
            let quantized = quantize(values, n_rows);
            let bytes: Vec<String> = quantized.values.iter().map(i8::to_string).collect();
            let steps = array(&format!("{name}_step"), &quantized.scales);
            definition("int8_t", &format!("{name}_kernel"), &bytes) + &steps
        }
    }
}

fn array(name: &str, values: &[f32]) -> String {
    let values: Vec<String> = values.iter().map(|&value| c_float(value)).collect();
    definition("float", name, &values)
}

fn definition(kind: &str, name: &str, values: &[String]) -> String {
    let lines: Vec<String> = values
        .chunks(PER_LINE)
        .map(|line| format!("    {},\n", line.join(", ")))
        .collect();
    let lines = lines.concat();
    format!(
        "\nstatic const {kind} {name}[{}] = {{\n{lines}}};\n",
        values.len()
    )
}

/// The shortest digits that give this value again.
fn c_float(value: f32) -> String {
    format!("{value:?}f")
}

/// A string literal. What is not plain becomes three octal digits, so that no label can end the
/// string or start anything else.
fn c_string(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b' ' | b'.' | b'_' | b'-' => {
            char::from(byte).to_string()
        }
        _ => format!("\\{byte:03o}"),
    };
    let text: String = text.bytes().map(byte).collect();
    format!("\"{text}\"")
}
