//! Matrix products of rows, by Burn's own matrix product, and dense layers made of them.

use burn::backend::Flex;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{Shape, TensorData};

use super::rows::sum_rows;

/// A tensor of single precision on the CPU.
pub(super) type CpuTensor = FloatTensor<Flex>;

/// The matrix product of the last two axes.
pub(super) fn product(left: &CpuTensor, right: &CpuTensor) -> CpuTensor {
    Flex::float_matmul(left.clone(), right.clone())
}

/// The values, which must stand one after another.
pub(super) fn values(tensor: &CpuTensor) -> &[f32] {
    tensor.as_slice().expect("contiguous single precision")
}

/// As [`values`], to be changed; no other tensor may share them.
pub(super) fn values_mut(tensor: &mut CpuTensor) -> &mut [f32] {
    tensor
        .try_storage_mut()
        .expect("a result that nobody else holds")
}

/// A tensor of these values.
pub(super) fn tensor(values: Vec<f32>, shape: Shape) -> CpuTensor {
    CpuTensor::from_data(TensorData::new(values, shape))
}

/// Values one after another, as `[rows, columns]`.
pub(super) fn rows_of(values: Vec<f32>, columns: usize) -> CpuTensor {
    let rows = values.len() / columns;
    tensor(values, Shape::new([rows, columns]))
}

/// Weight `[I, O]` and bias `[O]` of a dense layer.
#[derive(Clone, Debug)]
pub(super) struct DenseLayer {
    pub(super) weight: CpuTensor,
    pub(super) bias: CpuTensor,
}

/// Gradients of a dense layer.
#[derive(Debug)]
pub(super) struct DenseGradient {
    pub(super) weight: CpuTensor,
    pub(super) bias: CpuTensor,
}

impl DenseLayer {
    /// The product without the bias: whoever passes over the result next adds it.
    pub(super) fn product(&self, input: &CpuTensor) -> CpuTensor {
        product(input, &self.weight)
    }

    pub(super) fn bias(&self) -> &[f32] {
        values(&self.bias)
    }

    /// Gradients of weight and bias.
    pub(super) fn gradient(&self, input: &CpuTensor, gradient: &CpuTensor) -> DenseGradient {
        let columns = self.bias().len();
        DenseGradient {
            weight: product(&input.transpose(0, 1), gradient),
            bias: tensor(sum_rows(values(gradient), columns), Shape::new([columns])),
        }
    }

    /// Gradient of the input.
    pub(super) fn input_gradient(&self, gradient: &CpuTensor) -> CpuTensor {
        product(gradient, &self.weight.transpose(0, 1))
    }
}
