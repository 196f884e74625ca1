//! Scaled dot-product attention over ragged lists.

use super::dropout::next_mask;
use super::ops::{Attending, LayerOps};
use super::{Linear, LinearConfig, portable};
use crate::error::Check;
use crate::native::is_native;
use crate::{Pass, Ragged, SettingError, init::Initial};
use burn::backend::Dispatch;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Tensor, TensorCreationOptions};
use contrastive_core::linear::gather_rows;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Which keys each query attends to: the queries of list `i` to the first so many keys of list `i`.
///
/// That covers attention in both directions (all), causal attention (as many as the query's position, and one), queries at some
/// positions only, cached keys, and masked keys (which are left out of the lists).
#[derive(Clone, Debug, PartialEq)]
pub struct Reach {
    queries: Ragged,
    keys: Ragged,
    /// The keys each query sees; all of its list without.
    visible: Option<Arc<[u32]>>,
}

impl Reach {
    /// Each row attends to all rows of its list.
    pub fn all(lists: &Ragged) -> Self {
        Self { queries: lists.clone(), keys: lists.clone(), visible: None }
    }

    /// Each row attends to itself and to those before it in its list.
    pub fn causal(lists: &Ragged) -> Self {
        let visible = lists.positions().into_iter().map(|position| position + 1).collect();
        Self { queries: lists.clone(), keys: lists.clone(), visible: Some(visible) }
    }

    /// [`causal`](Self::causal) or [`all`](Self::all).
    pub fn within(lists: &Ragged, causal: bool) -> Self {
        if causal { Self::causal(lists) } else { Self::all(lists) }
    }

    /// Queries of one table attend to all keys of another, list by list.
    ///
    /// # Panics
    /// When there are not as many lists of queries as of keys.
    pub fn across(queries: &Ragged, keys: &Ragged) -> Self {
        assert_eq!(queries.len(), keys.len(), "lists of queries and of keys");
        Self { queries: queries.clone(), keys: keys.clone(), visible: None }
    }

    /// The queries are the last rows of each list of keys, and causal: decoding with the keys of earlier rows kept.
    ///
    /// # Panics
    /// When the numbers of lists differ, or a list has fewer keys than queries.
    pub fn latest(queries: &Ragged, keys: &Ragged) -> Self {
        let visible = queries.lengths().zip(keys.lengths()).flat_map(|(queries, keys)| {
            assert!(queries <= keys, "{queries} queries that are the last of {keys} keys");
            (keys - queries + 1..=keys).map(|visible| visible as u32)
        });
        let visible = Some(visible.collect());
        Self { visible, ..Self::across(queries, keys) }
    }

    /// Only the rows `rows` of the packed lists ask, in ascending order; the keys are all rows.
    ///
    /// # Panics
    /// When the rows do not ascend, or one is not below the total.
    pub fn at(lists: &Ragged, rows: &[u32], causal: bool) -> Self {
        let queries = Self::lists_of(lists, rows);
        let visible = causal.then(|| {
            let starts =
                queries.lengths().zip(lists.ranges()).flat_map(|(n, range)| std::iter::repeat_n(range.start, n));
            rows.iter().zip(starts).map(|(&row, start)| row + 1 - start as u32).collect()
        });
        Self { queries, keys: lists.clone(), visible }
    }

    /// The lists that these rows of packed lists make.
    fn lists_of(lists: &Ragged, rows: &[u32]) -> Ragged {
        assert!(rows.windows(2).all(|pair| pair[0] < pair[1]), "rows that ask must ascend");
        let last = rows.last().map_or(0, |&row| row as usize + 1);
        assert!(last <= lists.total(), "row {} of lists with {} rows", last.max(1) - 1, lists.total());
        let below = |end: usize| rows.partition_point(|&row| (row as usize) < end);
        Ragged::from_lengths(&lists.ranges().map(|range| below(range.end) - below(range.start)).collect::<Vec<_>>())
    }

    /// Each query attends to the first `visible` keys of its list (0: its output is 0).
    ///
    /// # Panics
    /// When there is not one number for each query, one is larger than its list of keys, or the numbers of lists differ.
    pub fn first_keys(queries: &Ragged, keys: &Ragged, visible: Vec<u32>) -> Self {
        assert_eq!(visible.len(), queries.total(), "numbers of visible keys, and queries");
        for (range, keys) in queries.ranges().zip(keys.lengths()) {
            let most = visible[range].iter().max().map_or(0, |&most| most as usize);
            assert!(most <= keys, "a query sees {most} of {keys} keys");
        }
        Self { visible: Some(visible.into()), ..Self::across(queries, keys) }
    }

