//! Sizes of one call, and how its images are cut into chunks that fit a cache.

/// One layer for the images of E episodes; every tensor has its image axis last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LayerShape {
    /// E.
    pub(super) episodes: usize,
    /// B: images of each episode.
    pub(super) images: usize,
    /// I and O.
    pub(super) inputs: usize,
    /// See `inputs`.
    pub(super) outputs: usize,
    /// Height and width of an image.
    pub(super) height: usize,
    /// See `height`.
    pub(super) width: usize,
    /// F.
    pub(super) kernel: usize,
    /// Pixels from one position of the kernel to the next.
    pub(super) stride: usize,
    /// Rows of zeros above and columns of zeros left of an image.
    pub(super) top: usize,
    /// See `top`.
    pub(super) left: usize,
    /// Height and width before pooling.
    pub(super) convolved_height: usize,
    /// See `convolved_height`.
    pub(super) convolved_width: usize,
    /// Rows and columns that one output pixel is the largest of: 1 or 2.
    pub(super) pooling: usize,
    /// Slope for values that are not positive; none without activation.
    pub(super) slope: Option<f32>,
}

impl LayerShape {
    /// Height of the output.
    pub(super) fn out_height(&self) -> usize {
        self.convolved_height / self.pooling
    }

    /// Width of the output.
    pub(super) fn out_width(&self) -> usize {
        self.convolved_width / self.pooling
    }

    /// Values of the images of one episode.
    pub(super) fn input_len(&self) -> usize {
        self.inputs * self.height * self.width * self.images
    }

    /// Values of one channel of the output of one episode.
    pub(super) fn channel_len(&self) -> usize {
        self.out_height() * self.out_width() * self.images
    }

    /// Values of the output of one episode.
    pub(super) fn output_len(&self) -> usize {
        self.outputs * self.channel_len()
    }

    /// F · F.
    pub(super) fn taps(&self) -> usize {
        self.kernel * self.kernel
    }

    /// Values of the kernel of one episode.
    pub(super) fn kernel_len(&self) -> usize {
        self.outputs * self.inputs * self.taps()
    }

    /// B filled up to whole blocks.
    pub(super) fn lanes(&self) -> usize {
        self.images.next_multiple_of(LANES)
    }

    /// Values of the choices of one episode.
    pub(super) fn choices_len(&self) -> usize {
        self.outputs * self.out_height() * self.out_width() * self.lanes()
    }

    /// The number of the first pixel of row `row` of channel `output` of the result.
    pub(super) fn place(&self, output: usize, row: usize) -> usize {
        (output * self.out_height() + row) * self.out_width()
    }
}

/// Some images of every episode: what is worked on at a time fits into a cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    /// The first.
    pub(super) first: usize,
    /// How many.
    pub(super) len: usize,
}

/// Floats that one chunk should not exceed: a common second-level cache. In tests it is small
/// enough for several chunks of a few images.
const CHUNK_FLOATS: usize = if cfg!(test) { 8 * 1024 } else { 256 * 1024 };

/// Images of a block: the floats of the widest common vector.
pub(super) const LANES: usize = 16;

/// Cuts `images` into chunks, for a working set of `floats` per image.
pub(super) fn chunks(images: usize, floats: usize) -> impl Iterator<Item = Chunk> {
    let fitting = CHUNK_FLOATS / floats.max(1);
    let step = match fitting {
        n if n >= images => images,
        n => (n / LANES * LANES).max(LANES),
    };
    (0..images).step_by(step.max(1)).map(move |first| Chunk {
        first,
        len: step.min(images - first),
    })
}
