//! Which tensors of a file make which parameter.

/// The names of another library's tensors for the modules of this one.
///
/// A line says which module of theirs is one of ours, both by their dotted paths; `{}` stands for the same number in both. Where
/// several of theirs make one of ours (the maps to queries, keys and values), their outputs are joined in this order. What no line
/// names has the same name in both. Weights of linear maps are transposed, since other libraries hold `[output, input]`, and those of
/// convolutions turned from `[output, input, taps]`.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyMap {
    lines: Vec<Line>,
    /// One of these may stand before every name of theirs.
    prefixes: Vec<String>,
    ignored: Vec<String>,
    transposed: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Line {
    ours: String,
    theirs: Vec<String>,
    /// Is a weight of a linear map held as `[input, output]`?
    as_ours: bool,
}

/// The tensors of theirs that make a parameter.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Source {
    pub names: Vec<String>,
    pub transposed: bool,
}

impl KeyMap {
    /// Our own names, nothing transposed.
    pub fn own() -> Self {
        Self { lines: Vec::new(), prefixes: Vec::new(), ignored: Vec::new(), transposed: false }
    }

    /// Our own names, weights of linear maps as `[output, input]` and of convolutions as `[output, input, taps]`; the start of a map for another library.
    pub fn transposed() -> Self {
        Self { transposed: true, ..Self::own() }
    }

    /// Modules of theirs that make one of ours. The first line that fits a name counts.
    pub fn with(mut self, ours: &str, theirs: &[&str]) -> Self {
        self.lines.push(Line { ours: ours.into(), theirs: theirs.iter().map(|&t| t.into()).collect(), as_ours: false });
        self
    }

    /// [`with`](Self::with) one module whose linear weight is `[input, output]` in both (GPT-2's).
    pub fn with_untransposed(mut self, ours: &str, theirs: &str) -> Self {
        self.lines.push(Line { ours: ours.into(), theirs: vec![theirs.into()], as_ours: true });
        self
    }

