//! One convolution layer of a device file: its sizes, worked out and bounded, and its weights.

use crate::Error;
use crate::reader::{Floats, Reader};

/// Channels of any layer.
pub const MAX_CHANNELS: usize = 1024;
/// Side of a kernel, and stride.
pub const MAX_KERNEL: usize = 15;

/// C, H, W of an image or of activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// C.
    pub channels: usize,
    /// H.
    pub height: usize,
    /// W.
    pub width: usize,
}

impl Shape {
    /// Values of one image.
    #[must_use]
    pub fn len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How the weights of a device file are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// As they are.
    Float32,
    /// Kernels as bytes with one scale per output channel or label; all else as it is.
    Int8,
}

/// The nonlinearity behind a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    /// max(x, 0).
    Relu,
    /// x for x > 0, 0.01 x otherwise.
    LeakyRelu,
}

/// A matrix of weights: one row per output channel or label.
#[derive(Clone, Copy)]
pub(crate) enum Matrix<'a> {
    Float32(Floats<'a>),
    Int8 {
        scales: Floats<'a>,
        values: &'a [u8],
    },
}

impl<'a> Matrix<'a> {
    pub(crate) fn read(
        reader: &mut Reader<'a>,
        precision: Precision,
        rows: usize,
        columns: usize,
    ) -> Result<Self, Error> {
        let len = rows.checked_mul(columns).ok_or(Error::TooLarge {
            what: "weights of a layer",
        })?;
        Ok(match precision {
            Precision::Float32 => Self::Float32(reader.floats(len)?),
            Precision::Int8 => {
                let at = reader.at();
                let scales = reader.floats(rows)?;
                let overflows = |&row: &usize| !(scales.get(row) * 128.0).is_finite();
                if let Some(row) = (0..rows).find(overflows) {
                    return Err(Error::NotFinite { at: at + 4 * row });
                }
                Self::Int8 {
                    scales,
                    values: reader.take(len)?,
                }
            }
        })
    }

    /// One weight.
    pub(crate) fn get(&self, row: usize, column: usize, columns: usize) -> f32 {
        let index = row * columns + column;
        match self {
            Self::Float32(values) => values.get(index),
            Self::Int8 { scales, values } => {
                f32::from(values[index].cast_signed()) * scales.get(row)
            }
        }
    }
}

/// One convolution layer, all sizes known.
#[derive(Clone, Copy)]
pub(crate) struct Layer<'a> {
    pub(crate) input: Shape,
    /// What goes out, after the pooling.
    pub(crate) output: Shape,
    /// F: side of the square kernel.
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    /// Zeros before and after the rows, and before and after the columns.
    pub(crate) padding: [(usize, usize); 2],
    pub(crate) activation: Activation,
    /// Whether the maximum of 2 x 2 pixels is taken.
    pub(crate) is_pooled: bool,
    /// `[O, I * F * F]`.
    pub(crate) weights: Matrix<'a>,
    /// `[O]`.
    pub(crate) bias: Option<Floats<'a>>,
    /// `[O]`.
    pub(crate) scale: Floats<'a>,
    /// `[O]`.
    pub(crate) shift: Floats<'a>,
    /// Multiply-adds of the whole convolution.
    pub(crate) multiply_adds: u64,
}

impl<'a> Layer<'a> {
    /// Reads the layer that takes `input`.
    pub(crate) fn read(
        reader: &mut Reader<'a>,
        precision: Precision,
        input: Shape,
        number: usize,
    ) -> Result<Self, Error> {
        let channels = reader.size("channels of a layer", MAX_CHANNELS)?;
        let most = MAX_KERNEL as u8;
        let kernel = usize::from(reader.small("side of a kernel", (1, most))?);
        let stride = usize::from(reader.small("stride", (1, most))?);
        let mut zeros = || Ok(usize::from(reader.small("padding", (0, kernel as u8 - 1))?));
        let padding = [(zeros()?, zeros()?), (zeros()?, zeros()?)];
        let activation = match reader.small("activation", (0, 1))? {
            0 => Activation::Relu,
            _ => Activation::LeakyRelu,
        };
        let is_pooled = reader.small("pooling", (0, 1))? == 1;
        let has_bias = reader.small("flag of the bias", (0, 1))? == 1;
        reader.small("reserved byte", (0, 0))?;

        let convolve = |side: usize, (before, after): (usize, usize)| {
            let room = (before + side + after).checked_sub(kernel)?;
            Some(room / stride + 1)
        };
        let sides = convolve(input.height, padding[0]).zip(convolve(input.width, padding[1]));
        let (rows, columns) = sides.ok_or(Error::Geometry { layer: number })?;
        let shrink = if is_pooled { 2 } else { 1 };
        if rows.min(columns) < shrink {
            return Err(Error::Geometry { layer: number });
        }
        let taps = input.channels * kernel * kernel;
        Ok(Self {
            input,
            output: Shape {
                channels,
                height: rows / shrink,
                width: columns / shrink,
            },
            kernel,
            stride,
            padding,
            activation,
            is_pooled,
            weights: Matrix::read(reader, precision, channels, taps)?,
            bias: has_bias.then(|| reader.floats(channels)).transpose()?,
            scale: reader.floats(channels)?,
            shift: reader.floats(channels)?,
            multiply_adds: (channels * taps) as u64 * (rows * columns) as u64,
        })
    }

    /// I * F * F.
    pub(crate) fn taps(&self) -> usize {
        self.input.channels * self.kernel * self.kernel
    }

    /// The input with its zeros around it.
    pub(crate) fn padded(&self) -> Shape {
        let [(top, bottom), (left, right)] = self.padding;
        Shape {
            channels: self.input.channels,
            height: top + self.input.height + bottom,
            width: left + self.input.width + right,
        }
    }

    /// Values of the unpacked weights: kernel, bias, scale and shift.
    pub(crate) fn unpacked_len(&self) -> usize {
        self.output.channels * (self.taps() + 3)
    }
}
