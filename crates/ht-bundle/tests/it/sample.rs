//! Bundles for the tests: the paper's CNN and others, with weights drawn from a small generator of
//! numbers, and golden logits from the definition in double precision.

use ht_bundle::{
    Activation, Bundle, Cnn, Colour, Features, Generator, Golden, Image, Layer, Logits, Manifest,
    PixelValue, Pooling, Preprocessing, Rejection, Resize, SupportImage,
};

use crate::definition::logits;

/// A small generator of numbers (splitmix64), the same on every machine.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `n` - 1.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// -1 to 1.
    fn signed(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub(crate) fn values(&mut self, len: usize, size: f32) -> Vec<f32> {
        (0..len).map(|_| self.signed() * size).collect()
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// One layer as a test asks for it.
#[derive(Clone, Debug)]
pub(crate) struct LayerSizes {
    pub(crate) channels: usize,
    pub(crate) side: usize,
    pub(crate) stride: usize,
    pub(crate) padding: [(usize, usize); 2],
    pub(crate) bias: bool,
    pub(crate) activation: Activation,
    pub(crate) pooling: Pooling,
}

/// The paper's layer: 3 x 3, padded to the same size, pooled.
pub(crate) fn paper_layer(channels: usize) -> LayerSizes {
    LayerSizes {
        channels,
        side: 3,
        stride: 1,
        padding: [(1, 1); 2],
        bias: false,
        activation: Activation::Relu,
        pooling: Pooling::Max,
    }
}

/// A CNN with drawn weights, if the layers fit the image.
pub(crate) fn cnn(
    image: Image,
    layers: &[LayerSizes],
    features: Features,
    n_labels: usize,
    seed: u64,
) -> Option<Cnn> {
    let mut numbers = Numbers(seed);
    let mut input = image;
    let mut made = Vec::new();
    for sizes in layers {
        let taps = input.channels * sizes.side * sizes.side;
        let o = sizes.channels;
        let layer = Layer {
            kernel: numbers.values(o * taps, (6.0 / taps as f32).sqrt()),
            channels: o,
            side: sizes.side,
            stride: sizes.stride,
            padding: sizes.padding,
            bias: sizes.bias.then(|| numbers.values(o, 0.3)),
            activation: sizes.activation,
            pooling: sizes.pooling,
            scale: numbers
                .values(o, 0.5)
                .iter()
                .map(|value| 1.0 + value)
                .collect(),
            shift: numbers.values(o, 0.5),
        };
        input = layer.shape(input).ok()?.output;
        made.push(layer);
    }
    let n_features = match features {
        Features::Flatten => input.n_values(),
        Features::Mean => input.channels,
    };
    Some(Cnn {
        image,
        layers: made,
        features,
        logits: Logits {
            kernel: numbers.values(n_labels * n_features, (12.0 / n_features as f32).sqrt()),
            bias: numbers.values(n_labels, 1.0),
        },
    })
}

/// A bundle around a CNN; its golden logits come from the definition.
pub(crate) fn bundle(cnn: Cnn, n_golden: usize) -> Bundle {
    let labels: Vec<String> = (0..cnn.n_labels())
        .map(|n| format!("class \"{n}\" \u{e9}"))
        .collect();
    let images = Numbers(7).bytes(n_golden * cnn.image.n_values());
    let rows = images.chunks_exact(cnn.image.n_values());
    let golden = rows
        .flat_map(|image| logits(&cnn, image))
        .map(|logit| logit as f32);
    let golden = Golden {
        logits: golden.collect(),
        images,
    };
    let support = |(n, label): (usize, &String)| SupportImage {
        file: format!("{n}/picture.png"),
        label: Some(label.clone()),
        sha256: "0".repeat(64),
    };
    let manifest = Manifest {
        preprocessing: Preprocessing {
            colour: if cnn.image.channels == 1 {
                Colour::Grey
            } else {
                Colour::Rgb
            },
            side: cnn.image.height,
            resize: Resize::ShorterSideLanczos3CentreCut,
            invert: true,
            value: PixelValue::ByteOver128Minus1,
        },
        temperature: 1.25,
        rejection: Some(Rejection {
            most_doubt: 0.5,
            false_accept_rate: 0.05,
            measured_on: "drawn numbers".to_owned(),
        }),
        generator: Generator {
            name: "drawn numbers".to_owned(),
            parameters_sha256: "f".repeat(64),
            config: "[cnn]\ndepth = 4\n".to_owned(),
        },
        support: labels.iter().enumerate().map(support).collect(),
        labels,
    };
    Bundle {
        manifest,
        cnn,
        golden,
    }
}

/// The paper's CNN: 28 x 28 grey, four layers of 8 channels.
pub(crate) fn paper(n_labels: usize) -> Bundle {
    let image = Image {
        channels: 1,
        height: 28,
        width: 28,
    };
    let layers = [
        paper_layer(8),
        paper_layer(8),
        paper_layer(8),
        paper_layer(8),
    ];
    let cnn = cnn(image, &layers, Features::Flatten, n_labels, 1).expect("four poolings fit");
    bundle(cnn, 8)
}

/// Colours, strides, biases, leaky ReLU, channels that fill no vector, odd padding, means.
pub(crate) fn mixed() -> Bundle {
    let image = Image {
        channels: 3,
        height: 21,
        width: 21,
    };
    let first = LayerSizes {
        channels: 13,
        side: 5,
        stride: 2,
        padding: [(1, 3), (2, 0)],
        bias: true,
        activation: Activation::LeakyRelu,
        pooling: Pooling::None,
    };
    let second = LayerSizes {
        stride: 1,
        side: 2,
        padding: [(0, 1), (1, 0)],
        pooling: Pooling::Max,
        ..first.clone()
    };
    let cnn = cnn(image, &[first, second], Features::Mean, 6, 2).expect("it fits");
    bundle(cnn, 5)
}

/// Features of more than one pixel, whose order matters.
pub(crate) fn flat() -> Bundle {
    let image = Image {
        channels: 1,
        height: 20,
        width: 20,
    };
    let layers = [paper_layer(6), paper_layer(7)];
    let cnn = cnn(image, &layers, Features::Flatten, 9, 4).expect("it fits");
    bundle(cnn, 4)
}

/// One of each.
pub(crate) fn all() -> [Bundle; 3] {
    [paper(20), mixed(), flat()]
}