    /// The lists of queries.
    pub fn queries(&self) -> &Ragged {
        &self.queries
    }

    /// The lists of keys.
    pub fn keys(&self) -> &Ragged {
        &self.keys
    }

    /// How many keys of its list each query sees; `None`: all.
    pub fn visible_keys(&self) -> Option<&[u32]> {
        self.visible.as_deref()
    }

    /// How many keys of its list a query (a row of the packed table) sees.
    pub fn visible(&self, list: usize, query: usize) -> usize {
        self.visible.as_ref().map_or_else(|| self.keys.range(list).len(), |visible| visible[query] as usize)
    }
}

/// What an attention has besides its inputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionOptions {
    /// Heads; they divide the width.
    pub heads: usize,
    /// Factor of the logits; `1 / sqrt(width of a head)` without.
    pub scale: Option<f64>,
    /// Share of attention weights dropped in training.
    pub dropout: f64,
}

impl AttentionOptions {
    /// So many heads, the usual scale, no dropout.
    pub fn new(heads: usize) -> Self {
        Self { heads, scale: None, dropout: 0.0 }
    }

    pub(crate) fn scale_of(&self, width: usize) -> f64 {
        self.scale.unwrap_or_else(|| ((width / self.heads) as f64).sqrt().recip())
    }
}

/// `softmax(scale q k^T) v` for each head and each list (Vaswani et al., 2017), the softmax over the keys that the query sees.
///
/// # Shapes
/// - queries, output: `[total queries, d]`
/// - keys, values: `[total keys, d]`; head `h` has the columns `h d / heads ..`
///
/// # Panics
/// When a shape does not fit the lists, or the heads do not divide d.
pub fn attention(
    queries: Tensor<2>,
    keys: Tensor<2>,
    values: Tensor<2>,
    reach: &Reach,
    options: &AttentionOptions,
    pass: &mut Pass,
) -> Tensor<2> {
    check([&queries, &keys, &values], reach, options);
    let mask = next_mask(options.dropout, pass);
    if !is_native(&queries) {
        return portable::attention(queries, keys, values, None, reach, options, mask);
    }
    let attending = Arc::new(Attending { reach: reach.clone(), options: *options, mask });
    let autodiff = [&queries, &keys, &values].iter().any(|x| x.is_autodiff());
    let alike = |x: Tensor<2>| if autodiff && !x.is_autodiff() { Tensor::from_inner(x) } else { x };
    let [queries, keys, values] = [queries, keys, values].map(|x| alike(x).into_dispatch());
    Tensor::from_dispatch(Dispatch::layer_attention(attending, queries, keys, values))
}

/// [`attention`] whose queries, keys and values are the thirds of one table `[total, 3 d]`: `[total, d]`.
///
/// # Panics
/// As [`attention`], and when queries and keys are not the same lists.
pub fn self_attention(packed: Tensor<2>, reach: &Reach, options: &AttentionOptions, pass: &mut Pass) -> Tensor<2> {
    let [_, wide] = packed.dims();
    assert!(wide.is_multiple_of(3), "queries, keys and values in a table {:?}", packed.dims());
    if is_native(&packed) {
        let (rows, heads) = (packed.dims()[0], options.heads);
        assert_eq!(reach.queries, reach.keys, "attention within one table: lists of queries and of keys");
        assert_eq!(rows, reach.queries.total(), "rows of a table {:?}, and of its lists", packed.dims());
        assert!(heads > 0 && (wide / 3).is_multiple_of(heads), "{heads} heads of a width of {}", wide / 3);
        let mask = next_mask(options.dropout, pass);
        let attending = Arc::new(Attending { reach: reach.clone(), options: *options, mask });
        return Tensor::from_dispatch(Dispatch::layer_self_attention(attending, packed.into_dispatch()));
    }
    let [queries, keys, values] = [0, 1, 2].map(|k| packed.clone().narrow(1, k * wide / 3, wide / 3));
    attention(queries, keys, values, reach, options, pass)
}

