//! What `explain` shows of a generator is what the generator does.

use burn::tensor::Tolerance;

use super::*;

/// A traced pass, which keeps the attention
/// and therefore takes the tensor operations in place of the CPU's loops, writes the same weights.
#[test]
fn keeping_the_attention_changes_no_weight() {
    let device = Device::flex();
    let decoder = GeneratorConfig {
        transformer: TransformerConfig {
            architecture: Architecture::EncoderDecoder,
            norm: NormOrder::Post,
            ..config().transformer
        },
        ..config()
    };
    for (config, maps_per_layer) in [(config(), 2), (decoder, 6)] {
        let generator = WeightGenerator::new(&config, &spec(), 1, &device).expect("valid");
        let support = batch(2, &device).support;
        let ordinary = generator.generate(&support);
        let mut pass = Pass::evaluation().traced();
        let traced = generator.generate_in(&support, &mut pass).cnn;

        let close = Tolerance::rel_abs(1e-3, 1e-4);
        let kernels = ordinary.layers.iter().zip(&traced.layers);
        for (ordinary, traced) in kernels {
            let ordinary = ordinary.kernel.to_data();
            ordinary.assert_approx_eq::<f32>(&traced.kernel.to_data(), close);
        }
        let logits = ordinary.logits.kernel.to_data();
        logits.assert_approx_eq::<f32>(&traced.logits.kernel.to_data(), close);

        // Every head of every token pays 1 of attention.
        let trace = pass.into_trace();
        let maps = trace
            .iter()
            .filter(|(name, _)| name.ends_with("/attention"));
        let mut n_maps = 0;
        for (name, map) in maps {
            n_maps += 1;
            let tokens = map.shape()[3];
            assert_eq!(map.shape()[..2], [2, 2], "{name}");
            let values: Vec<f32> = map.iter::<f32>().collect();
            for row in values.chunks(tokens) {
                let sum: f32 = row.iter().sum();
                assert!((sum - 1.0).abs() < 1e-5, "{name}: {sum}");
            }
        }
        assert_eq!(n_maps, 5 * maps_per_layer);
    }
}

/// All episodes have the mean of what was written for each, and a logits layer of their own.
#[test]
fn mean_convolutions_are_the_means_of_what_is_written() {
    // Where it is trained: what a graph has made must not become a parameter.
    let device = Device::flex().autodiff();
    let added = GeneratorConfig {
        norm_weights: NormWeights::Generated,
        learned_layers: LearnedLayers::First(1),
        added_weights: true,
        learned_tensors: LearnedTensors::PerPass,
        ..config()
    };
    for config in [config(), added] {
        let generator = WeightGenerator::new(&config, &spec(), 1, &device).expect("valid");
        let episodes = batch(5, &device).support;
        let part = |from, to| SupportSet {
            images: episodes.images.clone().narrow(0, from, to - from),
            labels: episodes.labels.clone().narrow(0, from, to - from),
            hidden: None,
            absent: None,
        };
        let mean = generator.with_mean_convolutions([part(0, 3), part(3, 5)]);
        let mean = mean.expect("convolutions are generated");
        let own = generator.generate(&episodes);
        let shared = mean.generate(&episodes);
        let close = Tolerance::rel_abs(1e-4, 1e-5);
        for (own, shared) in own.layers.iter().zip(&shared.layers) {
            let kernel = own.kernel.clone().mean_dim(0).expand(own.kernel.dims());
            let kernels = shared.kernel.to_data();
            kernels.assert_approx_eq::<f32>(&kernel.into_data(), close);
            for (own, shared) in [(&own.scale, &shared.scale), (&own.shift, &shared.shift)] {
                let vector = own.clone().mean_dim(0).expand(own.dims()).into_data();
                shared.to_data().assert_approx_eq::<f32>(&vector, close);
            }
        }
        let [first, second] = [0, 1].map(|e| {
            let kernel = shared.logits.kernel.clone();
            kernel.narrow(0, e, 1).into_data()
        });
        assert_ne!(first, second, "the logits layer is an episode's own");
    }
    let learned = GeneratorConfig {
        learned_layers: LearnedLayers::First(4),
        ..config()
    };
    let generator = WeightGenerator::new(&learned, &spec(), 1, &device).expect("valid");
    let supports = [batch(1, &device).support];
    assert!(generator.with_mean_convolutions(supports).is_none());
}
