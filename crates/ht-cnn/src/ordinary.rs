//! The definition of the layer operation in ordinary tensor operations, arranged for a GPU.
//!
//! A step on a GPU is as long as its launches are many and its sums are narrow, so
//! - a convolution is matrix products over shifted copies of the images, one for each row of each
//!   episode: Burn's grouped convolution launches a kernel for every group on the way back, which
//!   is one for every episode, and a product for an episode as a whole is a sum of 47,000 terms for
//!   each value of a kernel's gradient;
//! - everything else keeps the order `[E, C, H, W, B]`, in which no copy is made between the layers;
//! - a sum over pixels and images is made in two steps, first over the pixels of each image, on the
//!   way back too: in one step a thread would add them all.

use burn::tensor::activation::{leaky_relu, relu};
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Slice, Tensor};

use crate::convolution::{Convolution, LEAKY_SLOPE, Operands};
use crate::normalization::{for_every_image, normalize};
use crate::{Activation, Pooling};

/// Images that share a kernel are cut into groups of at least so many, which are episodes to the
/// matrix products: the gradient of the kernel is then a sum of many small products.
const LEAST_GROUP: usize = 16;

/// # Shapes
/// - returns: `[E, O, H', W', B]`
pub(crate) fn ordinary_layer(operands: Operands, convolution: &Convolution) -> Tensor<5> {
    let [e, _, _, _, b] = operands.images.dims();
    if e == 1 && operands.affine.is_none() {
        let groups = (2..=b / LEAST_GROUP).rev().find(|n| b.is_multiple_of(*n));
        if let Some(groups) = groups {
            return grouped_layer(operands, convolution, groups);
        }
    }
    batched_layer(operands, convolution)
}

/// One kernel for all images, without normalisation.
fn grouped_layer(operands: Operands, convolution: &Convolution, groups: usize) -> Tensor<5> {
    let Operands {
        images,
        kernel,
        bias,
        ..
    } = operands;
    let [_, i, h, w, b] = images.dims();
    let [_, o, _, f, _] = kernel.dims();
    let images = images.reshape([i, h, w, groups, b / groups]);
    let grouped = Operands {
        images: images.permute([3, 0, 1, 2, 4]),
        kernel: kernel.expand([groups, o, i, f, f]),
        bias: bias.map(|bias| bias.expand([groups, o])),
        affine: None,
    };
    let output = batched_layer(grouped, convolution);
    let [_, _, h, w, _] = output.dims();
    output.permute([1, 2, 3, 0, 4]).reshape([1, o, h, w, b])
}

fn batched_layer(operands: Operands, convolution: &Convolution) -> Tensor<5> {
    let Operands {
        images,
        kernel,
        bias,
        affine,
    } = operands;
    let [e, o, _, f, _] = kernel.dims();
    let columns = columns(images, f, convolution);
    let [_, h, taps, w, b] = columns.dims();
    let kernel = kernel.permute([0, 1, 3, 4, 2]).reshape([e, 1, o, taps]);
    let rows = kernel.matmul(columns.reshape([e, h, taps, w * b]));
    let convolved = rows.swap_dims(1, 2).reshape([e, o, h * w, b]);
    let convolved = match bias {
        Some(bias) => convolved + for_every_image(bias, b),
        None => convolved,
    };
    let activated = match convolution.activation {
        None => convolved,
        Some(Activation::Relu) => relu(convolved),
        Some(Activation::LeakyRelu) => leaky_relu(convolved, LEAKY_SLOPE),
    };
    let pooled = match convolution.pooling {
        Pooling::Max => max_pool(activated.reshape([e, o, h, w, b])),
        Pooling::None => activated.reshape([e, o, h, w, b]),
    };
    match affine {
        None => pooled,
        Some(affine) => normalize(pooled, None, affine).0,
    }
}

/// What each position of the kernel sees, one below the other: rows of the kernel, columns, channels.
///
/// # Shapes
/// - `images`: `[E, I, H, W, B]`; returns: `[E, H', F F I, W', B]`
fn columns(images: Tensor<5>, f: usize, convolution: &Convolution) -> Tensor<5> {
    let [e, i, h, w, b] = images.dims();
    let Convolution {
        stride, padding, ..
    } = *convolution;
    let [(top, bottom), (left, right)] = padding;
    let images = images.swap_dims(1, 2);
    let padded = if padding == [(0, 0); 2] {
        images
    } else {
        let shape = [e, top + h + bottom, i, left + w + right, b];
        let zeros = Tensor::zeros(shape, (&images.device(), images.dtype()));
        zeros.slice_assign([0..e, top..top + h, 0..i, left..left + w, 0..b], images)
    };
    let beside = shifted(padded, 3, f, stride);
    shifted(beside, 1, f, stride)
}

/// The images as `f` positions along an axis see them, in the place of channels.
fn shifted(images: Tensor<5>, axis: usize, f: usize, stride: usize) -> Tensor<5> {
    let side = images.dims()[axis];
    let span = (side - f) / stride * stride + 1;
    let views = (0..f).map(|start| {
        let mut slices = [Slice::full(); 5];
        slices[axis] = Slice::new(
            start as isize,
            Some((start + span) as isize),
            stride as isize,
        );
        images.clone().slice(slices)
    });
    match f {
        1 if stride == 1 => images,
        _ => Tensor::cat(views.collect(), 2),
    }
}

/// To Burn's pooling the images are channels that come last, as it computes on a GPU.
fn max_pool(images: Tensor<5>) -> Tensor<5> {
    let [e, o, h, w, b] = images.dims();
    let images = images.reshape([e * o, h, w, b]).permute([0, 3, 1, 2]);
    let pooled = max_pool2d(images, MaxPoolOptions::new([2, 2]).with_stride([2, 2]));
    let [_, _, h, w] = pooled.dims();
    pooled.permute([0, 2, 3, 1]).reshape([e, o, h, w, b])
}
