//! Which of our parameters a variable of the released code is, and how their layouts differ.
//!
//! A *role* names a variable by what it does, for example `layer_2.enc1.attn.q.kernel`; the
//! recorded cases and [`crate::variable_role`] speak of roles.

use crate::{Array, ParityError};

/// How a variable lies in our parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// The same values in the same order.
    Same,
    /// A convolution kernel, HWIO there and OIHW here.
    Kernel,
    /// A dense kernel, `[in, out]` there and `[out, in]` here.
    Transposed,
    /// One row of a table.
    Row(usize),
}

impl Layout {
    /// The variable's axes in our order; none where the orders are the same.
    fn order(self) -> Option<&'static [usize]> {
        match self {
            Self::Same | Self::Row(_) => None,
            Self::Kernel => Some(&[3, 2, 0, 1]),
            Self::Transposed => Some(&[1, 0]),
        }
    }

    /// The shape of a variable in our order; none if it has another number of axes.
    pub fn shape(self, theirs: &[usize]) -> Option<Vec<usize>> {
        let Some(order) = self.order() else {
            return Some(theirs.to_vec());
        };
        let is_known = order.len() == theirs.len();
        is_known.then(|| order.iter().map(|&axis| theirs[axis]).collect())
    }

    /// The variable in our order of values.
    pub fn to_ours(self, theirs: &Array) -> Result<Array, String> {
        match self.order() {
            None => Ok(theirs.clone()),
            Some(order) if order.len() == theirs.shape.len() => Ok(theirs.permuted(order)),
            Some(order) => {
                let axes = order.len();
                Err(format!("shape {:?}, expected {axes} axes", theirs.shape))
            }
        }
    }
}

/// A variable's place: a parameter by its name, and the layout in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The parameter's name, as in [`ht_train::slots`].
    pub parameter: String,
    /// How the variable lies in it.
    pub layout: Layout,
}

/// The place of a role in the generator of a CNN with `depth` convolution layers.
///
/// # Errors
/// A role that no parameter has.
pub fn place_of(role: &str, depth: usize) -> Result<Place, ParityError> {
    let is_query_copy = role.contains("-eval");
    let plain = role.replace("-eval", "");
    let parts: Vec<&str> = plain.split('.').collect();
    let found = match parts.as_slice() {
        ["shared", rest @ ..] => image_encoder(rest),
        ["shared_head", "fc", tensor] => class_head(tensor),
        ["cnn", layer, rest @ ..] => {
            if let Some(layer) = layer.strip_prefix("head_") {
                number(layer, "layer_").and_then(|l| head(l, rest))
            } else {
                number(layer, "layer_").and_then(|l| learned(l, depth, rest, is_query_copy))
            }
        }
        [layer, rest @ ..] => number(layer, "layer_").and_then(|l| {
            let (prefix, layout) = match rest {
                ["label_emb", row] => {
                    ("embeddings.labels".to_owned(), row.parse().map(Layout::Row))
                }
                ["weight_emb", row] => (
                    "embeddings.weights".to_owned(),
                    row.parse().map(Layout::Row),
                ),
                ["fe", conv, tensor] => {
                    let index = number(conv, "conv")?;
                    let (tensor, layout) = convolution(tensor)?;
                    let path = format!("activation_encoder.convolutions.{index}.{tensor}");
                    (path, Ok(layout))
                }
                [block, rest @ ..] => (transformer(block, rest)?, Ok(Layout::Same)),
                [] => return None,
            };
            let source = if l == depth {
                "logits.generator".to_owned()
            } else {
                format!("layers.{l}.generator")
            };
            let layout = layout.ok()?;
            Some(Place {
                parameter: format!("{source}.{prefix}"),
                layout,
            })
        }),
        [] => None,
    };
    found.ok_or_else(|| ParityError::variable(role, "no parameter has this role"))
}

/// The number behind a prefix, counted from 0 where the name counts from 1.
fn number(name: &str, prefix: &str) -> Option<usize> {
    let number: usize = name.strip_prefix(prefix)?.parse().ok()?;
    number.checked_sub(1)
}

fn convolution(tensor: &str) -> Option<(&str, Layout)> {
    match tensor {
        "kernel" => Some(("kernel", Layout::Kernel)),
        "bias" => Some(("bias", Layout::Same)),
        _ => None,
    }
}

fn image_encoder(rest: &[&str]) -> Option<Place> {
    let [conv, tensor] = rest else { return None };
    let index = number(conv, "conv")?;
    let (tensor, layout) = convolution(tensor)?;
    Some(Place {
        parameter: format!("image_encoder.convolutions.{index}.{tensor}"),
        layout,
    })
}

