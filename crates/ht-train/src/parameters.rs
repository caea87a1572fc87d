//! All parameters of a model as one long vector, and back.
//!
//! The vector is what the optimizer works on: a step is a handful of operations however
//! many parameters there are, the norm of the whole gradient is one norm, and adding the
//! gradients of two micro-batches is one addition. Names and shapes go into checkpoints.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};

/// One parameter's name and shape; its place in the vector follows from those before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSlot {
    /// Path in the model, for example
    /// `layers.0.generator.transformer.blocks.1.feed_forward.inner.weight`.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

impl ParameterSlot {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Names and shapes of a model's parameters, in the order of its vector.
pub fn slots<M: Module>(model: &M) -> Vec<ParameterSlot> {
    struct Slots {
        path: Vec<String>,
        slots: Vec<ParameterSlot>,
    }
    impl ModuleVisitor for Slots {
        // Which variant of an enum it is, is no part of a name: a generator's parameters are
        // called the same wherever it stands.
        fn enter_module(&mut self, name: &str, container: &str) {
            if !container.starts_with("Enum:") {
                self.path.push(name.to_owned());
            }
        }
        fn exit_module(&mut self, _name: &str, container: &str) {
            if !container.starts_with("Enum:") {
                self.path.pop();
            }
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.slots.push(ParameterSlot {
                name: self.path.join("."),
                shape: param.val().dims().to_vec(),
            });
        }
    }
    let mut visitor = Slots {
        path: Vec::new(),
        slots: Vec::new(),
    };
    model.visit(&mut visitor);
    visitor.slots
}

/// The parameters of a model.
///
/// # Shapes
/// - returns: `[P]`, without autodiff
pub fn to_vector<M: Module>(model: &M) -> Tensor<1> {
    struct Parts(Vec<Tensor<1>>);
    impl ModuleVisitor for Parts {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let value = param.val().inner();
            let n_values = value.shape().num_elements();
            self.0.push(value.reshape([n_values]));
        }
    }
    let mut parts = Parts(Vec::new());
    model.visit(&mut parts);
    Tensor::cat(parts.0, 0)
}

/// The gradient of every parameter of a model; zero where there is none.
///
/// # Shapes
/// - returns: `[P]`, without autodiff
pub fn gradient_vector<M: Module>(model: &M, gradients: Gradients) -> Tensor<1> {
    struct Parts {
        gradients: Gradients,
        parts: Vec<Tensor<1>>,
    }
    impl ModuleVisitor for Parts {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let value = param.val();
            let gradient = value
                .grad_remove(&mut self.gradients)
                .unwrap_or_else(|| value.inner().zeros_like());
            let n_values = gradient.shape().num_elements();
            self.parts.push(gradient.reshape([n_values]));
        }
    }
    let mut parts = Parts {
        gradients,
        parts: Vec::new(),
    };
    model.visit(&mut parts);
    Tensor::cat(parts.parts, 0)
}

/// A model with the parameters of a vector.
///
/// Every parameter is a new leaf: models made from one vector share no autodiff graph, so
/// that each thread can have its own.
///
/// # Shapes
/// - `vector`: `[P]`, without autodiff
pub fn from_vector<M: Module>(model: M, vector: &Tensor<1>) -> M {
    struct Slices<'a> {
        vector: &'a Tensor<1>,
        offset: usize,
    }
    impl ModuleMapper for Slices<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|old| {
                let shape = old.shape();
                let n_values = shape.num_elements();
                let new = self
                    .vector
                    .clone()
                    .narrow(0, self.offset, n_values)
                    .reshape(shape);
                self.offset += n_values;
                if old.is_autodiff() {
                    Tensor::from_inner(new).require_grad()
                } else {
                    new
                }
            })
        }
    }
    let mut slices = Slices { vector, offset: 0 };
    let model = model.map(&mut slices);
    assert_eq!(
        slices.offset,
        vector.dims()[0],
        "the vector is another model's"
    );
    model
}
