//! One layer's transformer on 8 episodes of the released Omniglot script: 28 tokens of 104
//! columns (a convolution layer) and 40 of 73 (the logits layer), 3 blocks, both norm orders.

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use ht_generator::{
    Architecture, AttentionWeighting, BlockActivation, FeedForwardConfig, LastBlock, NormOrder,
    ParameterInit, Pass, Size, Transformer, TransformerConfig,
};

const EPISODES: usize = 8;

fn config(norm: NormOrder) -> TransformerConfig {
    TransformerConfig {
        blocks: 3,
        heads: 2,
        norm,
        query_key: Size::Fraction(1.0),
        value: Size::Fraction(1.0),
        attention: AttentionWeighting::Softmax,
        architecture: Architecture::Encoder,
        feed_forward: Some(FeedForwardConfig {
            inner: Size::Fraction(1.0),
            activation: BlockActivation::Relu,
            last_block: LastBlock::Activated,
        }),
        dropout: 0.0,
    }
}

fn transformers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("transformer");
    for (layer, tokens, wanted, width) in [
        ("convolution layer", 28, 8, 104),
        ("logits layer", 40, 20, 73),
    ] {
        for (name, norm) in [("pre", NormOrder::Pre), ("post", NormOrder::Post)] {
            let forward = |device: &Device| {
                let model =
                    Transformer::new(&config(norm), width, &mut ParameterInit::new(1, 0, device));
                let shape = [EPISODES, tokens, width];
                let tokens = Tensor::<3>::random(shape, Distribution::Default, device);
                move || model.forward(tokens.clone(), wanted, None, &mut Pass::evaluation())
            };
            let evaluate = forward(&Device::flex());
            group.bench_function(format!("{layer}, {name}, forward"), |bencher| {
                bencher.iter(&evaluate);
            });
            let train = forward(&Device::flex().autodiff());
            group.bench_function(format!("{layer}, {name}, and backward"), |bencher| {
                bencher.iter(|| train().sum().backward());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, transformers);

/// As in the binary: what is measured is mostly fresh memory otherwise.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

criterion_main!(benches);
