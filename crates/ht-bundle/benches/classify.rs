//! One image through the CNNs of the fixtures, by ht-runtime: the paper's at 28 x 28, and one with
//! colours, strides and channels that fill no vector.

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::path::Path;

use ht_bundle::{Bundle, Precision};

fn classify(criterion: &mut Criterion) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1");
    for name in ["paper", "mixed"] {
        let bundle = Bundle::read(&fixtures.join(name)).expect("a bundle");
        let file = bundle.device_file(Precision::Float32).expect("a network");
        let cnn = ht_runtime::Cnn::parse(&file).expect("a device file");
        let mut workspace = vec![0.0; cnn.workspace_len()];
        let mut network = cnn.load(&mut workspace).expect("a workspace");
        let image = &bundle.golden.images[..cnn.image().len()];
        let mut logits = vec![0.0; cnn.n_labels()];
        criterion.bench_function(&format!("classify one image, {name}"), |bencher| {
            bencher.iter(|| network.classify(black_box(image), &mut logits));
        });
    }
}

criterion_group!(benches, classify);
criterion_main!(benches);
