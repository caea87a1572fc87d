//! A generated CNN on a device: no allocator, one static array, the file in flash memory.

use std::sync::Mutex; // without `std`: the one of `critical-section` or `spin`

use ht_runtime::{Cnn, Error, Network};

/// The bundle's `cnn.htcnn`, as the linker lays it beside the program.
static FILE: &[u8] = include_bytes!("../../ht-bundle/tests/fixtures/v1/paper/cnn.htcnn");
/// `Cnn::workspace_len` of this file: 19.6 kB.
static WORKSPACE: Mutex<[f32; 4_889]> = Mutex::new([0.0; 4_889]);
const LABELS: usize = 5;

/// Which label a camera's 28 x 28 grey pixels show, or none that the CNN knows.
fn recognize<'f>(
    cnn: &Cnn<'f>,
    network: &mut Network<'_>,
    pixels: &mut [u8],
) -> Result<Option<&'f str>, Error> {
    if cnn.is_inverted() {
        for pixel in &mut *pixels {
            *pixel = 255 - *pixel;
        }
    }
    let mut scores = [0.0; LABELS];
    network.classify(pixels, &mut scores)?;
    cnn.probabilities(&mut scores);
    let decision = cnn.decide(&scores);
    Ok(cnn.label(decision.label).filter(|_| decision.is_accepted))
}

fn main() -> Result<(), Error> {
    let cnn = Cnn::parse(FILE)?;
    let mut workspace = WORKSPACE.lock().expect("one thread");
    let mut network = cnn.load(&mut *workspace)?; // once; then any number of images
    let _seen = recognize(&cnn, &mut network, &mut [128; 28 * 28])?;
    Ok(())
}
