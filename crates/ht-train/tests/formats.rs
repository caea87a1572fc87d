//! Every format that a checkpoint ever had: the runs in `fixtures/` load and go on.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use burn::tensor::{Device, Int, Tensor, TensorData};
use ht_episodes::SupportSet;
use ht_train::{
    BadSteps, Compute, Experiment, Learner, RunDir, TrainOutcome, load_learner, to_vector, train,
};

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let entries = fs::read_dir(folder).expect("fixtures");
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.is_dir());
    paths.sort();
    assert!(!paths.is_empty());
    paths
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("read").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// Three images of numbers that look drawn.
fn images(first: usize) -> Tensor<5> {
    let pixels: Vec<f32> = (first..first + 3 * 256)
        .map(|n| (n * n % 251) as f32 / 126.0 - 1.0)
        .collect();
    Tensor::from_data(TensorData::new(pixels, [1, 3, 1, 16, 16]), &Device::flex())
}

/// The logits of a generated CNN are those that the version which wrote the fixture gave.
fn assert_answers(model: &Learner, fixture: &Path) {
    let labels = Tensor::<2, Int>::from_data([[0, 1, 2]], &Device::flex());
    let cnn = model.adapt(&SupportSet::new(images(0), labels));
    let ours: Vec<f32> = cnn.forward(images(1000)).to_data().iter().collect();
    let text = fs::read_to_string(fixture.join("answers.json")).expect("answers");
    let theirs: Vec<f32> = serde_json::from_str(&text).expect("numbers");
    let near = |(ours, theirs): (&f32, &f32)| (ours - theirs).abs() < 1e-4;
    assert!(
        ours.len() == theirs.len() && ours.iter().zip(&theirs).all(near),
        "{}: {ours:?} {theirs:?}",
        fixture.display()
    );
}

#[test]
fn a_checkpoint_of_every_format_loads_and_its_run_goes_on() {
    for fixture in fixtures() {
        let name = fixture.file_name().expect("a name").to_string_lossy();
        let device = Device::flex();
        let checkpoint = fixture.join("checkpoints/step-00000002");
        let (model, config, info) = load_learner(&checkpoint, &device).expect(&name);
        assert_eq!(format!("format-{}", info.format), name);
        // The last parameter is the last number of the file.
        let vector: Vec<f32> = to_vector(&model).to_data().iter().collect();
        let bytes = fs::read(checkpoint.join("parameters.safetensors")).expect("read");
        let stored: Vec<[u8; 4]> = bytes
            .rchunks_exact(4)
            .take(vector.len())
            .map(|v| [v[0], v[1], v[2], v[3]])
            .collect();
        let mut stored: Vec<u32> = stored.into_iter().map(u32::from_le_bytes).collect();
        let mut loaded: Vec<u32> = vector.iter().map(|value| value.to_bits()).collect();
        stored.sort_unstable();
        loaded.sort_unstable();
        assert_eq!(stored, loaded, "{name}");
        assert_answers(&model, &fixture);

        let folder = tempfile::TempDir::new().expect("a folder");
        copy(&fixture, folder.path());
        assert_eq!(RunDir::config(folder.path()).expect(&name), config);
        let run = RunDir::open(folder.path()).expect(&name);
        let experiment = Experiment::resolve(config, None).expect("possible");
        let compute = Compute {
            device,
            n_threads: 1,
            n_loaders: 1,
        };
        let stop = AtomicBool::new(false);
        let outcome = train(
            &experiment,
            &run,
            &compute,
            BadSteps::Stop,
            &stop,
            &mut |_| {},
        );
        let Ok(TrainOutcome::Finished(report)) = outcome else {
            panic!("{name}: {outcome:?}");
        };
        assert_eq!(report.train_episodes, 16, "{name}");
        let metrics = fs::read_to_string(folder.path().join("metrics.jsonl")).expect("metrics");
        let first = fs::read_to_string(fixture.join("metrics.jsonl")).expect("metrics");
        assert!(metrics.starts_with(&first), "{name}: {metrics}");
        let steps: Vec<&str> = metrics
            .lines()
            .map(|line| {
                &line[..line
                    .find(",\"loss\"")
                    .or(line.find(",\"accuracy\""))
                    .unwrap_or(line.len())]
            })
            .collect();
        assert_eq!(
            steps,
            [
                "{\"kind\":\"train\",\"step\":2",
                "{\"kind\":\"validation\",\"step\":3",
                "{\"kind\":\"train\",\"step\":4",
                "{\"kind\":\"validation\",\"step\":4",
                &format!(
                    "{{\"kind\":\"test\",\"step\":4,\"best_step\":{}",
                    report.best_step
                ),
            ],
            "{name}"
        );
    }
}
