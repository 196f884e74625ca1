//! The engine as a Burn backend extension: native on the CPU backend, a portable body of backend operations elsewhere.
// The `ndarray` backend still works but is deprecated upstream.
#![cfg_attr(feature = "ndarray", allow(deprecated))]

use super::portable;
use super::spec::{BothSpec, Spec};
use crate::extension::*;
use std::sync::Arc;

/// Value and gradients of pair objectives, by row blocks, in memory linear in anchors and candidates.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal", feature = "cuda")),
)]
pub trait PairOps: Backend {
    /// One direction. Anchors `[n, d]`, candidates `[m, d]`, paired positives `[n, d]` (`[1, 1]` if absent), scale `[1]` or
    /// `[n]`, bias `[m]` (`[1]` if absent). Returns the value `[1]`, row values `[n]`, and the gradients of anchors, candidates,
    /// paired, scale (its own shape) and bias; those not wanted are zeros of size one.
    #[allow(clippy::type_complexity)]
    fn pair_softmax(
        anchors: FloatTensor<Self>,
        candidates: FloatTensor<Self>,
        paired: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        spec: Arc<Spec>,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    ) {
        portable::rows::<Self>(anchors, candidates, paired, scale, bias, &spec).into_tuple()
    }

    /// Both directions, or a table against itself (`candidates` is then ignored). Scale `[1]`. Returns the value `[1]`, row
    /// values `[n]`, column values `[m]` (`[1]` for a table against itself), and the gradients of anchors, candidates and scale.
    #[allow(clippy::type_complexity)]
    fn pair_softmax_both(
        anchors: FloatTensor<Self>,
        candidates: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        spec: Arc<BothSpec>,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    ) {
        portable::both::<Self>(anchors, candidates, scale, &spec).into_tuple()
    }

    /// Rows `[n, d]` scaled to length 1, and the lengths `[n, 1]` they were divided by: infinity for rows shorter than
    /// `shortest`, which become zeros and have no gradient.
    fn unit_rows(x: FloatTensor<Self>, shortest: f64) -> (FloatTensor<Self>, FloatTensor<Self>) {
        portable::unit_rows::<Self>(x, shortest)
    }

    /// The gradient `[n, d]` of the raw rows, from the results of [`unit_rows`](Self::unit_rows) and the gradient of the
    /// unit rows.
    fn unit_rows_backward(
        unit: FloatTensor<Self>,
        lengths: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        portable::unit_rows_backward::<Self>(unit, lengths, gradient)
    }

    /// The mean row `[1, d]` of `[n, d]`.
    fn mean_row(x: FloatTensor<Self>) -> FloatTensor<Self> {
        portable::mean_row::<Self>(x)
    }

    /// Rows `[n, d]` measured from a centre `[1, d]`, and their squared distances `[n]` from it: NaN where these are too large.
    fn centred_rows(x: FloatTensor<Self>, centre: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        portable::centred_rows::<Self>(x, centre)
    }

    /// The gradient `[n, d]` of the raw rows, from those of [`centred_rows`](Self::centred_rows), their gradient and that of the squares.
    fn centred_rows_backward(
        rows: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        of_squares: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        portable::centred_rows_backward::<Self>(rows, gradient, of_squares)
    }

    /// Anchors or candidates `[n, d]` from a common centre `[1, d]`, as the rows `[n, d + 2]` whose inner products are negative squared
    /// distances: `[x sqrt(2), -|x|^2, -1]` and `[x sqrt(2), 1, |x|^2]`.
    fn distance_rows(x: FloatTensor<Self>, centre: FloatTensor<Self>, anchors: bool) -> FloatTensor<Self> {
        portable::distance_rows::<Self>(x, centre, anchors)
    }

    /// The gradient `[n, d]` of the raw rows, from those of [`distance_rows`](Self::distance_rows) and their gradient.
    fn distance_rows_backward(
        compared: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        anchors: bool,
    ) -> FloatTensor<Self> {
        portable::distance_rows_backward::<Self>(compared, gradient, anchors)
    }
}

default_bodies!(PairOps);