fn class_head(tensor: &str) -> Option<Place> {
    Some(Place {
        parameter: format!("class_head.dense.{}", linear(tensor)?),
        layout: Layout::Same,
    })
}

fn linear(tensor: &str) -> Option<&'static str> {
    match tensor {
        "kernel" => Some("weight"),
        "bias" => Some("bias"),
        _ => None,
    }
}

fn head(layer: usize, rest: &[&str]) -> Option<Place> {
    let ["fc", tensor] = rest else { return None };
    Some(Place {
        parameter: format!("warmup_heads.heads.{layer}.{}", linear(tensor)?),
        layout: Layout::Same,
    })
}

fn learned(layer: usize, depth: usize, rest: &[&str], is_query_copy: bool) -> Option<Place> {
    let (tensor, layout) = match rest {
        ["conv", tensor] => convolution(tensor)?,
        ["bn", "gamma"] => ("scale", Layout::Same),
        ["bn", "beta"] => ("shift", Layout::Same),
        ["fc", "kernel"] => ("kernel", Layout::Transposed),
        ["fc", "bias"] => ("bias", Layout::Same),
        _ => return None,
    };
    let source = match (layer == depth, is_query_copy) {
        (true, false) => "logits.added".to_owned(),
        (true, true) => "logits.query_added".to_owned(),
        (false, false) => format!("layers.{layer}.learned"),
        (false, true) => format!("layers.{layer}.query_learned"),
    };
    Some(Place {
        parameter: format!("{source}.{tensor}"),
        layout,
    })
}

fn transformer(block: &str, rest: &[&str]) -> Option<String> {
    let (path, is_decoder) = if let Some(index) = number(block, "enc") {
        (format!("transformer.blocks.{index}"), false)
    } else {
        let index = number(block, "dec")?;
        (format!("transformer.decoder.{index}"), true)
    };
    let own = if is_decoder { "block." } else { "" };
    let part = match rest {
        [attention, projection, tensor] if attention.starts_with("attn") => {
            let attention = if attention.ends_with("cross") {
                "cross_attention".to_owned()
            } else {
                format!("{own}attention")
            };
            let projection = match *projection {
                "q" => "query",
                "k" => "key",
                "v" => "value",
                "out" => "output",
                _ => return None,
            };
            format!("{attention}.{projection}.{}", linear(tensor)?)
        }
        ["ffn", layer, tensor] => {
            let layer = match *layer {
                "1" => "inner",
                "2" => "outer",
                _ => return None,
            };
            format!("{own}feed_forward.{layer}.{}", linear(tensor)?)
        }
        [norm, tensor @ ("gamma" | "beta")] => {
            let residual = match (*norm, is_decoder) {
                ("ln1", _) => format!("{own}attention_residual"),
                ("ln2", true) => "cross_residual".to_owned(),
                ("ln2", false) | ("ln3", true) => format!("{own}feed_forward_residual"),
                _ => return None,
            };
            format!("{residual}.norm.{tensor}")
        }
        _ => return None,
    };
    Some(format!("{path}.{part}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_have_their_places() {
        for (role, parameter, layout) in [
            (
                "layer_2.enc1.attn.q.kernel",
                "layers.1.generator.transformer.blocks.0.attention.query.weight",
                Layout::Same,
            ),
            (
                "layer_5.dec2.ln2.beta",
                "logits.generator.transformer.decoder.1.cross_residual.norm.beta",
                Layout::Same,
            ),
            (
                "layer_1.label_emb.5",
                "layers.0.generator.embeddings.labels",
                Layout::Row(5),
            ),
            (
                "cnn.layer_3.conv.kernel-eval",
                "layers.2.query_learned.kernel",
                Layout::Kernel,
            ),
            (
                "cnn.layer_5.fc.kernel",
                "logits.added.kernel",
                Layout::Transposed,
            ),
            (
                "cnn.head_layer_2.fc.bias",
                "warmup_heads.heads.1.bias",
                Layout::Same,
            ),
        ] {
            let place = place_of(role, 4).expect("known");
            assert_eq!(
                (place.parameter.as_str(), place.layout),
                (parameter, layout)
            );
        }
        for role in ["", "layer_0.label_emb.1", "layer_1.fe.conv1.gamma", "cnn"] {
            assert!(place_of(role, 4).is_err(), "{role}");
        }
    }
}