    /// What may stand before every name of theirs, with its dot (`"bert."`).
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        self.prefixes.push(prefix.into());
        self
    }

    /// Tensors of theirs whose names, without the prefix, begin with this may be left unused; `{}` stands for a number.
    pub fn ignoring(mut self, start: &str) -> Self {
        self.ignored.push(start.into());
        self
    }

    /// The same map for a module that is the field `field` of another: our names begin with it.
    pub fn inside(mut self, field: &str) -> Self {
        for line in &mut self.lines {
            line.ours = format!("{field}.{}", line.ours);
        }
        self
    }

    /// BERT and RoBERTa of transformers, for a [`TokenEncoder`](crate::encoder::TokenEncoder); `bert.` or `roberta.` may stand
    /// before the names.
    pub fn bert() -> Self {
        let (block, layer) = ("transformer.blocks.{}", "encoder.layer.{}");
        let of = |name: &str| format!("{layer}.attention.{name}");
        let lines = [
            (format!("{block}.attention.output"), vec![of("output.dense")]),
            (format!("{block}.attention_norm"), vec![of("output.LayerNorm")]),
            (format!("{block}.inner"), vec![format!("{layer}.intermediate.dense")]),
            (format!("{block}.outer"), vec![format!("{layer}.output.dense")]),
            (format!("{block}.feed_forward_norm"), vec![format!("{layer}.output.LayerNorm")]),
        ];
        let queries = ["query", "key", "value"].map(|name| of(&format!("self.{name}")));
        let map = Self::transposed().with_prefix("bert.").with_prefix("roberta.");
        map.all(&[(format!("{block}.attention.query_key_value"), queries.to_vec())])
            .all(&lines)
            .with("embedding.token", &["embeddings.word_embeddings"])
            .with("embedding.position", &["embeddings.position_embeddings"])
            .with("embedding.kind", &["embeddings.token_type_embeddings"])
            .with("embedding.norm", &["embeddings.LayerNorm"])
    }

    /// GPT-2 of transformers, for a [`TokenEncoder`](crate::encoder::TokenEncoder); `transformer.` may stand before the names.
    pub fn gpt2() -> Self {
        let block = |name: &str| format!("transformer.blocks.{{}}.{name}");
        Self::transposed()
            .with_prefix("transformer.")
            // the causal masks that old files hold
            .ignoring("h.{}.attn.bias")
            .ignoring("h.{}.attn.masked_bias")
            .with_untransposed(&block("attention.query_key_value"), "h.{}.attn.c_attn")
            .with_untransposed(&block("attention.output"), "h.{}.attn.c_proj")
            .with_untransposed(&block("inner"), "h.{}.mlp.c_fc")
            .with_untransposed(&block("outer"), "h.{}.mlp.c_proj")
            .with(&block("attention_norm"), &["h.{}.ln_1"])
            .with(&block("feed_forward_norm"), &["h.{}.ln_2"])
            .with("transformer.norm", &["ln_f"])
            .with("embedding.token", &["wte"])
            .with("embedding.position", &["wpe"])
    }

    /// RecBole's SASRec, for a [`TokenEncoder`](crate::encoder::TokenEncoder).
    pub fn recbole() -> Self {
        let (block, layer) = ("transformer.blocks.{}", "trm_encoder.layer.{}");
        let attention = |name: &str| format!("{layer}.multi_head_attention.{name}");
        let fed = |name: &str| vec![format!("{layer}.feed_forward.{name}")];
        Self::transposed()
            .all(&[
                (format!("{block}.attention.query_key_value"), ["query", "key", "value"].map(attention).to_vec()),
                (format!("{block}.attention.output"), vec![attention("dense")]),
                (format!("{block}.attention_norm"), vec![attention("LayerNorm")]),
                (format!("{block}.inner"), fed("dense_1")),
                (format!("{block}.outer"), fed("dense_2")),
                (format!("{block}.feed_forward_norm"), fed("LayerNorm")),
            ])
            .with("embedding.token", &["item_embedding"])
            .with("embedding.position", &["position_embedding"])
            .with("embedding.norm", &["LayerNorm"])
    }

    /// ViT of timm, for a [`Vit`](crate::encoder::Vit).
    pub fn vit() -> Self {
        let block = |name: &str| format!("transformer.blocks.{{}}.{name}");
        Self::transposed()
            .with(&block("attention.query_key_value"), &["blocks.{}.attn.qkv"])
            .with(&block("attention.output"), &["blocks.{}.attn.proj"])
            .with(&block("attention_norm"), &["blocks.{}.norm1"])
            .with(&block("inner"), &["blocks.{}.mlp.fc1"])
            .with(&block("outer"), &["blocks.{}.mlp.fc2"])
            .with(&block("feed_forward_norm"), &["blocks.{}.norm2"])
            .with("transformer.norm", &["norm"])
            .with("pool_norm", &["fc_norm"])
            .with("patch", &["patch_embed.proj"])
            .with("class_token", &["cls_token"])
            .with("position", &["pos_embed"])
    }

    /// ResNet of torchvision and timm (those with the stem of one convolution), for a [`ResNet`](crate::encoder::ResNet); `module.`,
    /// `backbone.` or `encoder.` may stand before the names. A last linear map `fc` is not a part of the encoder: read it into a
    /// module of one's own, or [`ignore`](Self::ignoring) it.
    pub fn resnet() -> Self {
        let mut map = Self::transposed().with_prefix("module.").with_prefix("backbone.").with_prefix("encoder.");
        map = map.channel_norm("norm1", "bn1").with("conv1", &["conv1"]);
        for stage in 0..8 {
            let (ours, theirs) = (format!("stages.{stage}.{{}}"), format!("layer{}.{{}}", stage + 1));
            for k in 1..=3 {
                map = map.channel_norm(&format!("{ours}.norm{k}"), &format!("{theirs}.bn{k}"));
                map = map.with(&format!("{ours}.conv{k}"), &[&format!("{theirs}.conv{k}")]);
            }
            map = map.channel_norm(&format!("{ours}.shortcut.norm"), &format!("{theirs}.downsample.1"));
            map = map.with(&format!("{ours}.shortcut.convolution"), &[&format!("{theirs}.downsample.0")]);
        }
        map
    }

    /// A norm of channels: `running_var`, and no word for its kind.
    fn channel_norm(self, ours: &str, theirs: &str) -> Self {
        self.with(&format!("{ours}.batch.running_variance"), &[&format!("{theirs}.running_var")])
            .with(&format!("{ours}.batch"), &[theirs])
            .with(&format!("{ours}.group"), &[theirs])
    }

    /// The original SASRec with the names of the golden files, for a [`TokenEncoder`](crate::encoder::TokenEncoder).
    pub fn sasrec_original() -> Self {
        let block = |name: &str| format!("transformer.blocks.{{}}.{name}");
        Self::transposed()
            .with(&block("attention.query_key_value"), &["query.{}", "key.{}", "value.{}"])
            .with(&block("inner"), &["conv1.{}"])
            .with(&block("outer"), &["conv2.{}"])
            .sasrec_tables()
    }

    /// SASRec's PyTorch port, for a [`TokenEncoder`](crate::encoder::TokenEncoder).
    pub fn sasrec_port() -> Self {
        let block = |name: &str| format!("transformer.blocks.{{}}.{name}");
        Self::transposed()
            .with(&block("attention.query_key_value.weight"), &["attention_layers.{}.in_proj_weight"])
            .with(&block("attention.query_key_value.bias"), &["attention_layers.{}.in_proj_bias"])
            .with(&block("attention.output"), &["attention_layers.{}.out_proj"])
            .with(&block("inner"), &["forward_layers.{}.conv1"])
            .with(&block("outer"), &["forward_layers.{}.conv2"])
            .sasrec_tables()
    }

    fn sasrec_tables(self) -> Self {
        self.with("transformer.blocks.{}.attention_norm", &["attention_layernorms.{}"])
            .with("transformer.blocks.{}.feed_forward_norm", &["forward_layernorms.{}"])
            .with("transformer.norm", &["last_layernorm"])
            .with("embedding.token", &["item_emb"])
            .with("embedding.position", &["pos_emb"])
    }

    fn all(mut self, lines: &[(String, Vec<String>)]) -> Self {
        self.lines.extend(lines.iter().cloned().map(|(ours, theirs)| Line { ours, theirs, as_ours: false }));
        self
    }

    /// Where a parameter comes from. `map`: is it the weight of a linear map or of a convolution?
    pub(super) fn source(&self, name: &str, map: bool) -> Source {
        for line in &self.lines {
            if let Some((number, rest)) = line.fit(name) {
                let names = line.theirs.iter().map(|theirs| theirs.replace("{}", &number) + rest).collect();
                return Source { names, transposed: map && self.transposed && !line.as_ours };
            }
        }
        Source { names: vec![name.into()], transposed: map && self.transposed }
    }

    /// The prefix that the names of a file have: the first with which one begins, unless a parameter's name does so too.
    pub(super) fn prefix<'a>(&self, names: impl Iterator<Item = &'a str> + Clone, wanted: &[Source]) -> String {
        let wanted = |name: &str| wanted.iter().any(|source| source.names.iter().any(|want| want == name));
        let of_file =
            |prefix: &&String| names.clone().any(|name| name.strip_prefix(prefix.as_str()).is_some_and(wanted));
        self.prefixes.iter().find(of_file).cloned().unwrap_or_default()
    }

    /// May a tensor of theirs be left unused?
    pub(super) fn ignores(&self, name: &str) -> bool {
        self.ignored.iter().any(|start| begins(start, name).is_some())
    }
}

