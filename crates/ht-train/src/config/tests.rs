//! Configs: the files of the repository parse, wrong keys are named.

use std::fs;

use burn::module::Module;
use ht_episodes::{ClassRotation, QueryPool};

use super::*;

fn quickstart(overrides: &[&str]) -> Result<ExperimentConfig, String> {
    let overrides: Vec<Override> = overrides
        .iter()
        .map(|text| text.parse().expect("has an equals sign"))
        .collect();
    ExperimentConfig::quickstart(&overrides).map_err(|e| e.to_string())
}

#[test]
fn every_config_of_the_repository_parses() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    for (folder, least) in [
        (folder.clone(), 5),
        (folder.join("paper"), 7),
        (folder.join("baselines"), 4),
    ] {
        let mut n_configs = 0;
        for entry in fs::read_dir(folder).expect("a folder of configs").flatten() {
            if entry.path().extension().is_some_and(|end| end == "toml") {
                let config =
                    ExperimentConfig::load(&entry.path(), &[]).unwrap_or_else(|e| panic!("{e}"));
                assert_eq!(Some(config.name.as_ref()), entry.path().file_stem());
                let learner = config.new_learner(&burn::tensor::Device::flex());
                let learner = learner.expect("can be built");
                let counted = config.n_parameters().expect("can be built");
                assert_eq!(learner.num_params() as u64, counted, "{}", config.name);
                n_configs += 1;
            }
        }
        assert!(n_configs >= least, "{n_configs} configs");
    }
}

#[test]
fn the_released_scripts_have_their_token_widths() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/paper");
    let generator = |name: &str| {
        let config = ExperimentConfig::load(&folder.join(format!("{name}.toml")), &[]);
        let config = config.unwrap_or_else(|e| panic!("{e}"));
        let generator = config.new_generator(&burn::tensor::Device::flex());
        generator.expect("can be built")
    };
    let widths = |name: &str| -> Vec<usize> {
        let generator = generator(name);
        let layers = generator.layers().iter().filter_map(|l| l.generator());
        layers
            .chain([generator.logits()])
            .map(|layer| layer.grid().width)
            .collect()
    };
    assert_eq!(widths("omniglot-1shot"), [80, 104, 104, 104, 72]);
    assert_eq!(widths("omniglot-5shot"), [80, 104, 104, 104, 72]);
    assert_eq!(widths("mini-imagenet-1shot"), [80, 176, 176, 176, 433]);
    assert_eq!(widths("tiered-imagenet-1shot"), [64, 104, 104, 104, 233]);
    assert_eq!(widths("omniglot-1shot-logits-only"), [72]);
    let slots = crate::slots(&generator("omniglot-1shot"));
    let n_parameters: usize = slots.iter().map(crate::ParameterSlot::len).sum();
    assert_eq!(n_parameters, 843_304);
}

/// Sizes of a preset: ways, shots, queries per class, heads, width of the image encoder, channels;
/// the activation encoders are as wide as the layers.
fn sizes(config: &ExperimentConfig) -> [usize; 6] {
    let episodes = &config.episodes;
    let generator = config.generator.as_ref().expect("a generator");
    let image = generator.image_encoder.as_ref().map(|part| part.width);
    let activation = generator.activation_encoder.as_ref();
    assert_eq!(
        activation.map(|part| (part.depth, part.width)),
        Some((2, None))
    );
    [
        episodes.ways,
        episodes.shots,
        episodes.queries,
        generator.transformer.heads,
        image.expect("an image encoder"),
        config.cnn.channels,
    ]
}

