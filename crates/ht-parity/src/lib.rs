//! Comparisons with recorded values of the released code: how far each function is from it.

pub mod image_operations;
