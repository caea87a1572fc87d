//! Changes of a generator's parameters that the laws speak of.

use burn::module::{ModuleMapper, Param};
use burn::tensor::{Int, Tensor};

/// Opens the gain of what is added to class means halfway, and the mixing of what is added to learned
/// convolutions.
#[derive(Default)]
pub(crate) struct OffStart {
    path: Vec<String>,
}

impl ModuleMapper for OffStart {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }
    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.last().map_or("", String::as_str);
        if name == "gain" {
            param.map(|gain| gain.full_like(0.5))
        } else if name == "mixing" {
            param.map(|mixing| mixing.full_like(0.05))
        } else {
            param
        }
    }
}

/// Tables with a row per label, besides the label embeddings: what the logits layer's rows start
/// from, and what is added to them.
const LABEL_ROWS: [&str; 5] = [
    "logits.generator.embeddings.weights",
    "logits.added.kernel",
    "logits.added.bias",
    "logits.query_added.kernel",
    "logits.query_added.bias",
];

/// Rows of the tables that speak of labels, in another order.
pub(crate) struct Relabel {
    path: Vec<String>,
    order: Vec<usize>,
}

impl Relabel {
    /// Row r of a table becomes what row `order[r]` was.
    pub(crate) fn new(order: Vec<usize>) -> Self {
        Self {
            path: Vec::new(),
            order,
        }
    }
}

impl ModuleMapper for Relabel {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }
    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        if !path.ends_with("embeddings.labels") && !LABEL_ROWS.contains(&path.as_str()) {
            return param;
        }
        param.map(|table| {
            // The last row of a label table stands for "no label" and stays.
            let n_rows = table.dims()[0];
            let rows: Vec<i32> = (0..n_rows)
                .map(|row| self.order.get(row).map_or(row as i32, |&from| from as i32))
                .collect();
            let rows = Tensor::<1, Int>::from_data(rows.as_slice(), &table.device());
            table.select(0, rows)
        })
    }
}
