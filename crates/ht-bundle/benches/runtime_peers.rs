//! ht-runtime, tract and onnxruntime on the paper's CNN, in turns: one image, one thread.
//!
//! Clocks of shared machines differ from minute to minute, so each round measures all three and
//! the medians are compared. `HT_PYTHON` names a Python with tests/requirements.txt; without it
//! onnxruntime is left out.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use ht_bundle::{Bundle, Precision};
use tract_onnx::prelude::{
    Datum, Framework, InferenceFact, InferenceModelExt, IntoRunnable, Tensor, tvec,
};

const ROUNDS: usize = 41;
const IMAGES: u32 = 2_000;

/// Seconds that a number of images take.
type Measure<'a> = Box<dyn FnMut(u32) -> Result<f64, Box<dyn Error>> + 'a>;

fn main() -> Result<(), Box<dyn Error>> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bundle = Bundle::read(&manifest.join("tests/fixtures/v1/paper"))?;
    let image: Vec<u8> = (0..bundle.cnn.image.n_values())
        .map(|n| (n * 37) as u8)
        .collect();

    let file = bundle.device_file(Precision::Float32)?;
    let cnn = ht_runtime::Cnn::parse(&file)?;
    let mut workspace = vec![0.0; cnn.workspace_len()];
    let mut network = cnn.load(&mut workspace)?;
    let mut logits = vec![0.0; cnn.n_labels()];
    let ours = timed(|| Ok(network.classify(std::hint::black_box(&image), &mut logits)?));

    let mut runtimes: Vec<(&str, Measure<'_>)> = vec![
        ("ht-runtime", Box::new(ours)),
        ("tract", tract(&bundle, &image)?),
    ];
    let folder = tempfile::tempdir()?;
    if let Some(python) = std::env::var_os("HT_PYTHON") {
        let model = folder.path().join("cnn.onnx");
        fs::write(&model, bundle.onnx()?)?;
        let script = manifest.join("../../benches/peers/runtime_peer.py");
        let child = Command::new(python)
            .arg(script)
            .arg(model)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        runtimes.push(("onnxruntime", onnxruntime(child)?));
    }
    let mut times = vec![Vec::new(); runtimes.len()];
    for _ in 0..ROUNDS {
        for ((_, measure), times) in runtimes.iter_mut().zip(&mut times) {
            times.push(measure(IMAGES)? / f64::from(IMAGES) * 1e6);
        }
    }
    let mut out = std::io::stdout().lock();
    for ((name, _), mut times) in runtimes.iter().zip(times) {
        times.sort_by(f64::total_cmp);
        let [low, median, high] = [ROUNDS / 10, ROUNDS / 2, ROUNDS - 1 - ROUNDS / 10];
        writeln!(
            out,
            "{name:12} median {:6.2} us an image, {:.2} to {:.2} in four of five rounds",
            times[median], times[low], times[high]
        )?;
    }
    Ok(())
}

/// Runs something a number of times, on a clock.
fn timed<'a>(
    mut run: impl FnMut() -> Result<(), Box<dyn Error>> + 'a,
) -> impl FnMut(u32) -> Result<f64, Box<dyn Error>> + 'a {
    move |count| {
        let started = Instant::now();
        for _ in 0..count {
            run()?;
        }
        Ok(started.elapsed().as_secs_f64())
    }
}

fn tract<'a>(bundle: &Bundle, image: &[u8]) -> Result<Measure<'a>, Box<dyn Error>> {
    let sizes = bundle.cnn.image;
    let shape = [1, sizes.channels, sizes.height, sizes.width];
    let values = image.iter().map(|&byte| f32::from(byte) / 128.0 - 1.0);
    let input = Tensor::from_shape(&shape, &values.collect::<Vec<_>>())?;
    let model = tract_onnx::onnx()
        .model_for_read(&mut bundle.onnx()?.as_slice())?
        .with_input_fact(0, InferenceFact::dt_shape(f32::datum_type(), shape))?
        .into_optimized()?
        .into_runnable()?;
    let mut state = model.spawn()?;
    Ok(Box::new(timed(move || {
        std::hint::black_box(state.run(tvec![input.clone().into()])?);
        Ok(())
    })))
}

/// The child's loops, on its own clock.
fn onnxruntime<'a>(mut child: Child) -> Result<Measure<'a>, Box<dyn Error>> {
    let mut input = child.stdin.take().ok_or("no input")?;
    let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
    Ok(Box::new(move |count| {
        writeln!(input, "{count}")?;
        let mut line = String::new();
        output.read_line(&mut line)?;
        Ok(line.trim().parse()?)
    }))
}
