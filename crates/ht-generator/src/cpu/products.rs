//! Matrix products of rows, and dense layers made of them.
//!
//! The products are those of `faer`, which write into memory of ours and can add to what stands
//! there. Burn's own would zero their result and copy it before they write it.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{Shape, TensorData};
use faer::linalg::matmul::matmul;
use faer::{MatMut, MatRef, Par};

pub(super) use faer::Accum;

use super::rows::sum_rows;

/// A tensor of single precision on the CPU.
pub(super) type CpuTensor = FloatTensor<Flex>;

/// The values, which must stand one after another.
pub(super) fn values(tensor: &CpuTensor) -> &[f32] {
    tensor.as_slice().expect("contiguous single precision")
}

/// A tensor of these values.
pub(super) fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> CpuTensor {
    CpuTensor::from_data(TensorData::new(values, Shape::new(shape)))
}

/// Values one after another, as rows of `columns` each.
pub(super) fn matrix(values: &[f32], columns: usize) -> MatRef<'_, f32> {
    MatRef::from_row_major_slice(values, values.len() / columns, columns)
}

/// As [`matrix`], to be changed.
pub(super) fn matrix_mut(values: &mut [f32], columns: usize) -> MatMut<'_, f32> {
    let rows = values.len() / columns;
    MatMut::from_row_major_slice_mut(values, rows, columns)
}

/// Writes `factor · left · right` into `out`, or adds it.
pub(super) fn multiply(
    out: MatMut<'_, f32>,
    how: Accum,
    left: MatRef<'_, f32>,
    right: MatRef<'_, f32>,
    factor: f32,
) {
    matmul(out, how, left, right, factor, Par::Seq);
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
    /// # Shapes
    /// - `input`: rows of I; returns rows of O
    pub(super) fn forward(&self, input: &[f32]) -> Vec<f32> {
        let mut out = self.bias().repeat(input.len() / self.n_inputs());
        self.add_product(input, &mut out);
        out
    }

    /// Adds the product without the bias to `out`.
    pub(super) fn add_product(&self, input: &[f32], out: &mut [f32]) {
        multiply(
            matrix_mut(out, self.n_outputs()),
            Accum::Add,
            matrix(input, self.n_inputs()),
            self.weight(),
            1.0,
        );
    }

    pub(super) fn bias(&self) -> &[f32] {
        values(&self.bias)
    }

    /// Gradients of weight and bias.
    pub(super) fn gradient(&self, input: &[f32], gradient: &[f32]) -> DenseGradient {
        let [i, o] = [self.n_inputs(), self.n_outputs()];
        let mut weight = vec![0.0; i * o];
        multiply(
            matrix_mut(&mut weight, o),
            Accum::Replace,
            matrix(input, i).transpose(),
            matrix(gradient, o),
            1.0,
        );
        DenseGradient {
            weight: tensor(weight, [i, o]),
            bias: tensor(sum_rows(gradient, o), [o]),
        }
    }

    /// Writes the gradient of the input into `out`, or adds it.
    pub(super) fn input_gradient(&self, gradient: &[f32], out: &mut [f32], how: Accum) {
        multiply(
            matrix_mut(out, self.n_inputs()),
            how,
            matrix(gradient, self.n_outputs()),
            self.weight().transpose(),
            1.0,
        );
    }

    pub(super) fn n_inputs(&self) -> usize {
        values(&self.weight).len() / self.n_outputs()
    }

    pub(super) fn n_outputs(&self) -> usize {
        self.bias().len()
    }

    fn weight(&self) -> MatRef<'_, f32> {
        matrix(values(&self.weight), self.n_outputs())
    }
}
