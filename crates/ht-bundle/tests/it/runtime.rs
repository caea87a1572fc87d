//! `ht-runtime` against the definition of the CNN, over all sizes, paddings, strides and channels.

use ht_bundle::{Activation, Cnn, Features, Image, Pooling, Precision, Verification};
use ht_runtime::Error;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::{collection, prop_assert, prop_assert_eq};

use crate::definition;
use crate::sample::{self, LayerSizes, Numbers};

fn activations() -> impl Strategy<Value = Activation> {
    prop_oneof![Just(Activation::Relu), Just(Activation::LeakyRelu)]
}

fn poolings() -> impl Strategy<Value = Pooling> {
    prop_oneof![Just(Pooling::Max), Just(Pooling::None)]
}

fn layers() -> impl Strategy<Value = LayerSizes> {
    let zeros = (0..4_usize, 0..4_usize);
    (
        (1..=20_usize, 1..=4_usize, 1..=3_usize),
        [zeros.clone(), zeros],
        (any::<bool>(), activations(), poolings()),
    )
        .prop_map(
            |((channels, side, stride), zeros, (bias, activation, pooling))| LayerSizes {
                channels,
                side,
                stride,
                padding: zeros.map(|(before, after)| (before % side, after % side)),
                bias,
                activation,
                pooling,
            },
        )
}

/// A CNN of those layers that fit, at least one.
fn fitting(image: Image, wanted: &[LayerSizes], features: Features, n_labels: usize) -> Cnn {
    let mut layers = Vec::new();
    for layer in wanted {
        layers.push(layer.clone());
        if sample::cnn(image, &layers, features, n_labels, 3).is_none() {
            layers.pop();
        }
    }
    if layers.is_empty() {
        layers.push(LayerSizes {
            side: 1,
            padding: [(0, 0); 2],
            pooling: Pooling::None,
            ..sample::paper_layer(5)
        });
    }
    sample::cnn(image, &layers, features, n_labels, 3).expect("layers that fit")
}

/// Logits of some images by the device file.
fn run(cnn: &Cnn, images: &[u8], precision: Precision) -> Vec<f32> {
    let file = sample::bundle(cnn.clone(), 1).device_file(precision);
    let file = file.expect("a network");
    // Nothing may depend on where the file lies.
    let shifted: Vec<u8> = std::iter::once(0).chain(file).collect();
    let parsed = ht_runtime::Cnn::parse(&shifted[1..]).expect("a device file");
    // Whatever the workspace held before.
    let mut workspace = vec![f32::NAN; parsed.workspace_len()];
    let mut network = parsed.load(&mut workspace).expect("a workspace");
    let mut logits = vec![0.0; parsed.n_labels()];
    let images = images.chunks_exact(parsed.image().len());
    let mut all = Vec::new();
    for image in images {
        network.classify(image, &mut logits).expect("an image");
        all.extend(&logits);
    }
    all
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(400))]
    #[test]
    fn the_runtime_is_the_definition(
        (channels, height, width) in (1..=4_usize, 1..=20_usize, 1..=20_usize),
        wanted in collection::vec(layers(), 1..=4),
        is_mean in any::<bool>(),
        is_int8 in any::<bool>(),
        n_labels in 1..=21_usize,
        seed in any::<u64>(),
    ) {
        let image = Image { channels, height, width };
        let features = if is_mean { Features::Mean } else { Features::Flatten };
        let precision = if is_int8 { Precision::Int8 } else { Precision::Float32 };
        let cnn = fitting(image, &wanted, features, n_labels);
        let images = Numbers(seed).bytes(2 * image.n_values());
        let rounded = cnn.rounded_to(precision);
        let expected = images.chunks_exact(image.n_values());
        let expected = expected.flat_map(|image| definition::logits(&rounded, image));
        let expected: Vec<f32> = expected.map(|logit| logit as f32).collect();
        let logits = run(&cnn, &images, precision);
        let verification = Verification::compare(&expected, &logits, n_labels);
        prop_assert!(verification.passed(), "{:?}", verification);

        // The two crates count the same.
        let bundle = sample::bundle(cnn, 1);
        let file = bundle.device_file(precision).expect("a network");
        let parsed = ht_runtime::Cnn::parse(&file).expect("a device file");
        prop_assert_eq!(parsed.multiply_adds() as usize, bundle.cnn.n_multiply_adds().expect("a network"));
    }
}