#[test]
fn the_presets_hold_the_numbers_of_the_released_scripts() {
    use crate::Decay;
    use ht_generator::{LearnedLayers, Size};
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/paper");
    let omniglot = |shots, queries| ([20, shots, queries, 2, 32, 8], 0.02, 1.0);
    let imagenet = |channels| ([5, 1, 20, 8, 16, channels], 0.01, 0.5);
    let presets = [
        ("omniglot-1shot", omniglot(1, 3)),
        ("omniglot-5shot", omniglot(5, 5)),
        ("omniglot-1shot-logits-only", omniglot(1, 3)),
        ("omniglot-1shot-semi-supervised", omniglot(1, 3)),
        ("mini-imagenet-1shot", imagenet(16)),
        ("mini-imagenet-1shot-semi-supervised", imagenet(16)),
        ("tiered-imagenet-1shot", imagenet(8)),
    ];
    for (name, (expected, rate, fraction)) in presets {
        let path = folder.join(format!("{name}.toml"));
        let config = ExperimentConfig::load(&path, &[]).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(sizes(&config), expected, "{name}");
        let is_omniglot = name.starts_with("omniglot");

        let schedule = ScheduleConfig {
            learning_rate: rate,
            warmup_steps: 0,
            decay: Decay::Exponential {
                rate: 0.95,
                steps: 1e5,
            },
        };
        assert_eq!(config.schedule, schedule, "{name}");
        assert_eq!(config.optimizer, OptimizerConfig::Sgd {}, "{name}");
        let training = TrainingConfig {
            objective: TrainingObjective::Episodes,
            steps: 4_000_000,
            meta_batch: 1,
            micro_batch: 1,
            gradient_clip: None,
            largest_loss: None,
            log_every: 1000,
            validate_every: 50_000,
            checkpoint_every: 50_000,
        };
        assert_eq!(config.training, training, "{name}");

        let episodes = &config.episodes;
        assert_eq!(episodes.query_pool, QueryPool::WholeClass, "{name}");
        let rotation = if is_omniglot {
            ClassRotation::PerEpisode
        } else {
            ClassRotation::None
        };
        assert_eq!(episodes.rotation, rotation, "{name}");
        assert_eq!(episodes.photo.is_none(), is_omniglot, "{name}");
        let unlabelled = name.ends_with("semi-supervised").then_some(5);
        assert_eq!(episodes.unlabelled.map(|u| u.train), unlabelled, "{name}");
        let evaluation = &config.evaluation;
        let n_queries = evaluation.queries * episodes.ways;
        assert_eq!((n_queries, evaluation.test_episodes), (100, 1024), "{name}");

        let generator = config.generator.as_ref().expect("a generator");
        let transformer = &generator.transformer;
        let inner = transformer.feed_forward.as_ref().map(|part| part.inner);
        for size in [Some(transformer.query_key), Some(transformer.value), inner] {
            assert_eq!(size, Some(Size::Fraction(fraction)), "{name}");
        }
        assert_eq!((transformer.blocks, generator.embedding_width), (3, 32));
        let learned_layers = if name.ends_with("logits-only") {
            LearnedLayers::First(4)
        } else {
            LearnedLayers::None
        };
        assert_eq!(generator.learned_layers, learned_layers, "{name}");
    }
}

#[test]
fn the_rarer_sections_parse() {
    let config = quickstart(&[
        "episodes.augmentation={rotation_probability=0.5,angle_range=20.0,roll_probability=0.1,\
         resize_probability=0.1,contrast_probability=0.5,smooth_probability=0.5,\
         negate_probability=0.1,per_class=true}",
        "split={by='released-code',seed=2022,train=1150,validation=50,test=300}",
        "loss={label_smoothing=0.1,squared_kernels=1e-4}",
        "episodes.jitter={turn=5.0,slant=0.1,size=0.1,shift=0.05}",
    ])
    .expect("valid");
    assert!(config.episodes.train_spec().jitter.is_some());
    let augmentation = config
        .episodes
        .train_spec()
        .augmentation
        .expect("asked for");
    assert!(augmentation.per_class && augmentation.check().is_ok());
    let error = quickstart(&["loss.weight_variation=0.1"]).expect_err("nothing is added");
    assert!(error.contains("generator.added_weights"), "{error}");
}

#[test]
fn a_config_survives_its_own_file() {
    let config = quickstart(&[]).expect("valid");
    let again = ExperimentConfig::parse(&config.to_toml(), "again", &[]).expect("valid");
    assert_eq!(config, again);
}

#[test]
fn every_data_set_with_an_official_split() {
    let parse = |source: &str, split: &str| {
        let config = quickstart(&[]).expect("valid");
        let mut table = config.to_table();
        let section = |text: &str| Value::Table(toml::from_str(text).expect("TOML"));
        table.insert("data".to_owned(), section(source));
        table.insert("split".to_owned(), section(split));
        ExperimentConfig::parse(&table.to_string(), "test", &[]).map_err(|e| e.to_string())
    };
    for name in ["mini-imagenet", "tiered-imagenet", "cifar-fs", "fc100"] {
        let source = format!("source = '{name}'\nimage_size = 32");
        let config = parse(&source, "by = 'official'").expect("valid");
        assert_eq!(config.data.shape().len(), 3 * 32 * 32);
        let again = ExperimentConfig::parse(&config.to_toml(), "again", &[]).expect("valid");
        assert_eq!(config, again);
    }
    let cache = "source = 'npy-cache'\nname = 'omniglot'\nimage_size = 28\nchannels = 'grey'";
    assert!(parse(cache, "by = 'official'").is_ok(), "the files decide");
    assert!(parse(cache, "by = 'official'\nseed = 1").is_err());
}

#[test]
fn overrides_of_every_type() {
    let config = quickstart(&[
        "training.steps=7",
        "schedule.learning_rate=0.5",
        "name=other",
        "generator.learned_layers={ first = 2 }",
        "episodes.rotation=as-classes",
        "training.gradient_clip=3.0",
    ])
    .expect("valid");
    assert_eq!(config.training.steps, 7);
    assert_eq!(config.name, "other");
    assert_eq!(config.episodes.rotation, ClassRotation::AsClasses);
    assert_eq!(config.training.gradient_clip, Some(3.0));
    let differences = quickstart(&[]).expect("valid").differences(&config);
    assert!(
        differences
            .iter()
            .any(|d| d.starts_with("training.steps (")),
        "{differences:?}"
    );
}

