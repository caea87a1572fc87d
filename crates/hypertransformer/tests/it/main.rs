//! The commands as a person types them, from files to exit codes.

mod attack_data;
mod attack_models;
mod attacks;
mod bundles;
mod deploy;
mod devices;
mod errors;
mod explain;
mod instructions;
mod kill;
mod methods;
mod released;
mod reproduce;
mod resume;
mod smoke;
mod support;
