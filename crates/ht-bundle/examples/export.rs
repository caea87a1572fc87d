//! Reads a bundle, proves it, and writes every format that is made from it.
//!
//! ```console
//! $ cargo run -p ht-bundle --example export -- cnn/ exported/
//! ```

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use ht_bundle::{Bundle, Precision};

fn main() -> Result<(), Box<dyn Error>> {
    let mut folders = std::env::args_os().skip(1).map(PathBuf::from);
    let (from, to) = folders
        .next()
        .zip(folders.next())
        .ok_or("expected two folders")?;
    let bundle = Bundle::read(&from)?;

    // Golden images in, golden logits out, or the files are not what they were.
    let verification = bundle.verify()?;
    if !verification.passed() {
        return Err(format!("{} does not verify: {verification:?}", from.display()).into());
    }

    fs::create_dir_all(&to)?;
    fs::write(to.join("cnn.onnx"), bundle.onnx()?)?;
    for (precision, name) in [(Precision::Float32, "float32"), (Precision::Int8, "int8")] {
        let file = to.join(format!("cnn-{name}.htcnn"));
        fs::write(file, bundle.device_file(precision)?)?;
        fs::write(
            to.join(format!("cnn-{name}.h")),
            bundle.c_header(precision)?,
        )?;
    }
    Ok(())
}