/// [`attention`] with a bias `[heads, longest queries, longest keys]` that is added to the scaled logits, the same for all lists.
/// Its table of weights is in memory as a whole.
///
/// # Panics
/// As [`attention`].
pub fn attention_biased(
    queries: Tensor<2>,
    keys: Tensor<2>,
    values: Tensor<2>,
    bias: Tensor<3>,
    reach: &Reach,
    options: &AttentionOptions,
    pass: &mut Pass,
) -> Tensor<2> {
    check([&queries, &keys, &values], reach, options);
    let mask = next_mask(options.dropout, pass);
    portable::attention(queries, keys, values, Some(bias), reach, options, mask)
}

/// [`attention`] of candidates that follow the same rows: as many queries for each list, each of which sees all keys of its list and
/// one key of its own. The keys of the lists are read where they are, not repeated for each query. Without dropout.
///
/// # Shapes
/// - queries, own keys, own values, output: `[lists * each, d]`, list by list
/// - keys, values: `[total, d]`
///
/// # Panics
/// When a shape does not fit the lists, or the heads do not divide d.
pub fn attention_beside(
    queries: Tensor<2>,
    [keys, values]: [Tensor<2>; 2],
    lists: &Ragged,
    own: [Tensor<2>; 2],
    options: &AttentionOptions,
) -> Tensor<2> {
    let ([total, width], heads) = (queries.dims(), options.heads);
    let fits = if lists.is_empty() { total == 0 } else { total.is_multiple_of(lists.len()) };
    assert!(fits, "{total} queries beside {} lists", lists.len());
    for (table, rows, what) in [
        (&keys, lists.total(), "keys"),
        (&values, lists.total(), "values"),
        (&own[0], total, "own keys"),
        (&own[1], total, "own values"),
    ] {
        assert_eq!(table.dims(), [rows, width], "{what}, beside queries {:?}", queries.dims());
    }
    assert!(heads > 0 && width.is_multiple_of(heads), "{heads} heads of a width of {width}");
    if total == 0 { queries } else { portable::attention_beside(queries, [keys, values], lists, own, options) }
}

fn check([queries, keys, values]: [&Tensor<2>; 3], reach: &Reach, options: &AttentionOptions) {
    let ([_, width], heads) = (queries.dims(), options.heads);
    assert_eq!(queries.dims()[0], reach.queries.total(), "queries {:?}, and of lists", queries.dims());
    for (table, what) in [(keys, "keys"), (values, "values")] {
        assert_eq!(
            table.dims(),
            [reach.keys.total(), width],
            "{what} of the lists, beside queries {:?}",
            queries.dims()
        );
    }
    assert!(heads > 0 && width.is_multiple_of(heads), "{heads} heads of a width of {width}");
}

/// Settings of [`Attention`].
#[derive(Config, Debug, PartialEq)]
pub struct AttentionConfig {
    /// Width of the rows.
    pub width: usize,
    /// Heads; they divide the width.
    pub heads: usize,
    /// Share of attention weights dropped in training.
    #[config(default = 0.0)]
    pub dropout: f64,
    /// Whether a linear map follows the heads (not in the original SASRec).
    #[config(default = true)]
    pub output: bool,
    /// Whether the maps have biases.
    #[config(default = true)]
    pub bias: bool,
    /// How the weights start.
    #[config(default = "Initial::Normal(0.02)")]
    pub initial: Initial,
}

impl AttentionConfig {
    /// Checks the numbers.
    ///
    /// # Errors
    /// When a size is 0, the heads do not divide the width, or the dropout is not in `0..1`.
    pub fn validate(&self) -> Result<(), SettingError> {
        let check = Check::new("attention");
        check.count("width", self.width)?;
        let fits = self.heads > 0 && self.width.is_multiple_of(self.heads);
        check.that(fits, "heads", self.heads, format!("a divisor of the width {}", self.width))?;
        check.share("dropout", self.dropout)
    }

    /// The layer.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, rng: &mut ChaCha8Rng, on: impl Into<TensorCreationOptions>) -> Result<Attention, SettingError> {
        self.validate()?;
        let on = on.into();
        let mut map = |outputs: usize| {
            LinearConfig::new(self.width, outputs).with_bias(self.bias).with_initial(self.initial).init(rng, on.clone())
        };
        let query_key_value = map(3 * self.width)?;
        let output = self.output.then(|| map(self.width)).transpose()?;
        Ok(Attention { query_key_value, output, heads: self.heads, dropout: self.dropout })
    }
}

