//! The transformer of one layer: encoder blocks, and decoder blocks where asked for.
//!
//! Every part of a block is a residual in one of two norm orders. `post` is the released
//! code's. `pre` normalises before each part and once at the end; it trains several times
//! faster (docs/results.md) and is the default of our configs.

use burn::module::Module;
use burn::nn::LayerNorm;
use burn::tensor::{Bool, Tensor};

#[cfg(feature = "flex")]
use crate::cpu::{PartKind, encoder_part};
use crate::shared::layer_norm;
use crate::{
    Architecture, Attention, BlockActivation, FeedForward, LastBlock, NormOrder, ParameterInit,
    PartCost, Pass, TransformerConfig,
};

/// A part of a block around which the tokens can also pass.
#[derive(Module, Debug)]
struct Residual {
    norm: LayerNorm,
    #[module(skip)]
    order: NormOrder,
}

impl Residual {
    fn new(width: usize, order: NormOrder, init: &ParameterInit) -> Self {
        Self {
            norm: init.layer_norm(width),
            order,
        }
    }

    /// The same in the loops for CPU tensors, or none where they do not serve.
    #[cfg(feature = "flex")]
    fn around_on_cpu(
        &self,
        tokens: &Tensor<3>,
        n_wanted: usize,
        part: &PartKind<'_>,
    ) -> Option<Tensor<3>> {
        encoder_part(tokens, n_wanted, &self.norm, self.order, part)
    }

    /// The first `n_wanted` tokens plus what `part` makes of all of them.
    fn around(
        &self,
        tokens: Tensor<3>,
        n_wanted: usize,
        part: impl FnOnce(Tensor<3>) -> Tensor<3>,
    ) -> Tensor<3> {
        let kept = first(tokens.clone(), n_wanted);
        match self.order {
            NormOrder::Pre => kept + part(layer_norm(&self.norm, tokens)),
            NormOrder::Post => layer_norm(&self.norm, kept + part(tokens)),
        }
    }
}

/// The first `n` tokens.
fn first(tokens: Tensor<3>, n: usize) -> Tensor<3> {
    if tokens.dims()[1] == n {
        return tokens;
    }
    tokens.narrow(1, 0, n)
}

/// Self-attention and, where there is one, a feed-forward part.
#[derive(Module, Debug)]
pub struct TransformerBlock {
    attention: Attention,
    attention_residual: Residual,
    feed_forward: Option<FeedForward>,
    feed_forward_residual: Option<Residual>,
    #[module(skip)]
    dropout: f64,
}

impl TransformerBlock {
    fn new(
        config: &TransformerConfig,
        width: usize,
        activation: Option<BlockActivation>,
        init: &mut ParameterInit,
    ) -> Self {
        let attention = attention(config, width, init);
        let attention_residual = Residual::new(width, config.norm, init);
        let feed_forward = config.feed_forward.as_ref().map(|part| {
            let inner = part.inner.resolve(width, config.heads);
            FeedForward::new(width, inner, activation, init)
        });
        let feed_forward_residual = feed_forward
            .is_some()
            .then(|| Residual::new(width, config.norm, init));
        Self {
            attention,
            attention_residual,
            feed_forward,
            feed_forward_residual,
            dropout: config.dropout,
        }
    }

    /// The first R tokens, each of which attends to all T.
    ///
    /// # Shapes
    /// - `tokens`: `[E, T, D]`; `hidden`: `[E, T]`; returns `[E, R, D]` with R = `n_wanted`
    fn forward(
        &self,
        tokens: Tensor<3>,
        n_wanted: usize,
        hidden: Option<&Tensor<2, Bool>>,
        pass: &mut Pass,
    ) -> Tensor<3> {
        let tokens = self.attend(tokens, n_wanted, hidden, pass);
        self.finish(tokens, pass)
    }

    /// Multiply-adds for the first `n_wanted` of `t` tokens.
    fn cost(&self, t: usize, n_wanted: usize) -> PartCost {
        let feed_forward = self.feed_forward.as_ref().map(|part| part.cost(n_wanted));
        self.attention.cost(n_wanted, t) + feed_forward.unwrap_or_default()
    }

