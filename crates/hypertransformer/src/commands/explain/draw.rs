//! Drawings, one file each. They compute nothing: what they show is handed to them.

pub(super) mod attention;
pub(super) mod confusion;
pub(super) mod curves;
pub(super) mod kernels;
pub(super) mod map;
pub(super) mod reliability;
