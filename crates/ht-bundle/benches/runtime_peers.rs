//! ht-runtime, tract and onnxruntime on one CNN, in turns: one image, one thread. It is the paper's,
//! or that of the bundle that `HT_BUNDLE` names.
//!
//! Clocks of shared machines differ from minute to minute, so each round measures all three and
//! the medians are compared. Each runs in a process of its own, which reads how many images to
//! classify from a line of its input and answers with the seconds that they took: vector
//! instructions that one of them leaves half done must not slow another. `HT_PYTHON` names a
//! Python with tests/requirements.txt; without it onnxruntime is left out.

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use ht_bundle::{Bundle, Precision};
use tract_onnx::prelude::{
    Datum, Framework, InferenceFact, InferenceModelExt, IntoRunnable, Tensor, tvec,
};

const ROUNDS: usize = 301;
/// Images of a round that is long enough for a clock, and the most that any round has.
const ROUND_SECONDS: f64 = 4e-3;
const MOST_IMAGES: u32 = 300;

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bundle = match std::env::var_os("HT_BUNDLE") {
        Some(folder) => Bundle::read(Path::new(&folder))?,
        None => Bundle::read(&manifest.join("tests/fixtures/v1/paper"))?,
    };
    match std::env::var("HT_PEER").as_deref() {
        Ok("ht-runtime") => ht_runtime(&bundle),
        Ok("tract") => tract(&bundle),
        _ => compare(
            &bundle,
            &manifest.join("../../benches/peers/runtime_peer.py"),
        ),
    }
}

fn image(bundle: &Bundle) -> Vec<u8> {
    (0..bundle.cnn.image.n_values())
        .map(|n| (n * 37) as u8)
        .collect()
}

/// A child: runs one image as often as a line says, and answers with the seconds.
fn answer(mut run: impl FnMut() -> Outcome) -> Outcome {
    for line in stdin().lines() {
        let count: u32 = line?.trim().parse()?;
        let started = Instant::now();
        for _ in 0..count {
            run()?;
        }
        writeln!(stdout(), "{}", started.elapsed().as_secs_f64())?;
    }
    Ok(())
}

fn ht_runtime(bundle: &Bundle) -> Outcome {
    let file = bundle.device_file(Precision::Float32)?;
    let cnn = ht_runtime::Cnn::parse(&file)?;
    let mut workspace = vec![0.0; cnn.workspace_len()];
    let mut network = cnn.load(&mut workspace)?;
    let mut logits = vec![0.0; cnn.n_labels()];
    let image = image(bundle);
    answer(|| Ok(network.classify(black_box(&image), &mut logits)?))
}

fn tract(bundle: &Bundle) -> Outcome {
    let sizes = bundle.cnn.image;
    let shape = [1, sizes.channels, sizes.height, sizes.width];
    let values = image(bundle)
        .into_iter()
        .map(|byte| f32::from(byte) / 128.0 - 1.0);
    let input = Tensor::from_shape(&shape, &values.collect::<Vec<_>>())?;
    let model = tract_onnx::onnx()
        .model_for_read(&mut bundle.onnx()?.as_slice())?
        .with_input_fact(0, InferenceFact::dt_shape(f32::datum_type(), shape))?
        .into_optimized()?
        .into_runnable()?;
    let mut state = model.spawn()?;
    answer(|| {
        black_box(state.run(tvec![input.clone().into()])?);
        Ok(())
    })
}

/// The parent: rounds of all children.
fn compare(bundle: &Bundle, script: &Path) -> Outcome {
    let mut peers = Vec::new();
    for name in ["ht-runtime", "tract"] {
        let mut command = Command::new(std::env::current_exe()?);
        peers.push((name, Peer::start(command.env("HT_PEER", name))?, Vec::new()));
    }
    let folder = tempfile::tempdir()?;
    if let Some(python) = std::env::var_os("HT_PYTHON") {
        let model = folder.path().join("cnn.onnx");
        fs::write(&model, bundle.onnx()?)?;
        let mut command = Command::new(python);
        let peer = Peer::start(command.arg(script).arg(model))?;
        peers.push(("onnxruntime", peer, Vec::new()));
    }
    let mut images = MOST_IMAGES;
    for (_, peer, _) in &mut peers {
        let each = peer.seconds(MOST_IMAGES)? / f64::from(MOST_IMAGES);
        images = images.min((ROUND_SECONDS / each).ceil() as u32);
    }
    for _ in 0..ROUNDS {
        for (_, peer, times) in &mut peers {
            times.push(peer.seconds(images)? / f64::from(images) * 1e6);
        }
    }
    for (name, mut peer, mut times) in peers {
        times.sort_by(f64::total_cmp);
        let [low, median, high] = [ROUNDS / 10, ROUNDS / 2, ROUNDS - 1 - ROUNDS / 10];
        writeln!(
            stdout(),
            "{name:12} median {:8.2} us an image, {:.2} to {:.2} in four of five rounds",
            times[median],
            times[low],
            times[high]
        )?;
        peer.child.kill()?;
        peer.child.wait()?;
    }
    Ok(())
}

/// A child as its parent sees it.
struct Peer {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Peer {
    fn start(command: &mut Command) -> Result<Self, Box<dyn Error>> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let answers = BufReader::new(child.stdout.take().ok_or("no output")?);
        Ok(Self { child, answers })
    }

    fn seconds(&mut self, count: u32) -> Result<f64, Box<dyn Error>> {
        let input = self.child.stdin.as_mut().ok_or("no input")?;
        writeln!(input, "{count}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().parse()?)
    }
}
