//! A device file, checked once and then read where it lies.
//!
//! All numbers are little-endian; nothing needs alignment.
//!
//! ```text
//!  0  8  magic "HTCNN\r\n\x1a"
//!  8  2  version, 2
//! 10  1  precision: 0 float32, 1 int8 kernels
//! 11  1  flags: bit 0, light and dark of a picture are swapped before it comes here;
//!               bit 1, answers in too much doubt are rejected
//! 12  2  C of an image
//! 14  2  H
//! 16  2  W
//! 18  2  number of convolution layers
//! 20  2  N: number of labels
//! 22  1  features: 0 flattened in H, W, C order, 1 mean over the pixels
//! 23  1  0
//! 24  4  temperature
//! 28  4  the most doubt: what the other labels together may have for the best one to be accepted; 0
//!        where nothing is rejected. In version 1 the least probability of the best one, 1 minus it,
//!        which float32 cannot tell from 1 where doubt is small
//! 32  4  bytes of the file
//! 36  .. per label: one byte with its length, its UTF-8 bytes
//!     .. per layer: O (2 bytes), F, stride, zeros before and after the rows, before and after
//!        the columns, activation (0 ReLU, 1 leaky ReLU), pooling (0 none, 1 maximum of 2 x 2),
//!        1 with a bias, 0; then kernel [O, I, F, F], bias [O] if there is one, scale [O], shift [O]
//!     .. logits kernel [N, P], bias [N]
//! ```
//!
//! In int8, a kernel is one float32 scale per output channel (per label), then its bytes.

use crate::Error;
use crate::layer::{Layer, Matrix, Precision, Shape};
use crate::network::{Network, Plan};
use crate::reader::{Floats, Reader};

/// The version of the device file that is written; this crate reads version 1, too.
pub const VERSION: u16 = 2;
/// How a device file starts.
pub const MAGIC: [u8; 8] = *b"HTCNN\r\n\x1a";
/// Convolution layers.
pub const MAX_LAYERS: usize = 16;
/// Labels.
pub const MAX_LABELS: usize = 1024;
/// Sides of an image, in pixels.
pub const MAX_SIDE: usize = 1024;
/// Channels of an image.
pub const MAX_IMAGE_CHANNELS: usize = 4;
/// Bytes of a device file.
pub const MAX_FILE_BYTES: usize = 64 << 20;
/// Values of the workspace: 256 MB.
const MAX_WORKSPACE: u64 = 1 << 26;
/// Multiply-adds of one image.
const MAX_MULTIPLY_ADDS: u64 = 1 << 32;

const LABELS_AT: usize = 36;

/// A CNN in a device file.
///
/// It borrows the file, so that a device can leave it in flash memory.
#[derive(Clone, Copy)]
pub struct Cnn<'a> {
    bytes: &'a [u8],
    precision: Precision,
    image: Shape,
    n_layers: usize,
    n_labels: usize,
    is_mean: bool,
    is_inverted: bool,
    temperature: f32,
    most_doubt: Option<f32>,
    layers_at: usize,
    multiply_adds: u64,
    plan: Plan,
}

/// The weights of the last layer.
pub(crate) struct Logits<'a> {
    /// `[N, P]`.
    pub(crate) kernel: Matrix<'a>,
    /// `[N]`.
    pub(crate) bias: Floats<'a>,
}