impl Line {
    /// The number that `{}` stands for, and what follows, if the name begins with our path.
    fn fit<'a>(&self, name: &'a str) -> Option<(String, &'a str)> {
        let (number, rest) = begins(&self.ours, name)?;
        let whole = rest.is_empty() || rest.starts_with('.');
        whole.then(|| (number.to_string(), rest))
    }
}

/// The number that `{}` of a pattern stands for, and what follows, if the name begins with the pattern.
fn begins<'a>(pattern: &str, name: &'a str) -> Option<(&'a str, &'a str)> {
    let (before, after) = pattern.split_once("{}").unwrap_or((pattern, ""));
    let rest = name.strip_prefix(before)?;
    let numbered = before.len() < pattern.len();
    let digits = if numbered { rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()) } else { 0 };
    let (number, rest) = rest.split_at(digits);
    (!numbered || digits > 0).then_some(())?;
    Some((number, rest.strip_prefix(after)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_whole_parts_of_names() {
        let map = KeyMap::transposed().with("a.{}.b", &["x.{}", "y.{}"]).with("c", &["z"]);
        assert_eq!(map.source("a.12.b.weight", true).names, ["x.12.weight", "y.12.weight"]);
        assert_eq!(map.source("a.1.bc.weight", true).names, ["a.1.bc.weight"]);
        assert_eq!(map.source("c.bias", false), Source { names: vec!["z.bias".into()], transposed: false });
        assert_eq!(map.source("cd.bias", true), Source { names: vec!["cd.bias".into()], transposed: true });
    }
}
