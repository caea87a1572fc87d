//! A generated CNN on a device: no allocator, one static array, the file in flash memory.

use ht_runtime::{Cnn, Error};

/// The bundle's `cnn.htcnn`, as the linker lays it beside the program.
static FILE: &[u8] = include_bytes!("../../ht-bundle/tests/fixtures/v1/paper/cnn.htcnn");
/// `Cnn::workspace_len` of this file: 19.6 kB.
const WORKSPACE: usize = 4_889;
const LABELS: usize = 5;

/// Which label a camera's 28 x 28 grey pixels show, or none that the CNN knows.
fn recognize(pixels: &mut [u8]) -> Result<Option<&'static str>, Error> {
    let cnn = Cnn::parse(FILE)?;
    let mut workspace = [0.0; WORKSPACE];
    let mut network = cnn.load(&mut workspace)?; // once; then any number of images
    if cnn.is_inverted() {
        pixels.iter_mut().for_each(|pixel| *pixel = 255 - *pixel);
    }
    let mut scores = [0.0; LABELS];
    network.classify(pixels, &mut scores)?;
    cnn.probabilities(&mut scores);
    let decision = cnn.decide(&scores);
    Ok(cnn.label(decision.label).filter(|_| decision.is_accepted))
}

fn main() -> Result<(), Error> {
    let mut pixels = [128; 28 * 28];
    let _seen = recognize(&mut pixels)?;
    Ok(())
}