impl<'a> Cnn<'a> {
    /// Reads and checks a whole device file.
    ///
    /// # Errors
    /// A file that is none, is damaged, has another version, or holds a network beyond the limits
    /// of this crate.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_FILE_BYTES {
            return Err(Error::TooLarge { what: "file" });
        }
        let mut cnn = Self::header(bytes)?;
        let mut reader = Reader::new(bytes, LABELS_AT);
        for _ in 0..cnn.n_labels {
            let len = usize::from(reader.u8()?);
            let at = reader.at();
            let label = core::str::from_utf8(reader.take(len)?);
            label.map_err(|_| Error::Value { field: "label", at })?;
        }
        cnn.layers_at = reader.at();
        let mut layers = cnn.layers();
        let mut plan = Plan::new(cnn.image);
        while let Some(layer) = layers.next()? {
            cnn.multiply_adds += layer.multiply_adds;
            plan.push_layer(&layer);
        }
        plan.finish(cnn.is_mean, cnn.n_labels);
        cnn.multiply_adds += cnn.n_labels as u64 * plan.n_features() as u64;
        if plan.workspace_len() > MAX_WORKSPACE {
            return Err(Error::TooLarge { what: "workspace" });
        }
        if cnn.multiply_adds > MAX_MULTIPLY_ADDS {
            return Err(Error::TooLarge {
                what: "number of multiply-adds",
            });
        }
        let (_, end) = layers.logits(plan.n_features())?;
        if end != bytes.len() {
            return Err(Error::Length {
                expected: end,
                found: bytes.len(),
            });
        }
        cnn.plan = plan;
        Ok(cnn)
    }

    /// The fixed part of the file.
    fn header(bytes: &'a [u8]) -> Result<Self, Error> {
        if !bytes.starts_with(&MAGIC) {
            return Err(Error::NotADeviceFile);
        }
        let mut reader = Reader::new(bytes, MAGIC.len());
        let version = reader.u16()?;
        if !(1..=VERSION).contains(&version) {
            return Err(Error::Version { found: version });
        }
        let precision = match reader.small("precision", (0, 1))? {
            0 => Precision::Float32,
            _ => Precision::Int8,
        };
        let flags = reader.small("flags", (0, 3))?;
        let image = Shape {
            channels: reader.size("channels of an image", MAX_IMAGE_CHANNELS)?,
            height: reader.size("height of an image", MAX_SIDE)?,
            width: reader.size("width of an image", MAX_SIDE)?,
        };
        let n_layers = reader.size("number of layers", MAX_LAYERS)?;
        let n_labels = reader.size("number of labels", MAX_LABELS)?;
        let is_mean = reader.small("features", (0, 1))? == 1;
        reader.small("reserved byte", (0, 0))?;
        let at = reader.at();
        let temperature = reader.f32()?;
        if temperature <= 0.0 {
            let field = "temperature";
            return Err(Error::Value { field, at });
        }
        let at = reader.at();
        let limit = reader.f32()?;
        let is_limited = flags & 2 != 0;
        if !(0.0..=1.0).contains(&limit) || !is_limited && limit != 0.0 {
            let field = "most doubt";
            return Err(Error::Value { field, at });
        }
        let most_doubt = if version == 1 { 1.0 - limit } else { limit };
        let expected = reader.u32()? as usize;
        if expected != bytes.len() {
            let found = bytes.len();
            return Err(Error::Length { expected, found });
        }
        Ok(Self {
            bytes,
            precision,
            image,
            n_layers,
            n_labels,
            is_mean,
            is_inverted: flags & 1 != 0,
            temperature,
            most_doubt: is_limited.then_some(most_doubt),
            layers_at: reader.at(),
            multiply_adds: 0,
            plan: Plan::new(image),
        })
    }

    /// Shape of the images.
    #[must_use]
    pub fn image(&self) -> Shape {
        self.image
    }

    /// Number of labels, and of logits.
    #[must_use]
    pub fn n_labels(&self) -> usize {
        self.n_labels
    }

    /// The text of a label.
    ///
    /// # Returns
    /// Nothing for an index beyond the last label.
    #[must_use]
    pub fn label(&self, index: usize) -> Option<&'a str> {
        let mut reader = Reader::new(self.bytes, LABELS_AT);
        for _ in 0..index.min(self.n_labels) {
            let len = usize::from(reader.u8().ok()?);
            reader.take(len).ok()?;
        }
        let len = (index < self.n_labels).then(|| reader.u8().ok())??;
        core::str::from_utf8(reader.take(len.into()).ok()?).ok()
    }

    /// How the weights are stored.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Whether light and dark of a picture are swapped before it is classified: the CNN was made
    /// for bright ink on black, and the pictures show dark ink on white.
    #[must_use]
    pub fn is_inverted(&self) -> bool {
        self.is_inverted
    }

    /// What logits are divided by before they become probabilities.
    #[must_use]
    pub fn temperature(&self) -> f32 {
        self.temperature
    }

    /// The largest [doubt](crate::Decision::doubt) at which an answer is accepted.
    #[must_use]
    pub fn most_doubt(&self) -> Option<f32> {
        self.most_doubt
    }

    /// Multiply-adds that one image costs in the convolutions and the logits layer.
    #[must_use]
    pub fn multiply_adds(&self) -> u64 {
        self.multiply_adds
    }

    /// Values of the workspace that [`Cnn::load`] needs: unpacked weights and activations.
    #[must_use]
    pub fn workspace_len(&self) -> usize {
        self.plan.workspace_len() as usize
    }

    /// Values of the workspace that hold activations, at most at one time.
    #[must_use]
    pub fn activations_len(&self) -> usize {
        self.plan.activations_len()
    }

    /// Unpacks the weights into a workspace, once for any number of images.
    ///
    /// # Shapes
    /// - `workspace`: [`Cnn::workspace_len`] values, whatever they hold
    ///
    /// # Errors
    /// A workspace of another length.
    pub fn load<'w>(&self, workspace: &'w mut [f32]) -> Result<Network<'w>, Error> {
        Network::load(self, &self.plan, workspace)
    }

    /// The convolution layers from the first on.
    pub(crate) fn layers(&self) -> Layers<'a> {
        Layers {
            reader: Reader::new(self.bytes, self.layers_at),
            precision: self.precision,
            input: self.image,
            n_unread: self.n_layers,
            number: 0,
            n_labels: self.n_labels,
        }
    }
}

/// A pass over the layers of a file.
pub(crate) struct Layers<'a> {
    reader: Reader<'a>,
    precision: Precision,
    input: Shape,
    n_unread: usize,
    number: usize,
    n_labels: usize,
}

impl<'a> Layers<'a> {
    /// The next convolution layer.
    pub(crate) fn next(&mut self) -> Result<Option<Layer<'a>>, Error> {
        if self.n_unread == 0 {
            return Ok(None);
        }
        self.n_unread -= 1;
        self.number += 1;
        let layer = Layer::read(&mut self.reader, self.precision, self.input, self.number)?;
        self.input = layer.output;
        Ok(Some(layer))
    }

    /// The logits layer, behind the last convolution layer, and where the file ends.
    pub(crate) fn logits(mut self, n_features: usize) -> Result<(Logits<'a>, usize), Error> {
        let kernel = Matrix::read(&mut self.reader, self.precision, self.n_labels, n_features)?;
        let bias = self.reader.floats(self.n_labels)?;
        Ok((Logits { kernel, bias }, self.reader.at()))
    }
}
