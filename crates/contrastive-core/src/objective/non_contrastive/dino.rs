//! DINO: a student's distribution follows a teacher's that is centred and sharpened.

use super::soft_targets::cross_entropy;
use crate::error::ObjectiveError;
use crate::objective::{check_types, computed};
use crate::temperature::Temperature;
use burn::tensor::{DType, Device, Tensor, TensorData, activation::softmax};

/// The running mean of the teacher's outputs: the state of [`Dino`].
#[derive(Clone, Debug)]
pub struct DinoCenter {
    values: Tensor<1>,
}

impl DinoCenter {
    /// Zeros for `k` outputs, of the type of the teacher's outputs.
    pub fn zeros(k: usize, device: &Device, dtype: DType) -> Self {
        Self { values: Tensor::from_data(TensorData::new(vec![0.0; k], [k]), (&device.clone().inner(), dtype)) }
    }

    /// `[k]`: the centre, outside autodiff.
    pub fn values(&self) -> Tensor<1> {
        self.values.clone()
    }

    /// The centre's numbers, for a checkpoint.
    pub fn to_data(&self) -> TensorData {
        self.values.to_data()
    }

    /// The centre that [`to_data`](Self::to_data) gave, in the type it was saved in.
    ///
    /// # Errors
    /// When the data are not one list of finite floats.
    pub fn from_data(data: TensorData, device: &Device) -> Result<Self, ObjectiveError> {
        let dtype = data.dtype();
        if !dtype.is_float() || data.shape().num_dims() != 1 {
            return Err(ObjectiveError::Contradiction("a saved centre must be one list of floats"));
        }
        if let Some(value) = data.iter::<f64>().find(|v| !v.is_finite()) {
            return Err(ObjectiveError::Outside {
                name: "entry of the saved centre",
                value,
                allowed: "the finite numbers",
            });
        }
        Ok(Self { values: Tensor::from_data(data, (&device.clone().inner(), dtype)) })
    }
}

/// DINO (Caron et al. 2021, equation 3 and algorithm 1): over the teacher's views t and the student's views v, the same view
/// left out,
///
/// ```text
/// q_t = softmax((teacher_t - centre) / teacher temperature)
/// loss = mean_{t, v != t} of the mean over rows of -sum_k q_tk log softmax(student_v / student temperature)_k
/// centre <- momentum centre + (1 - momentum) mean of all teacher rows        (equation 4)
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dino {
    student: f64,
    teacher: f64,
    momentum: f64,
}

impl Dino {
    /// With these temperatures (paper: student 0.1, teacher 0.04 to 0.07) and this momentum of the centre (paper: 0.9).
    ///
    /// # Errors
    /// When a temperature is not a finite number above 0, or the momentum does not lie in [0, 1].
    pub fn new(student: f64, teacher: f64, momentum: f64) -> Result<Self, ObjectiveError> {
        Temperature::fixed(student)?;
        Temperature::fixed(teacher)?;
        if !(0.0..=1.0).contains(&momentum) {
            return Err(ObjectiveError::Outside { name: "momentum of the centre", value: momentum, allowed: "[0, 1]" });
        }
        Ok(Self { student, teacher, momentum })
    }

    /// The same at another temperature of the teacher: it is raised during the first epochs.
    ///
    /// # Errors
    /// When it is not a finite number above 0.
    pub fn with_teacher_temperature(mut self, teacher: f64) -> Result<Self, ObjectiveError> {
        Temperature::fixed(teacher)?;
        self.teacher = teacher;
        Ok(self)
    }

    /// Outputs of the teacher `[n, k]` for its views, of the student `[n, k]` for its own; the first views of both are the
    /// same, in order. The teacher's and the centre carry no gradient. The value is `[1]`.
    ///
    /// # Panics
    /// When shapes differ, or no pair of different views is left.
    pub fn loss(&self, teacher: &[Tensor<2>], student: &[Tensor<2>], center: &DinoCenter) -> Tensor<1> {
        let shape = teacher.first().expect("DINO of at least one teacher's view").dims();
        for view in teacher {
            assert_eq!(view.dims(), shape, "the shapes of the teacher's views");
            check_types(&[("the teacher's first view", teacher[0].dtype()), ("another of its views", view.dtype())]);
        }
        student
            .iter()
            .for_each(|view| check_types(&[("the teacher", teacher[0].dtype()), ("the student", view.dtype())]));
        assert_eq!(center.values.dims(), [shape[1]], "the centre and the teacher's outputs {shape:?}");
        let terms = teacher.len() * student.len() - teacher.len().min(student.len());
        assert!(terms > 0, "DINO of {} and {} views: no two different ones", teacher.len(), student.len());
        let targets: Vec<Tensor<2>> = teacher.iter().map(|t| self.targets(t, center)).collect();
        let mut loss: Option<Tensor<1>> = None;
        for (v, student) in student.iter().enumerate() {
            let others = targets.iter().enumerate().filter(|(t, _)| *t != v).map(|(_, q)| q.clone());
            let Some(sum) = others.reduce(|a, b| a + b) else { continue };
            let term = cross_entropy(sum, student, self.student, 1.0 / terms as f64);
            loss = Some(match loss {
                Some(loss) => loss + term,
                None => term,
            });
        }
        loss.expect("at least one term")
    }

    /// `[n, k]`: the teacher's centred and sharpened distributions, outside autodiff.
    ///
    /// # Panics
    /// When outputs and centre differ in width.
    pub fn targets(&self, teacher: &Tensor<2>, center: &DinoCenter) -> Tensor<2> {
        let [n, k] = teacher.dims();
        assert_eq!(center.values.dims(), [k], "the centre and the teacher's outputs [{n}, {k}]");
        let teacher = computed(teacher.clone().inner());
        let center = center.values.clone().cast(teacher.dtype()).reshape([1, k]);
        // without a number there is no distribution
        let beyond = (teacher.clone() * 0.0).sum_dim(1);
        softmax((teacher - center) * (1.0 / self.teacher), 1) + beyond
    }

    /// The centre after a step: after the loss, which sees the one before it.
    ///
    /// # Panics
    /// When there is no view, or shapes differ.
    pub fn next_center(&self, center: &DinoCenter, teacher: &[Tensor<2>]) -> DinoCenter {
        let [n, k] = teacher.first().expect("a centre of at least one teacher's view").dims();
        let sum = teacher.iter().map(|t| {
            assert_eq!(t.dims(), [n, k], "the shapes of the teacher's views");
            computed(t.clone().inner()).sum_dim(0)
        });
        let sum = sum.reduce(|a, b| a + b).expect("at least one view").reshape([k]);
        let share = (1.0 - self.momentum) / (n * teacher.len()) as f64;
        let old = center.values.clone();
        let sum = sum.cast(old.dtype());
        DinoCenter { values: old * self.momentum + sum * share }
    }
}
