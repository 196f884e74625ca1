//! TS2Vec: contrasts instances at each time step and time steps within each instance, over a hierarchy of scales.

use crate::attach::attach_gradients;
use crate::error::ObjectiveError;
use crate::objective::engine::grouped::{Grouped, GroupedInputs};
use crate::objective::{PairObjective, Wanted, check_types, computed_in};
use crate::pairs::Pairs;
use crate::similarity::Similarity;
use burn::tensor::{Bool, Tensor};

/// The contrast of representations z1, z2 `[B, T, D]` of the same time steps seen in two contexts (Yue et al. 2022, equations 1 to 3),
/// inner products at temperature 1:
///
/// ```text
/// temporal: for each instance, the 2 T rows of both views, each among all others        instance: for each time step, the 2 B rows
/// loss = (1 / scales) sum over scales of  a instance + (1 - a) temporal
/// ```
///
/// The next scale is the maximum over pairs of time steps (a last odd one is dropped), down to a single one, where only
/// the instance part counts. Each part is a [`Grouped`] NT-Xent of its own rows, so nothing of size T x T is kept.
#[derive(Clone, Debug)]
pub struct Ts2Vec {
    instance: f64,
    unit: usize,
    last_scale: bool,
    contrast: Grouped,
}

/// Value and gradients, plain tensors outside autodiff.
#[derive(Clone, Debug)]
pub struct ViewsEvaluation {
    /// `[1]`.
    pub value: Tensor<1>,
    /// `[B, T, D]` of each view, where gradients were wanted.
    pub views: Option<[Tensor<3>; 2]>,
}

impl ViewsEvaluation {
    fn add(self, other: Self) -> Self {
        let views = match (self.views, other.views) {
            (Some([a, b]), Some([c, d])) => Some([a + c, b + d]),
            (a, b) => a.or(b),
        };
        Self { value: self.value + other.value, views }
    }

    fn scale(self, factor: f64) -> Self {
        Self { value: self.value * factor, views: self.views.map(|views| views.map(|view| view * factor)) }
    }
}

/// Pairs of time steps become the larger of the two, channel by channel; of equal ones the first gets the gradient.
struct MaxPool {
    /// `[B, T / 2, D]`: is the second one larger?
    second: Tensor<3, Bool>,
    /// T.
    length: usize,
}

impl MaxPool {
    fn new(z: Tensor<3>) -> (Self, Tensor<3>) {
        let [b, t, d] = z.dims();
        let pairs: Tensor<4> = z.slice([0..b, 0..t / 2 * 2, 0..d]).reshape([b, t / 2, 2, d]);
        let [first, second] =
            [0, 1].map(|k| pairs.clone().slice([0..b, 0..t / 2, k..k + 1, 0..d]).reshape([b, t / 2, d]));
        // NaN stays: it is never the smaller one
        let larger = second.clone().lower_equal(first.clone()).bool_not();
        let pooled = first.mask_where(larger.clone(), second);
        (Self { second: larger, length: t }, pooled)
    }

    fn backward(&self, gradient: Tensor<3>) -> Tensor<3> {
        let [b, half, d] = gradient.dims();
        let nothing = gradient.zeros_like();
        let first = gradient.clone().mask_where(self.second.clone(), nothing.clone());
        let second = nothing.clone().mask_where(self.second.clone(), gradient);
        let both: Tensor<3> = Tensor::stack::<4>(vec![first, second], 2).reshape([b, 2 * half, d]);
        match self.length - 2 * half {
            0 => both,
            _ => Tensor::cat(vec![both, nothing.slice([0..b, 0..1, 0..d])], 1),
        }
    }
}

impl Default for Ts2Vec {
    fn default() -> Self {
        Self::new(0.5, 0).expect("the paper's settings")
    }
}

impl Ts2Vec {
    /// With this share a of the instance contrast (paper: 0.5), and temporal contrast from this scale on (paper: 0; more for very
    /// long series).
    ///
    /// # Errors
    /// When the share is not in [0, 1].
    pub fn new(instance: f64, unit: usize) -> Result<Self, ObjectiveError> {
        if !(0.0..=1.0).contains(&instance) {
            return Err(ObjectiveError::Outside {
                name: "share of the instance contrast",
                value: instance,
                allowed: "[0, 1]",
            });
        }
        let pairs = PairObjective::new(1.0)?.with_pairs(Pairs::TwoViews).with_similarity(Similarity::Dot);
        Ok(Self { instance, unit, last_scale: true, contrast: Grouped::new(pairs) })
    }

    /// Stops at two time steps: the scale of a single one is neither added nor counted (COMET, Wang et al. 2023, whose sample level is
    /// this with share 1 and whose observation level with share 0).
    pub fn without_last_scale(mut self) -> Self {
        self.last_scale = false;
        self
    }

    /// The value `[1]` over all scales, attached to both views where they carry a gradient.
    ///
    /// # Panics
    /// When the shapes differ, or are empty, or there is a single time step [without its scale](Self::without_last_scale).
    pub fn loss(&self, z1: Tensor<3>, z2: Tensor<3>) -> Tensor<1> {
        self.attached(z1, z2, Self::evaluate)
    }