    /// Self-attention: the beginning of encoder and decoder blocks.
    fn attend(
        &self,
        tokens: Tensor<3>,
        n_wanted: usize,
        hidden: Option<&Tensor<2, Bool>>,
        pass: &mut Pass,
    ) -> Tensor<3> {
        #[cfg(feature = "flex")]
        if pass.is_plain(self.dropout)
            && let Some(part) = self.attention.cpu_part(hidden)
            && let Some(tokens) = (self.attention_residual).around_on_cpu(&tokens, n_wanted, &part)
        {
            return tokens;
        }
        self.attention_residual.around(tokens, n_wanted, |x| {
            let attending = first(x.clone(), n_wanted);
            let mixed = self.attention.forward(attending, x, hidden, pass);
            pass.drop(mixed, self.dropout)
        })
    }

    /// The feed-forward part, where there is one: the end of encoder and decoder blocks.
    fn finish(&self, tokens: Tensor<3>, pass: &mut Pass) -> Tensor<3> {
        let [_, n_tokens, _] = tokens.dims();
        let tokens = match (&self.feed_forward, &self.feed_forward_residual) {
            (Some(part), Some(residual)) => {
                #[cfg(feature = "flex")]
                if pass.is_plain(self.dropout)
                    && let Some(part) = part.cpu_part()
                    && let Some(tokens) = residual.around_on_cpu(&tokens, n_tokens, &part)
                {
                    return tokens;
                }
                residual.around(tokens, n_tokens, |x| {
                    pass.drop(part.forward(x), self.dropout)
                })
            }
            _ => tokens,
        };
        pass.note("output", &tokens);
        tokens
    }
}

/// A block that also attends to what the encoder made of the sequence.
#[derive(Module, Debug)]
pub struct DecoderBlock {
    block: TransformerBlock,
    cross_attention: Attention,
    cross_residual: Residual,
}

impl DecoderBlock {
    fn new(config: &TransformerConfig, width: usize, init: &mut ParameterInit) -> Self {
        Self {
            // Decoder blocks of the released code use ReLU whatever the encoder's do.
            block: TransformerBlock::new(config, width, Some(BlockActivation::Relu), init),
            cross_attention: attention(config, width, init),
            cross_residual: Residual::new(width, config.norm, init),
        }
    }

    /// # Shapes
    /// - `tokens`, `encoded`: `[E, T, D]`, returns the same; `hidden`: `[E, T]`
    fn forward(
        &self,
        tokens: Tensor<3>,
        encoded: &Tensor<3>,
        hidden: Option<&Tensor<2, Bool>>,
        pass: &mut Pass,
    ) -> Tensor<3> {
        let block = &self.block;
        let [_, n_tokens, _] = tokens.dims();
        let tokens = pass.within(format_args!("self"), |pass| {
            block.attend(tokens, n_tokens, hidden, pass)
        });
        let tokens = self.cross_residual.around(tokens, n_tokens, |x| {
            let mixed = pass.within(format_args!("cross"), |pass| {
                let source = encoded.clone();
                self.cross_attention.forward(x, source, hidden, pass)
            });
            pass.drop(mixed, block.dropout)
        });
        block.finish(tokens, pass)
    }
}

fn attention(config: &TransformerConfig, width: usize, init: &mut ParameterInit) -> Attention {
    let columns = |size: crate::Size| size.resolve(width, config.heads);
    Attention::new(
        width,
        columns(config.query_key),
        columns(config.value),
        config.heads,
        config.attention,
        init,
    )
}

/// Blocks one after another; the last operation is always a layer norm.
#[derive(Module, Debug)]
pub struct Transformer {
    blocks: Vec<TransformerBlock>,
    decoder: Vec<DecoderBlock>,
    /// Only in `pre` order: `post` blocks end with a norm of their own.
    final_norm: Option<LayerNorm>,
    /// The same at the end of the decoder.
    decoder_norm: Option<LayerNorm>,
}

