//! The CNN by its definition: one sum per output, in double precision, no cleverness.

use ht_bundle::{Activation, Cnn, Features, Image, Layer, Pooling};

/// Activations `[C, H, W]`.
struct Plane {
    shape: Image,
    values: Vec<f64>,
}

impl Plane {
    fn new(shape: Image) -> Self {
        let values = vec![0.0; shape.n_values()];
        Self { shape, values }
    }

    fn index(&self, c: usize, y: usize, x: usize) -> usize {
        (c * self.shape.height + y) * self.shape.width + x
    }

    /// A value, or the zeros around.
    fn at(&self, c: usize, y: isize, x: isize) -> f64 {
        let (Ok(y), Ok(x)) = (usize::try_from(y), usize::try_from(x)) else {
            return 0.0;
        };
        let is_inside = y < self.shape.height && x < self.shape.width;
        if is_inside {
            self.values[self.index(c, y, x)]
        } else {
            0.0
        }
    }
}

/// Logits of one image.
pub(crate) fn logits(cnn: &Cnn, image: &[u8]) -> Vec<f64> {
    let values = image.iter().map(|&byte| f64::from(byte) / 128.0 - 1.0);
    let mut x = Plane {
        shape: cnn.image,
        values: values.collect(),
    };
    for layer in &cnn.layers {
        x = apply(layer, &x);
    }
    let Image {
        channels,
        height,
        width,
    } = x.shape;
    let mut features = Vec::new();
    match cnn.features {
        Features::Flatten => {
            for y in 0..height {
                for column in 0..width {
                    features.extend((0..channels).map(|c| x.values[x.index(c, y, column)]));
                }
            }
        }
        Features::Mean => {
            let planes = x.values.chunks_exact(height * width);
            features.extend(planes.map(|plane| plane.iter().sum::<f64>() / plane.len() as f64));
        }
    }
    let rows = cnn.logits.kernel.chunks_exact(features.len());
    rows.zip(&cnn.logits.bias)
        .map(|(row, bias)| {
            let products = row.iter().zip(&features).map(|(w, x)| f64::from(*w) * x);
            products.sum::<f64>() + f64::from(*bias)
        })
        .collect()
}

fn apply(layer: &Layer, x: &Plane) -> Plane {
    let shape = layer.shape(x.shape).expect("layers that fit");
    let mut convolved = Plane::new(shape.convolved);
    for o in 0..layer.channels {
        for y in 0..shape.convolved.height {
            for column in 0..shape.convolved.width {
                let sum = convolve(layer, x, o, [y, column]);
                let value = if sum > 0.0 {
                    sum
                } else if layer.activation == Activation::LeakyRelu {
                    0.01 * sum
                } else {
                    0.0
                };
                let index = convolved.index(o, y, column);
                convolved.values[index] = value;
            }
        }
    }
    let mut output = Plane::new(shape.output);
    for o in 0..layer.channels {
        for y in 0..shape.output.height {
            for column in 0..shape.output.width {
                let window = match layer.pooling {
                    Pooling::None => vec![(y, column)],
                    Pooling::Max => (0..4)
                        .map(|n| (2 * y + n / 2, 2 * column + n % 2))
                        .collect(),
                };
                let values = window
                    .iter()
                    .map(|&(y, x)| convolved.values[convolved.index(o, y, x)]);
                let value = values.fold(f64::NEG_INFINITY, f64::max);
                let index = output.index(o, y, column);
                output.values[index] =
                    value * f64::from(layer.scale[o]) + f64::from(layer.shift[o]);
            }
        }
    }
    output
}

/// One output of a convolution, before the activation.
fn convolve(layer: &Layer, x: &Plane, o: usize, [y, column]: [usize; 2]) -> f64 {
    let mut sum = layer.bias.as_ref().map_or(0.0, |bias| f64::from(bias[o]));
    let inputs = x.shape.channels;
    for i in 0..inputs {
        for row in 0..layer.side {
            for col in 0..layer.side {
                let weight = layer.kernel[((o * inputs + i) * layer.side + row) * layer.side + col];
                let y = (y * layer.stride + row) as isize - layer.padding[0].0 as isize;
                let x_ = (column * layer.stride + col) as isize - layer.padding[1].0 as isize;
                sum += f64::from(weight) * x.at(i, y, x_);
            }
        }
    }
    sum
}