#[test]
fn wrong_keys_and_values_are_named() {
    let check = |overrides: &[&str], expected: &[&str]| {
        let error = quickstart(overrides).expect_err("wrong");
        for part in expected {
            assert!(error.contains(part), "{error:?} lacks {part:?}");
        }
    };
    check(
        &["training.stepps=7"],
        &["--set training.stepps", "nearest known key: training.steps"],
    );
    check(&["training.steps=many"], &["--set training.steps", "many"]);
    check(&["data.image_sise=28"], &["image_sise", "data.image_size"]);
    check(&["training.steps=0"], &["training.steps", "at least 1"]);
    for n_episodes in ["0", "10000000000000"] {
        check(
            &[&format!("training.meta_batch={n_episodes}")],
            &["training.meta_batch", n_episodes, "1 to 1000000"],
        );
    }
    check(
        &["schedule.learning_rate=-1.0"],
        &["schedule.learning_rate"],
    );
    check(&["name=../x"], &["plain folder name"]);
    for (change, key) in [
        ("training.gradient_clip=0.0", "training.gradient_clip"),
        ("training.gradient_clip=-1.0", "training.gradient_clip"),
        ("optimizer.epsilon=0.0", "optimizer.epsilon"),
        ("optimizer.beta_1=-0.1", "optimizer.beta_1"),
        ("optimizer.beta_2=1.0", "optimizer.beta_2"),
        (
            "schedule.decay={exponential={rate=-0.5, steps=10.0}}",
            "schedule.decay.exponential.rate",
        ),
        (
            "schedule.decay={exponential={rate=0.5, steps=0.0}}",
            "schedule.decay.exponential.steps",
        ),
    ] {
        check(&[change], &[key, "expected"]);
    }

    let text = QUICKSTART.replace("meta_batch", "meta_bach");
    let error = ExperimentConfig::parse(&text, "mine.toml", &[]).expect_err("wrong key");
    let error = error.to_string();
    assert!(
        error.contains("mine.toml") && error.contains("meta_bach"),
        "{error}"
    );
}

#[test]
fn a_class_head_is_trained_or_not_there() {
    let head = "generator.class_head={classes=5}";
    for wrong in [
        &[head][..],
        &["training.objective=class-head"],
        &["loss.class_head=0.1"],
    ] {
        // Overrides are checked together, when all are applied.
        let error = quickstart(wrong).expect_err("half of it");
        assert!(
            error.starts_with("generator.class_head: belongs to"),
            "{error}"
        );
    }
    for right in ["training.objective=class-head", "loss.class_head=0.1"] {
        let config = quickstart(&[head, right]).expect("both");
        let error = crate::Experiment::resolve(config, None).expect_err("another number");
        let error = error.to_string();
        assert!(error.starts_with("generator.class_head.classes"), "{error}");
        assert!(
            error.contains("is 5, expected the number of training classes"),
            "{error}"
        );
    }
}

#[test]
fn an_override_is_one_value_and_a_name_one_line() {
    for text in ["episodes.shots=1\nqueries=3", "name=a\nb", "seed=1\n[x]"] {
        let error = text.parse::<Override>().expect_err("two lines");
        assert!(error.contains("more than a value"), "{error}");
    }
    for text in ["seed=[1,\n2]", "name=\"\"\"a\nb\"\"\"", "seed=1 # one"] {
        text.parse::<Override>().expect("one value");
    }
    for name in ["a\\nb", "a\\u001b[1mb", "a/b", ""] {
        let error = quickstart(&[&format!("name=\"{name}\"")]).expect_err("no folder");
        assert!(error.starts_with("name: is "), "{error}");
        assert!(!error.contains(char::is_control), "{error:?}");
    }
}

#[test]
fn an_experiment_has_one_method() {
    let both = quickstart(&["baseline={method='proto-net'}"]).expect_err("two methods");
    assert!(
        both.contains("baseline: there is also a section generator"),
        "{both}"
    );
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/baselines");
    let load = |name: &str, change: &str| {
        let path = folder.join(format!("omniglot-20way-1shot-{name}.toml"));
        let change = change.parse().expect("key=value");
        ExperimentConfig::load(&path, &[change]).map_err(|error| error.to_string())
    };
    for name in ["proto-net", "maml", "anil", "fine-tune"] {
        let config = load(name, "seed=3").expect("valid");
        assert_eq!(config.method().expect("one").name(), name);
    }
    let error = load("maml", "loss.squared_kernels=1.0").expect_err("nothing is generated");
    assert!(error.starts_with("loss.squared_kernels"), "{error}");
    let error = load("maml", "baseline.speed=1").expect_err("no such key");
    assert!(error.contains("speed"), "{error}");
    let config = load("maml", "baseline.steps=0").expect("read");
    let error = crate::Experiment::resolve(config, None).expect_err("no steps");
    assert_eq!(
        error.to_string(),
        "baseline.steps is 0, expected at least 1"
    );
}
