//! The roles of variables by the names that TensorFlow gave them.
//!
//! Most names tell the role. Layer norms are the exception: Keras names them after name
//! scopes and counts them over the whole graph (`layer_normalization_17`), so within one
//! transformer layer they are told apart by the order of these numbers.

use std::collections::BTreeMap;

use crate::ParityError;

/// The roles of all variables of a checkpoint, by name.
///
/// Optimizer slots, moving averages, counters and augmentation variables are left out.
///
/// # Errors
/// A name that is none of the released code's.
pub fn variable_roles<'a>(
    names: impl IntoIterator<Item = &'a str>,
) -> Result<BTreeMap<String, String>, ParityError> {
    let mut roles = BTreeMap::new();
    let mut norms: BTreeMap<(String, u64), Vec<&str>> = BTreeMap::new();
    for name in names {
        if is_bookkeeping(name) {
            continue;
        }
        if let Some((block, count)) = layer_norm(name) {
            norms.entry((block, count)).or_default().push(name);
            continue;
        }
        let role = variable_role(name)
            .ok_or_else(|| ParityError::variable(name, "no variable of the released code"))?;
        roles.insert(name.to_owned(), role);
    }
    let mut place_in_block: BTreeMap<String, usize> = BTreeMap::new();
    // In order of the block, then of the count.
    for ((block, _), names) in norms {
        let place = place_in_block.entry(block.clone()).or_insert(0);
        *place += 1;
        for name in names {
            let tensor = name.rsplit('/').next().unwrap_or_default();
            roles.insert(name.to_owned(), format!("{block}.ln{place}.{tensor}"));
        }
    }
    Ok(roles)
}

fn is_bookkeeping(name: &str) -> bool {
    name.starts_with("augmentation")
        || name.starts_with("global_step")
        || name.contains("moving_")
        || name.contains("cached_")
        || name.starts_with("save")
}

/// The block and the count of a layer norm's variable.
fn layer_norm(name: &str) -> Option<(String, u64)> {
    let parts: Vec<&str> = name.split('/').collect();
    let norm = parts.iter().rev().nth(1)?;
    let count = match norm.strip_prefix("layer_normalization")? {
        "" => 0,
        rest => rest.strip_prefix('_')?.parse().ok()?,
    };
    let layer = generator_layer(&parts)?;
    // `transformer/layer_i[_1]/layer_i/..`: the suffix marks a decoder layer.
    let scope = parts.iter().rev().nth(3)?;
    let mut words = scope.strip_prefix("layer_")?.split('_');
    let number = words.next()?;
    let kind = if words.next().is_some() { "dec" } else { "enc" };
    Some((format!("layer_{layer}.{kind}{number}"), count))
}

/// l of a path through `builder_layer_l_generator`.
fn generator_layer<'a>(parts: &[&'a str]) -> Option<&'a str> {
    parts.iter().find_map(|part| {
        part.strip_prefix("builder_layer_")?
            .strip_suffix("_generator")
    })
}

/// The role of any variable but a layer norm's.
fn variable_role(name: &str) -> Option<String> {
    let parts: Vec<&str> = name.split('/').collect();
    let (&tensor, path) = parts.split_last()?;
    if let Some(layer) = generator_layer(&parts) {
        let at = path.iter().position(|part| *part == "feature_extractor");
        if let Some(at) = at {
            let conv = path.get(at + 1)?.strip_prefix("layer_")?;
            return Some(format!("layer_{layer}.fe.conv{conv}.{tensor}"));
        }
        let kind_at = path
            .iter()
            .position(|p| *p == "encoder" || *p == "decoder")?;
        let kind = if path[kind_at] == "encoder" {
            "enc"
        } else {
            "dec"
        };
        let number = path.get(kind_at + 1)?.strip_prefix("layer_")?;
        let part = match &path[kind_at + 2..] {
            [attention, projection] if attention.starts_with("attention") => {
                let attention = match (kind, *attention) {
                    ("enc", "attention") => "attn",
                    (_, "attention_1") => "attn_self",
                    (_, "attention_2") => "attn_cross",
                    _ => return None,
                };
                let projection = match *projection {
                    "fc" => "out",
                    other => other,
                };
                format!("{attention}.{projection}")
            }
            ["fc", layer] => format!("ffn.{}", layer.strip_prefix("layer_")?),
            _ => return None,
        };
        return Some(format!("layer_{layer}.{kind}{number}.{part}.{tensor}"));
    }
    match path {
        [.., setup, "label_embeddings"] => {
            let layer = setup.strip_suffix("_generator_setup")?;
            let row = tensor.strip_prefix("label_")?;
            Some(format!("{layer}.label_emb.{row}"))
        }
        [.., setup, "weight_embeddings"] => {
            let layer = setup.strip_suffix("_generator_setup")?;
            let row = tensor.strip_prefix("weight_")?;
            Some(format!("{layer}.weight_emb.{row}"))
        }
        [_, "shared_features", layer] => Some(format!(
            "shared.conv{}.{tensor}",
            layer.strip_prefix("layer_")?
        )),
        [_, "shared_head", "fc"] => Some(format!("shared_head.fc.{tensor}")),
        [_, "cnn", layer, "batch_normalization"] => Some(format!("cnn.{layer}.bn.{tensor}")),
        [_, "cnn", layer, kind @ ("conv" | "fc")] => Some(format!("cnn.{layer}.{kind}.{tensor}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layer_norms_are_told_apart_by_their_count() {
        let block = "model/cnn_builder_1/builder_layer_2_generator/transformer";
        let names = [
            format!("{block}/layer_2_1/layer_2/layer_normalization_17/gamma"),
            format!("{block}/layer_2_1/layer_2/layer_normalization_9/gamma"),
            format!("{block}/layer_2/layer_2/layer_normalization/beta"),
        ];
        let roles = variable_roles(names.iter().map(String::as_str)).expect("known");
        let of = |i: usize| roles[&names[i]].as_str();
        assert_eq!(of(0), "layer_2.dec2.ln2.gamma");
        assert_eq!(of(1), "layer_2.dec2.ln1.gamma");
        assert_eq!(of(2), "layer_2.enc2.ln1.beta");
    }

    #[test]
    fn bookkeeping_is_left_out_and_strangers_are_refused() {
        let roles = variable_roles(["global_step", "augmentation/angle"]).expect("skipped");
        assert!(roles.is_empty());
        let error = variable_roles(["resnet/conv1/kernel"]).expect_err("not ours");
        assert!(error.to_string().contains("resnet/conv1/kernel"));
    }
}