#[test]
fn a_device_file_knows_its_labels_and_how_far_to_believe() {
    let bundle = sample::paper(5);
    let file = bundle.device_file(Precision::Int8).expect("a network");
    let cnn = ht_runtime::Cnn::parse(&file).expect("a device file");
    let labels: Vec<_> = (0..6).map(|index| cnn.label(index)).collect();
    let mut expected: Vec<_> = bundle
        .manifest
        .labels
        .iter()
        .map(|l| Some(l.as_str()))
        .collect();
    expected.push(None);
    assert_eq!(labels, expected);
    assert_eq!(cnn.precision(), ht_runtime::Precision::Int8);
    assert!(cnn.is_inverted());
    assert_eq!((cnn.temperature(), cnn.most_doubt()), (1.25, Some(0.5)));

    let mut probabilities = [1.0, 3.0, -80.0, 2.0, 0.0];
    let logits = probabilities;
    cnn.probabilities(&mut probabilities);
    let sum: f64 = logits
        .iter()
        .map(|&logit| f64::from(logit / 1.25).exp())
        .sum();
    for (logit, probability) in logits.iter().zip(probabilities) {
        let expected = f64::from(logit / 1.25).exp() / sum;
        assert!((f64::from(probability) - expected).abs() < 1e-6);
    }
    let decision = cnn.decide(&probabilities);
    assert_eq!((decision.label, decision.is_accepted), (1, true));
    let unsure = cnn.decide(&[0.2, 0.1, 0.4, 0.2, 0.1]);
    assert_eq!((unsure.label, unsure.is_accepted), (2, false));
}

/// With two classes a threshold can be nearer to 1 than float32 can say.
#[test]
fn what_float32_takes_for_certain_can_be_rejected() {
    let mut bundle = sample::paper(2);
    let rejection = bundle.manifest.rejection.as_mut().expect("a limit");
    rejection.most_doubt = 2e-8;
    let file = bundle.device_file(Precision::Float32).expect("a network");
    let cnn = ht_runtime::Cnn::parse(&file).expect("a device file");
    for (gap, is_accepted) in [(17.0, false), (18.0, true)] {
        let mut probabilities = [0.0, gap * cnn.temperature()];
        cnn.probabilities(&mut probabilities);
        let decision = cnn.decide(&probabilities);
        assert_eq!((decision.label, decision.probability), (1, 1.0));
        assert_eq!(decision.is_accepted, is_accepted, "{}", decision.doubt);
    }
}

/// What was written before the doubt was.
#[test]
fn a_device_file_of_version_1_has_the_probability_itself() {
    let mut bundle = sample::paper(5);
    let rejection = bundle.manifest.rejection.as_mut().expect("a limit");
    rejection.most_doubt = 0.75;
    let mut file = bundle.device_file(Precision::Float32).expect("a network");
    file[8] = 1;
    file[28..32].copy_from_slice(&0.25f32.to_le_bytes());
    let cnn = ht_runtime::Cnn::parse(&file).expect("a device file");
    assert_eq!(cnn.most_doubt(), Some(0.75));
}

#[test]
fn slices_of_a_wrong_length_are_errors() {
    let bundle = sample::paper(5);
    let file = bundle.device_file(Precision::Float32).expect("a network");
    let cnn = ht_runtime::Cnn::parse(&file).expect("a device file");
    let len = cnn.workspace_len();
    let mut workspace = vec![0.0; len + 1];
    assert!(matches!(
        cnn.load(&mut workspace),
        Err(Error::SliceLength {
            argument: "workspace",
            ..
        })
    ));
    let mut network = cnn.load(&mut workspace[..len]).expect("its length");
    let wrong_image = network.classify(&[0; 783], &mut [0.0; 5]);
    assert!(matches!(
        wrong_image,
        Err(Error::SliceLength {
            argument: "image",
            ..
        })
    ));
    let wrong_logits = network.classify(&[0; 784], &mut [0.0; 4]);
    assert!(matches!(
        wrong_logits,
        Err(Error::SliceLength {
            argument: "logits",
            ..
        })
    ));
}

#[test]
fn other_versions_and_files_say_so() {
    let file = sample::paper(5)
        .device_file(Precision::Float32)
        .expect("a network");
    let error = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut file = file.clone();
        change(&mut file);
        ht_runtime::Cnn::parse(&file)
            .err()
            .expect("a wrong file")
            .to_string()
    };
    assert!(error(&|file| file[0] = b'h').contains("HTCNN"));
    assert!(error(&|file| file[8] = 3).contains("version 3, expected at most 2"));
    assert!(error(&|file| file.push(0)).contains("expected"));
    assert!(error(&|file| file.truncate(20)).contains("ends at byte 20"));
    assert!(error(&|file| file[12] = 5).contains("channels of an image at byte 12"));
    let nan = |file: &mut Vec<u8>| {
        let at = file.len() - 4;
        file[at..].copy_from_slice(&f32::NAN.to_le_bytes());
    };
    assert!(error(&nan).contains("not finite"));
}