impl Transformer {
    /// A transformer for tokens of `width` columns.
    pub fn new(config: &TransformerConfig, width: usize, init: &mut ParameterInit) -> Self {
        let blocks = (1..=config.blocks)
            .map(|number| {
                let part = config.feed_forward.as_ref();
                let is_linear = number == config.blocks
                    && part.is_some_and(|part| part.last_block == LastBlock::Linear);
                let activation = part.map(|part| part.activation).filter(|_| !is_linear);
                TransformerBlock::new(config, width, activation, init)
            })
            .collect();
        let n_decoder = match config.architecture {
            Architecture::Encoder => 0,
            Architecture::EncoderDecoder => config.blocks,
        };
        let is_pre = config.norm == NormOrder::Pre;
        let final_norm = is_pre.then(|| init.layer_norm(width));
        Self {
            blocks,
            decoder: (0..n_decoder)
                .map(|_| DecoderBlock::new(config, width, init))
                .collect(),
            final_norm,
            decoder_norm: (is_pre && n_decoder > 0).then(|| init.layer_norm(width)),
        }
    }

    /// Multiply-adds for the first `n_wanted` of `t` tokens.
    pub(crate) fn cost(&self, t: usize, n_wanted: usize) -> PartCost {
        let sizes = self.n_behind_blocks(t, n_wanted);
        let encoder = self.blocks.iter().zip(sizes);
        let encoder = encoder.map(|(block, n)| block.cost(t, n));
        let decoder = self
            .decoder
            .iter()
            .map(|block| block.block.cost(t, t) + block.cross_attention.cost(t, t));
        encoder.chain(decoder).sum()
    }

    /// Blocks of the encoder.
    pub(crate) fn n_blocks(&self) -> usize {
        self.blocks.len()
    }

    /// The same with other attention in the encoder's blocks.
    #[must_use]
    pub(crate) fn map_attention(mut self, change: impl Fn(usize, Attention) -> Attention) -> Self {
        self.blocks = self
            .blocks
            .into_iter()
            .enumerate()
            .map(|(number, block)| TransformerBlock {
                attention: change(number, block.attention),
                ..block
            })
            .collect();
        self
    }

    /// Tokens of an episode behind each block of the encoder: of what the last one makes only the
    /// wanted ones are ever looked at, unless a decoder attends to it.
    fn n_behind_blocks(&self, t: usize, n_wanted: usize) -> impl Iterator<Item = usize> {
        let (n_blocks, is_last) = (self.blocks.len(), self.decoder.is_empty());
        (1..=n_blocks).map(move |number| {
            if is_last && number == n_blocks {
                n_wanted
            } else {
                t
            }
        })
    }

    /// The first R tokens. With a decoder, encoder and decoder both start from the same sequence.
    ///
    /// # Shapes
    /// - `tokens`: `[E, T, D]`; returns `[E, R, D]` with R = `n_wanted`
    /// - `hidden`: `[E, T]`, true for tokens that nobody attends to
    pub fn forward(
        &self,
        tokens: Tensor<3>,
        n_wanted: usize,
        hidden: Option<&Tensor<2, Bool>>,
        pass: &mut Pass,
    ) -> Tensor<3> {
        let [_, n_tokens, _] = tokens.dims();
        // Whoever looks into a pass wants to see all of them.
        let n_last = if pass.is_traced() { n_tokens } else { n_wanted };
        let sizes = self.n_behind_blocks(n_tokens, n_last);
        let mut encoded = tokens.clone();
        for ((i, block), n) in self.blocks.iter().enumerate().zip(sizes) {
            encoded = pass.within(format_args!("block_{}", i + 1), |pass| {
                block.forward(encoded, n, hidden, pass)
            });
        }
        if let Some(norm) = &self.final_norm {
            encoded = norm.forward(encoded);
        }
        if self.decoder.is_empty() {
            return first(encoded, n_wanted);
        }
        let mut decoded = tokens;
        for (i, block) in self.decoder.iter().enumerate() {
            decoded = pass.within(format_args!("decoder_{}", i + 1), |pass| {
                block.forward(decoded, &encoded, hidden, pass)
            });
        }
        let decoded = match &self.decoder_norm {
            Some(norm) => norm.forward(decoded),
            None => decoded,
        };
        first(decoded, n_wanted)
    }
}
