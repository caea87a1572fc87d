//! Variables of the released code as the parameters of our generator, and gradients back.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use ht_generator::WeightGenerator;
use ht_train::slots;

use crate::roles::{Layout, place_of};
use crate::tensors::same_shape;
use crate::{Array, ParityError};

/// Where the values of one variable stand in the parameter vector.
#[derive(Clone, Debug)]
struct Range {
    start: usize,
    len: usize,
    layout: Layout,
}

/// The variables of one checkpoint or case, matched with the parameters of a generator.
#[derive(Clone, Debug)]
pub struct Variables {
    ranges: BTreeMap<String, Range>,
    n_values: usize,
}

impl Variables {
    /// Matches variables (by name, with their roles) with parameters.
    ///
    /// # Errors
    /// A variable without parameter, a parameter without variable, two shapes that differ.
    pub fn new(
        roles: &BTreeMap<String, String>,
        shapes: impl Fn(&str) -> Option<Vec<usize>>,
        model: &WeightGenerator,
    ) -> Result<Self, ParityError> {
        let depth = model.spec().layers.len();
        let mut starts = BTreeMap::new();
        let mut n_values = 0;
        for slot in slots(model) {
            starts.insert(slot.name.clone(), (n_values, slot.shape.clone()));
            n_values += slot.len();
        }
        let mut ranges = BTreeMap::new();
        let mut n_matched = 0;
        for (name, role) in roles {
            let place = place_of(role, depth)?;
            let shape = shapes(name).ok_or_else(|| ParityError::variable(name, "it is missing"))?;
            let (start, ours) = starts.get(&place.parameter).ok_or_else(|| {
                let cause = format!("this generator has no parameter {}", place.parameter);
                ParityError::variable(name, cause)
            })?;
            let len: usize = shape.iter().product();
            let (offset, expected) = match place.layout {
                Layout::Row(row) => (row.saturating_mul(len), ours.get(1..).unwrap_or_default()),
                _ => (0, ours.as_slice()),
            };
            let is_inside = offset.saturating_add(len) <= ours.iter().product();
            let fits = |shape: Vec<usize>| same_shape(expected, &shape);
            if !(is_inside && place.layout.shape(&shape).is_some_and(fits)) {
                let cause = format!("shape {shape:?}, expected one that fits {ours:?}");
                return Err(ParityError::variable(name, cause));
            }
            n_matched += len;
            let range = Range {
                start: start + offset,
                len,
                layout: place.layout,
            };
            ranges.insert(name.clone(), range);
        }
        if n_matched != n_values {
            let cause = format!("{n_matched} values in all, but the generator has {n_values}");
            return Err(ParityError::variable("(all)", cause));
        }
        Ok(Self { ranges, n_values })
    }

    /// The parameter vector with the variables' values.
    ///
    /// # Shapes
    /// - returns: `[P]`
    ///
    /// # Errors
    /// A variable that is missing or has another number of axes.
    pub fn vector<'a>(
        &self,
        value: impl Fn(&str) -> Option<&'a Array>,
        device: &Device,
    ) -> Result<Tensor<1>, ParityError> {
        let mut vector = vec![0f32; self.n_values];
        for (name, range) in &self.ranges {
            let theirs = value(name).ok_or_else(|| ParityError::variable(name, "it is missing"))?;
            let ours = range
                .layout
                .to_ours(theirs)
                .map_err(|cause| ParityError::variable(name, cause))?;
            vector[range.start..range.start + range.len].copy_from_slice(&ours.values);
        }
        Ok(Tensor::from_data(
            TensorData::new(vector, [self.n_values]),
            device,
        ))
    }

    /// The names of all variables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.ranges.keys().map(String::as_str)
    }

    /// Whether there is a variable of this name.
    pub fn has(&self, name: &str) -> bool {
        self.ranges.contains_key(name)
    }

    /// The part of a vector that belongs to a variable.
    pub fn values<'a>(&self, name: &str, vector: &'a [f32]) -> Option<&'a [f32]> {
        let range = self.ranges.get(name)?;
        vector.get(range.start..range.start + range.len)
    }

    /// The part of a vector that belongs to a variable, and an array of the variable's
    /// layout brought into the same order.
    pub fn pair(&self, name: &str, vector: &[f32], theirs: &Array) -> Option<(Vec<f32>, Array)> {
        let ours = self.values(name, vector)?.to_vec();
        let layout = self.ranges.get(name)?.layout;
        Some((ours, layout.to_ours(theirs).ok()?))
    }
}
