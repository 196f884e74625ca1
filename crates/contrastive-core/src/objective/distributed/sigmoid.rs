//! SigLIP over ranks: a sum over all pairs, so that one round is enough.

use super::keys::{KeyGradients, Keys, plus};
use super::{DistributedError, ObjectiveId, Ranks, starts};
use crate::attach::attach_gradients;
use crate::host::{numbers, to_f64};
use crate::objective::engine::rowwise::Comparison;
use crate::objective::{SigLip, Wanted, check_types, computed_in};
use crate::pairs::PairLists;
use crate::similarity::{Compared, Similarity};
use burn::tensor::{DType, Tensor};
use contrastive_kernels::rowwise::Sigmoid;

impl SigLip {
    /// The loss of the images and texts of all ranks together. Each rank brings its own pairs `[n, d]`; scale `[1]` and bias
    /// `[1]` are the same everywhere, and their gradients are this rank's share. The value is `[1]`.
    ///
    /// # Errors
    /// When a rank is gone, or ranks disagree about widths, types, scale or bias.
    ///
    /// # Panics
    /// When this rank's shapes do not fit.
    pub fn distributed_loss(
        &self,
        ranks: &Ranks<'_>,
        images: Tensor<2>,
        texts: Tensor<2>,
        scale: Tensor<1>,
        bias: Tensor<1>,
    ) -> Result<Tensor<1>, DistributedError> {
        let [n, d] = images.dims();
        assert_eq!([n, d], texts.dims(), "the shapes of images and texts");
        check_types(&[("images", images.dtype()), ("texts", texts.dtype())]);
        assert_eq!([scale.dims(), bias.dims()], [[1], [1]], "the shapes of scale and bias");
        let dtype = computed_in(images.dtype());
        let function = Sigmoid {
            scale: to_f64(scale.clone().inner())[0],
            bias: to_f64(bias.clone().inner())[0],
            weights: [1.0; 2],
        };
        let tracked = images.is_tracked() || texts.is_tracked();
        let same = [
            ObjectiveId::Sigmoid.to_agree(),
            ("width of the rows", d as f64),
            ("f64 rather than f32", f64::from(u8::from(dtype == DType::F64))),
            ("scale", function.scale),
            ("bias", function.bias),
        ];
        let counts = ranks.agree([n, usize::from(tracked)], &same)?;
        let wanted = if counts.iter().any(|c| c[1] > 0) { Wanted::ALL } else { Wanted::VALUE };
        let starts = starts(counts.iter().map(|c| c[0]));
        let share = 1.0 / starts[starts.len() - 1] as f64;

        let compared = |x: &Tensor<2>| Compared::new(Similarity::Cosine, x.clone().inner().cast(dtype));
        let (a, c) = (compared(&images), compared(&texts));
        let first = starts[ranks.rank()];
        let own = Keys { first, rows: c.rows.clone(), bias: None, names: Vec::new() };
        let (mut value, mut sums, mut anchors) = (0.0, [0.0; 2], None);
        let keys = ranks.visit_back(&own, &starts, |_, keys| {
            let here = keys.first <= first && first < keys.first + keys.len();
            let positive = |i: usize| (first + i - keys.first) as u32;
            let positives = PairLists {
                groups: None,
                offsets: if here { (0..=n).collect() } else { vec![0; n + 1] },
                columns: if here { (0..n).map(positive).collect() } else { Vec::new() },
                weights: None,
            };
            let comparison = Comparison { positives, excluded: None, own: None };
            let out = comparison.evaluate(&function, &a.rows, &keys.rows, wanted);
            value += out.value;
            sums.iter_mut().zip(out.sums).for_each(|(t, s)| *t += s);
            if wanted == Wanted::VALUE {
                return Ok::<_, DistributedError>(KeyGradients::default());
            }
            anchors = plus(anchors.take(), Some(out.anchors));
            Ok(KeyGradients { rows: Some(out.candidates), bias: None })
        })?;
        let value = numbers(&[ranks.total(value)? * share], &a.rows);
        let by_rows = [(&images, &a, anchors), (&texts, &c, keys.rows)];
        let by_rows = by_rows.map(|(input, rows, gradient)| (input, gradient.map(|g| rows.backward(g * share))));
        let loss = attach_gradients(value, by_rows);
        let slope = |sum: f64| Some(numbers(&[sum * share], &a.rows));
        Ok(attach_gradients(loss, [(&scale, slope(sums[0])), (&bias, slope(sums[1]))]))
    }
}
