//! What the transformer adds to class means: the generator against itself with the class means
//! alone.

use ht_train::{Learner, Prediction};
use serde_json::{Value, json};

use super::super::page::{Block, Section};
use super::Findings;
use super::paired::Paired;

/// The generator with nothing added to class means, if they are the base of its logits layer.
pub(in super::super) fn means_alone(learner: &Learner) -> Option<Learner> {
    let Learner::Generator(generator) = learner else {
        return None;
    };
    generator.with_class_means_alone().map(Learner::Generator)
}

/// Adds the comparison.
pub(in super::super) fn add(
    findings: &mut Findings,
    learner: &Learner,
    own: &[Vec<Prediction>],
    by_means: Option<&[Vec<Prediction>]>,
) {
    let title = "What is added to class means";
    let key = "added_to_means";
    let gain = match learner {
        Learner::Generator(generator) => generator.logits_gain(),
        Learner::Baseline(_) => None,
    };
    let Some((gain, by_means)) = gain.zip(by_means) else {
        let words = "The logits layer is not added to that of class means.";
        let section = Section::new(title, vec![Block::text(words)]);
        return findings.add(section, key, Value::Null);
    };
    let words = format!(
        "The generated logits layer is added to that of class means with a gain of {gain:.4}. Here \
         the same generator has the class means alone. The difference is paired by episode, and \
         no other training or seed is in it. Attention and weights of the logits layer, as they \
         are shown on this page, are those of what is added, and of the sum."
    );
    let paired = Paired::of(own, by_means);
    let table = paired.table(
        "logits layer",
        "class means and what is added",
        "class means",
    );
    let blocks = vec![Block::text(words), table];
    let value = paired.json("means", ("gain", json!(gain)));
    findings.add(Section::new(title, blocks), key, value);
}