    /// The instance contrast of one scale, `[1]`, attached.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn instance_loss(&self, z1: Tensor<3>, z2: Tensor<3>) -> Tensor<1> {
        self.attached(z1, z2, Self::instance)
    }

    /// The temporal contrast of one scale, `[1]`, attached.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn temporal_loss(&self, z1: Tensor<3>, z2: Tensor<3>) -> Tensor<1> {
        self.attached(z1, z2, Self::temporal)
    }

    fn attached(
        &self,
        z1: Tensor<3>,
        z2: Tensor<3>,
        part: impl Fn(&Self, &[Tensor<3>; 2], bool) -> ViewsEvaluation,
    ) -> Tensor<1> {
        let result = part(self, &[z1.clone(), z2.clone()], z1.is_tracked() || z2.is_tracked());
        let [a, b] = result.views.map_or([None, None], |views| views.map(Some));
        attach_gradients(result.value, [(&z1, a), (&z2, b)])
    }

    /// Value and gradients over all scales, eagerly: less than twice the work of the first scale.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn evaluate(&self, views: &[Tensor<3>; 2], gradients: bool) -> ViewsEvaluation {
        let mut views = plain(views);
        let mut scales: Vec<ViewsEvaluation> = Vec::new();
        let mut pools: Vec<[MaxPool; 2]> = Vec::new();
        loop {
            let steps = views[0].dims()[1];
            let last = steps == 1;
            assert!(!last || self.last_scale, "a single time step, whose scale is not counted: two are needed");
            let mut scale = match self.instance {
                0.0 => Self::nothing(&views[0], gradients),
                share => self.instance(&views, gradients).scale(share),
            };
            if !last && pools.len() >= self.unit && self.instance < 1.0 {
                scale = scale.add(self.temporal(&views, gradients).scale(1.0 - self.instance));
            }
            scales.push(scale);
            if last || (!self.last_scale && steps < 4) {
                break;
            }
            let [(p, a), (q, b)] = views.map(MaxPool::new);
            pools.push([p, q]);
            views = [a, b];
        }
        let share = 1.0 / scales.len() as f64;
        // from the last scale back to the first
        let mut total = scales.pop().expect("at least one scale");
        while let Some(scale) = scales.pop() {
            let [p, q] = pools.pop().expect("a step between two scales");
            let views = total.views.map(|[a, b]| [p.backward(a), q.backward(b)]);
            total = scale.add(ViewsEvaluation { value: total.value, views });
        }
        total.scale(share)
    }

    /// Each time step a group of 2 B rows. A batch of one has no negatives: 0.
    fn instance(&self, views: &[Tensor<3>; 2], gradients: bool) -> ViewsEvaluation {
        let [a, b] = plain(views).map(|view| view.swap_dims(0, 1));
        let found = self.groups([a, b], gradients);
        ViewsEvaluation { views: found.views.map(|views| views.map(|view| view.swap_dims(0, 1))), ..found }
    }

    /// Each instance a group of 2 T rows. A single time step has no negatives: 0.
    fn temporal(&self, views: &[Tensor<3>; 2], gradients: bool) -> ViewsEvaluation {
        self.groups(plain(views), gradients)
    }

    /// 0, of views of this shape.
    fn nothing(view: &Tensor<3>, gradients: bool) -> ViewsEvaluation {
        let views = gradients.then(|| [view.zeros_like(), view.zeros_like()]);
        ViewsEvaluation { value: Tensor::zeros([1], (&view.device(), view.dtype())), views }
    }

    /// NT-Xent within groups, `[G, n, D]` of each view.
    fn groups(&self, [a, b]: [Tensor<3>; 2], gradients: bool) -> ViewsEvaluation {
        let [g, n, d] = a.dims();
        if n == 1 {
            return Self::nothing(&a, gradients);
        }
        let wanted = if gradients { Wanted::ALL } else { Wanted::VALUE };
        let found = self.contrast.evaluate(&GroupedInputs::self_contrast(Tensor::cat(vec![a, b], 1)), wanted);
        let views = found.anchors.map(|whole| [0, n].map(|from| whole.clone().slice([0..g, from..from + n, 0..d])));
        ViewsEvaluation { value: found.value, views }
    }
}

/// Outside autodiff, in a type the engine computes in.
fn plain(views: &[Tensor<3>; 2]) -> [Tensor<3>; 2] {
    let [b, t, d] = views[0].dims();
    assert_eq!(views[1].dims(), [b, t, d], "the shapes of the two views");
    check_types(&[("the first view", views[0].dtype()), ("the second view", views[1].dtype())]);
    assert!(b > 0 && t > 0 && d > 0, "views of shape [{b}, {t}, {d}]");
    let dtype = computed_in(views[0].dtype());
    views.clone().map(|view| view.inner().cast(dtype))
}