/// Multi-head attention with its linear maps.
#[derive(Module, Debug)]
pub struct Attention {
    /// `[d, 3 d]`: the maps to queries, keys and values, in this order, each head by head.
    pub query_key_value: Linear,
    /// `[d, d]`.
    pub output: Option<Linear>,
    heads: usize,
    dropout: f64,
}

impl Attention {
    /// Heads.
    pub fn heads(&self) -> usize {
        self.heads
    }

    fn width(&self) -> usize {
        self.query_key_value.shape()[0]
    }

    fn options(&self) -> AttentionOptions {
        AttentionOptions { dropout: self.dropout, ..AttentionOptions::new(self.heads) }
    }

    fn finish(&self, x: Tensor<2>) -> Tensor<2> {
        match &self.output {
            Some(output) => output.forward(x),
            None => x,
        }
    }

    /// Rows attend to rows of their list.
    ///
    /// # Shapes
    /// - x, output: `[total, d]`
    ///
    /// # Panics
    /// When a shape does not fit.
    pub fn forward(&self, x: Tensor<2>, reach: &Reach, pass: &mut Pass) -> Tensor<2> {
        self.finish(self_attention(self.query_key_value.forward(x), reach, &self.options(), pass))
    }

    /// Rows of one table attend to rows of another.
    ///
    /// # Shapes
    /// - queries, output: `[total queries, d]`
    /// - keys: `[total keys, d]`
    ///
    /// # Panics
    /// When a shape does not fit.
    pub fn forward_across(&self, queries: Tensor<2>, keys: Tensor<2>, reach: &Reach, pass: &mut Pass) -> Tensor<2> {
        let [keys, values] = self.keys_values(keys);
        self.forward_cached(queries, keys, values, reach, pass)
    }

    /// Only some rows of x ask.
    ///
    /// # Shapes
    /// - x: `[total, d]`
    /// - rows: numbers of rows of x that ascend
    /// - output: `[rows.len(), d]`
    ///
    /// # Panics
    /// As [`Reach::at`].
    pub fn forward_at(&self, x: Tensor<2>, lists: &Ragged, rows: &[u32], causal: bool, pass: &mut Pass) -> Tensor<2> {
        let reach = Reach::at(lists, rows, causal);
        self.forward_across(gather_rows(x.clone(), rows), x, &reach, pass)
    }

    /// Keys and values of rows, for [`forward_cached`](Self::forward_cached).
    pub fn keys_values(&self, x: Tensor<2>) -> [Tensor<2>; 2] {
        let width = self.width();
        [1, 2].map(|k| self.query_key_value.columns(x.clone(), k * width, width))
    }

    /// Rows attend to keys and values that are there already.
    ///
    /// # Shapes
    /// - queries, output: `[total queries, d]`
    /// - keys, values: `[total keys, d]`
    ///
    /// # Panics
    /// When a shape does not fit.
    pub fn forward_cached(
        &self,
        queries: Tensor<2>,
        keys: Tensor<2>,
        values: Tensor<2>,
        reach: &Reach,
        pass: &mut Pass,
    ) -> Tensor<2> {
        let queries = self.query_key_value.columns(queries, 0, self.width());
        self.finish(attention(queries, keys, values, reach, &self.options(), pass))
    }

    /// Rows beside each other, of which each sees the cached rows of its list and itself, and their keys and values.
    ///
    /// # Shapes
    /// - queries, from, output: `[lists * each, d]`
    /// - cached: `[total, d]`, keys and values
    ///
    /// # Panics
    /// As [`attention_beside`].
    pub fn forward_beside(
        &self,
        queries: Tensor<2>,
        from: Tensor<2>,
        cached: [Tensor<2>; 2],
        lists: &Ragged,
    ) -> (Tensor<2>, [Tensor<2>; 2]) {
        let own = self.keys_values(from);
        let queries = self.query_key_value.columns(queries, 0, self.width());
        (self.finish(attention_beside(queries, cached, lists, own.clone(), &self.options())), own)
    }
}