#[cfg(feature = "flex")]
mod native {
    use super::*;
    use crate::objective::engine::spec::Targets;
    use crate::pairs::PairLists;
    use burn::backend::flex::FlexTensor;
    use burn::tensor::{DType, Element as BurnElement, TensorData};
    use contrastive_kernels::softmax::{
        self as kernel, PositiveWeights, RowSets, RowValue, Scale, SoftmaxProblem, TwoSidedProblem,
    };
    use contrastive_kernels::vector::Element;
    use contrastive_kernels::{Real, distance};

    trait Native: Element + Real + BurnElement {}
    impl Native for f32 {}
    impl Native for f64 {}

    fn sets(lists: &PairLists) -> RowSets<'_> {
        RowSets::new(lists.groups.as_deref(), &lists.offsets, &lists.columns)
    }

    fn cast<T: Real>(values: &[f64]) -> Vec<T> {
        values.iter().map(|&v| T::of(v)).collect()
    }

    fn slice<T: Native>(tensor: &FlexTensor) -> &[T] {
        tensor.as_slice::<T>().expect("a contiguous tensor of the element type")
    }

    fn tensor<T: Native>(values: Vec<T>, shape: &[usize]) -> FlexTensor {
        let empty = values.is_empty() && shape.iter().product::<usize>() > 0;
        match empty {
            true => FlexTensor::from_data(TensorData::new(vec![T::zero()], vec![1; shape.len()])),
            false => FlexTensor::from_data(TensorData::new(values, shape.to_vec())),
        }
    }

    /// The native function for the element type of `$of`, or the portable one of the same name.
    macro_rules! by_type {
        ($of:ident, $function:ident($($argument:expr),*)) => {
            match $of.dtype() {
                DType::F32 => $function::<f32>($($argument),*),
                DType::F64 => $function::<f64>($($argument),*),
                _ => portable::$function::<Self>($($argument),*),
            }
        };
    }

    impl PairOps for burn::backend::Flex {
        fn pair_softmax(
            anchors: FloatTensor<Self>,
            candidates: FloatTensor<Self>,
            paired: FloatTensor<Self>,
            scale: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            spec: Arc<Spec>,
        ) -> (
            FloatTensor<Self>,
            FloatTensor<Self>,
            FloatTensor<Self>,
            FloatTensor<Self>,
            FloatTensor<Self>,
            FloatTensor<Self>,
            FloatTensor<Self>,
        ) {
            let out = match anchors.dtype() {
                DType::F32 if !spec.portable => rows::<f32>(anchors, candidates, paired, scale, bias, &spec),
                DType::F64 if !spec.portable => rows::<f64>(anchors, candidates, paired, scale, bias, &spec),
                _ => portable::rows::<Self>(anchors, candidates, paired, scale, bias, &spec),
            };
            out.into_tuple()
        }

        fn pair_softmax_both(
            anchors: FloatTensor<Self>,
            candidates: FloatTensor<Self>,
            scale: FloatTensor<Self>,
            spec: Arc<BothSpec>,
        ) -> (
            FloatTensor<Self>,
            FloatTensor<Self>,
            FloatTensor<Self>,
            FloatTensor<Self>,
            FloatTensor<Self>,
            FloatTensor<Self>,
        ) {
            by_type!(anchors, both(anchors, candidates, scale, &spec)).into_tuple()
        }

        fn unit_rows(x: FloatTensor<Self>, shortest: f64) -> (FloatTensor<Self>, FloatTensor<Self>) {
            by_type!(x, unit_rows(x, shortest))
        }

        fn unit_rows_backward(
            unit: FloatTensor<Self>,
            lengths: FloatTensor<Self>,
            gradient: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            by_type!(unit, unit_rows_backward(unit, lengths, gradient))
        }

        fn mean_row(x: FloatTensor<Self>) -> FloatTensor<Self> {
            by_type!(x, mean_row(x))
        }

        fn centred_rows(x: FloatTensor<Self>, centre: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
            by_type!(x, centred_rows(x, centre))
        }

        fn centred_rows_backward(
            rows: FloatTensor<Self>,
            gradient: FloatTensor<Self>,
            of_squares: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            by_type!(rows, centred_rows_backward(rows, gradient, of_squares))
        }

        fn distance_rows(x: FloatTensor<Self>, centre: FloatTensor<Self>, anchors: bool) -> FloatTensor<Self> {
            by_type!(x, distance_rows(x, centre, anchors))
        }

        fn distance_rows_backward(
            compared: FloatTensor<Self>,
            gradient: FloatTensor<Self>,
            anchors: bool,
        ) -> FloatTensor<Self> {
            by_type!(compared, distance_rows_backward(compared, gradient, anchors))
        }
    }

    fn unit_rows<T: Native>(x: FlexTensor, shortest: f64) -> (FlexTensor, FlexTensor) {
        let x = x.to_contiguous();
        let [n, d] = [x.shape()[0], x.shape()[1]];
        let (unit, lengths) = contrastive_kernels::unit::unit_rows::<T>(slice(&x), d, T::of(shortest));
        (tensor(unit, &[n, d]), tensor(lengths, &[n, 1]))
    }

    fn unit_rows_backward<T: Native>(unit: FlexTensor, lengths: FlexTensor, gradient: FlexTensor) -> FlexTensor {
        let d = unit.shape()[1];
        in_place::<T>(gradient, |gradient| {
            contrastive_kernels::unit::unit_rows_backward::<T>(slice(&unit), slice(&lengths), gradient, d);
        })
    }

    /// `gradient` changed, where it lies if nothing else refers to it.
    fn in_place<T: Native>(gradient: FlexTensor, change: impl FnOnce(&mut [T])) -> FlexTensor {
        let mut gradient = if gradient.is_contiguous() { gradient } else { gradient.to_contiguous() };
        let len = gradient.shape().num_elements();
        if gradient.storage::<T>().len() == len {
            change(gradient.storage_mut::<T>());
            return gradient;
        }
        let mut values = slice::<T>(&gradient).to_vec();
        change(&mut values);
        tensor(values, &gradient.shape().to_vec())
    }

    fn mean_row<T: Native>(x: FlexTensor) -> FlexTensor {
        let x = x.to_contiguous();
        let d = x.shape()[1];
        tensor(distance::mean_row::<T>(slice(&x), d), &[1, d])
    }

    fn centred_rows<T: Native>(x: FlexTensor, centre: FlexTensor) -> (FlexTensor, FlexTensor) {
        let (x, centre) = (x.to_contiguous(), centre.to_contiguous());
        let [n, d] = [x.shape()[0], x.shape()[1]];
        let (rows, squares) = distance::centred_rows::<T>(slice(&x), slice(&centre));
        (tensor(rows, &[n, d]), tensor(squares, &[n]))
    }

    fn centred_rows_backward<T: Native>(rows: FlexTensor, gradient: FlexTensor, of_squares: FlexTensor) -> FlexTensor {
        let (d, of_squares) = (rows.shape()[1], of_squares.to_contiguous());
        in_place::<T>(gradient, |gradient| {
            distance::centred_rows_backward::<T>(slice(&rows), gradient, slice(&of_squares), d);
        })
    }

    fn distance_rows<T: Native>(x: FlexTensor, centre: FlexTensor, anchors: bool) -> FlexTensor {
        let (x, centre) = (x.to_contiguous(), centre.to_contiguous());
        let [n, d] = [x.shape()[0], x.shape()[1]];
        tensor(distance::distance_rows::<T>(slice(&x), slice(&centre), anchors), &[n, d + 2])
    }

    fn distance_rows_backward<T: Native>(compared: FlexTensor, gradient: FlexTensor, anchors: bool) -> FlexTensor {
        let gradient = gradient.to_contiguous();
        let [n, wide] = [compared.shape()[0], compared.shape()[1]];
        let raw = distance::distance_rows_backward::<T>(slice(&compared), slice(&gradient), wide - 2, anchors);
        tensor(raw, &[n, wide - 2])
    }

    fn rows<T: Native>(
        anchors: FlexTensor,
        candidates: FlexTensor,
        paired: FlexTensor,
        scale: FlexTensor,
        bias: FlexTensor,
        spec: &Spec,
    ) -> portable::Rows<FlexTensor> {
        let (anchors, candidates, paired) =
            (anchors.to_contiguous(), candidates.to_contiguous(), paired.to_contiguous());
        let (scale, bias) = (scale.to_contiguous(), bias.to_contiguous());
        let (n, d) = (anchors.shape()[0], anchors.shape()[1]);
        let m = candidates.shape()[0];
        let scales = slice::<T>(&scale);
        let row_weights = cast::<T>(&spec.row_weights);
        let denominator_weights = spec.denominator_weights.as_deref().map(cast::<T>);
        let targets = match &spec.targets {
            Targets::PerRow(t) | Targets::Each(t) => cast::<T>(t),
            Targets::Mean | Targets::One => Vec::new(),
        };
        let problem = SoftmaxProblem {
            paired: spec.paired.then(|| slice::<T>(&paired)),
            scale: if scales.len() == 1 { Scale::Uniform(scales[0]) } else { Scale::PerRow(scales) },
            bias: spec.biased.then(|| slice::<T>(&bias)),
            self_offset: spec.self_offset,
            excluded: spec.excluded.as_ref().map(sets),
            positives: spec.positives.as_ref().map(sets),
            weights: match spec.targets {
                Targets::Mean => PositiveWeights::Mean,
                Targets::One => PositiveWeights::One,
                Targets::PerRow(_) => PositiveWeights::PerRow(&targets),
                Targets::Each(_) => PositiveWeights::Each(&targets),
            },
            denominator: spec.denominator,
            placement: spec.placement,
            row_weights: Some(&row_weights),
            denominator_weights: denominator_weights.as_deref(),
            offset: T::of(spec.offset),
            positive_clamp: spec.clamp.map(T::of),
            wanted: spec.wanted,
            ..SoftmaxProblem::new(slice::<T>(&anchors), slice::<T>(&candidates), d, T::one())
        };
        let out = kernel::rows(&problem);
        let d_scale = if scales.len() == 1 { vec![out.scale.iter().copied().sum::<T>()] } else { out.scale };
        let d_scale_shape = [scales.len()];
        portable::Rows {
            value: tensor(vec![T::of(out.value)], &[1]),
            rows: tensor(out.rows, &[n]),
            anchors: tensor(out.anchors, &[n, d]),
            candidates: tensor(out.candidates, &[m, d]),
            paired: tensor(out.paired, &[n, d]),
            scale: tensor(d_scale, &d_scale_shape),
            bias: tensor(out.bias, &[m]),
        }
    }

    fn both<T: Native>(
        anchors: FlexTensor,
        candidates: FlexTensor,
        scale: FlexTensor,
        spec: &BothSpec,
    ) -> portable::Both<FlexTensor> {
        let (anchors, candidates) = (anchors.to_contiguous(), candidates.to_contiguous());
        let (n, d) = (anchors.shape()[0], anchors.shape()[1]);
        let itself = spec.column_positives.is_none();
        let m = candidates.shape()[0];
        let scale = slice::<T>(&scale)[0];
        let (row_weights, column_weights) = (cast::<T>(&spec.row_weights), cast::<T>(&spec.column_weights));
        let out = kernel::two_sided(&TwoSidedProblem {
            anchors: slice(&anchors),
            candidates: (!itself).then(|| slice(&candidates)),
            width: d,
            scale,
            positives: sets(&spec.positives),
            column_positives: spec.column_positives.as_ref().map(sets),
            mean: spec.mean,
            value: RowValue::LogRatio,
            denominator: spec.denominator,
            row_weights: &row_weights,
            column_weights: &column_weights,
            gradients: spec.gradients,
        });
        portable::Both {
            value: tensor(vec![T::of(out.value)], &[1]),
            rows: tensor(out.rows, &[n]),
            columns: tensor(out.columns, &[m]),
            anchors: tensor(out.anchors, &[n, d]),
            candidates: tensor(out.candidates, &[m, d]),
            scale: tensor(vec![out.scale], &[1]),
        }
    }
}
