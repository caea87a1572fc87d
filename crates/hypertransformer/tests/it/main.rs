//! The commands as a person types them, from files to exit codes.

mod deploy;
mod devices;
mod errors;
mod explain;
mod instructions;
mod methods;
mod released;
mod reproduce;
mod resume;
mod smoke;
mod support;
