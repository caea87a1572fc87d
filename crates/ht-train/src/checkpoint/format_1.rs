//! Format 1, which gave some parameters and two keys of the config other names: what it wrote is
//! read under the names of today.
//!
//! Files, and the order of the values in the optimizer's vectors, are the same.

use std::borrow::Cow;

use toml::{Table, Value};

/// What format 1 called parts of a parameter's name.
const RENAMED: [(&str, &str); 4] = [
    (".attention_residual.norm.", ".attention_norm."),
    (".feed_forward_residual.norm.", ".feed_forward_norm."),
    (".feed_forward.inner.", ".inner."),
    (".feed_forward.outer.", ".outer."),
];

/// The name that format 1 gave a parameter.
pub(super) fn parameter_name(name: &str) -> String {
    let renamed = RENAMED
        .iter()
        .fold(name.to_owned(), |name, (now, then)| name.replace(now, then));
    if renamed.starts_with("logits.") {
        return renamed.replacen("logits.generator.", "logits.", 1);
    }
    renamed
        .replacen(".generator.", ".kernel.Generated.", 1)
        .replacen(".learned.kernel", ".kernel.Learned.kernel", 1)
        .replacen(".learned.", ".", 1)
}

/// A config whose transformer may have the feed-forward part's keys among its own. What is no
/// config stays as it is, for its reader to refuse.
pub(crate) fn config_of_today(text: &str) -> Cow<'_, str> {
    let moved = || {
        let mut config: Table = text.parse().ok()?;
        let generator = config.get_mut("generator")?.as_table_mut()?;
        let transformer = generator.get_mut("transformer")?.as_table_mut()?;
        let keys = ["inner", "activation"];
        let feed_forward: Table = keys
            .iter()
            .filter_map(|key| transformer.remove_entry(*key))
            .collect();
        if feed_forward.is_empty() || transformer.contains_key("feed_forward") {
            return None;
        }
        transformer.insert("feed_forward".to_owned(), Value::Table(feed_forward));
        toml::to_string_pretty(&config).ok()
    };
    moved().map_or(Cow::Borrowed(text), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_have_the_names_that_format_1_gave_them() {
        for (now, then) in [
            (
                "image_encoder.convolutions.0.bias",
                "image_encoder.convolutions.0.bias",
            ),
            ("layers.3.learned.kernel", "layers.3.kernel.Learned.kernel"),
            ("layers.0.learned.scale", "layers.0.scale"),
            (
                "layers.0.generator.transformer.blocks.1.attention_residual.norm.beta",
                "layers.0.kernel.Generated.transformer.blocks.1.attention_norm.beta",
            ),
            (
                "layers.0.generator.transformer.final_norm.beta",
                "layers.0.kernel.Generated.transformer.final_norm.beta",
            ),
            (
                "logits.generator.transformer.blocks.0.feed_forward.inner.weight",
                "logits.transformer.blocks.0.inner.weight",
            ),
        ] {
            assert_eq!(parameter_name(now), then);
        }
    }

    #[test]
    fn what_is_no_config_of_format_1_stays_as_it_is() {
        for text in [
            "no = [config",
            "[generator]\ntransformer = 1\n",
            "name = \"a\"\n",
        ] {
            assert_eq!(config_of_today(text), text);
        }
        let both = "[generator.transformer]\ninner = 1\n[generator.transformer.feed_forward]\n";
        assert_eq!(config_of_today(both), both);
    }
}
