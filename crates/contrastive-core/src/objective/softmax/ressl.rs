//! ReSSL: a student shall see the same relations to a queue as its teacher.

use crate::attach::attach_gradients;
use crate::error::ObjectiveError;
use crate::memory::Queue;
use crate::objective::distributed::{Among, DistributedError, Ranks};
use crate::objective::engine::log_sums::LogSums;
use crate::objective::{Denominator, Evaluation, Gradients, Inputs, PairObjective, Wanted, check_types};
use crate::pairs::Pairs;
use crate::similarity::{Sides, Similarity};
use burn::tensor::Tensor;

/// Relational self-supervised learning (Zheng et al. 2021): the cross-entropy between the softmax of the
/// teacher's similarities to the candidates and that of the student's.
///
/// ```text
/// p_ij = softmax_j(k_i . c_j / T_teacher)        l_i = -sum_j p_ij log softmax_j(q_i . c_j / T_student)
/// ```
///
/// No matrix is needed: `l_i = log D_i - q_i . m_i / T_student`, where `m_i = sum_j p_ij c_j` is the gradient of the
/// teacher's log-denominator by its row. The teacher and the candidates are constants.
#[derive(Clone, Debug)]
pub struct ReSsl {
    similarity: Similarity,
    teacher: f64,
    sums: LogSums,
    student: PairObjective,
}

impl ReSsl {
    /// Cosine similarities at these temperatures (paper: student 0.1, teacher 0.04; the teacher's is the sharper one).
    ///
    /// # Errors
    /// When a temperature is zero, negative, infinite or NaN.
    pub fn new(student: f64, teacher: f64) -> Result<Self, ObjectiveError> {
        let objective =
            PairObjective::new(student)?.with_pairs(Pairs::Beside).with_denominator(Denominator::NegativesOnly);
        Ok(Self {
            similarity: Similarity::Cosine,
            teacher,
            sums: LogSums::new(teacher)?.with_similarity(Similarity::Dot),
            student: objective.with_similarity(Similarity::Dot),
        })
    }

    /// Inner products instead of cosines, of rows that are already normalised.
    pub fn with_similarity(mut self, similarity: Similarity) -> Self {
        self.similarity = similarity;
        self
    }

    /// The student's rows `[n, d]`, the teacher's `[n, d]`, and a queue of earlier rows of the teacher. The mean over the
    /// rows, `[1]`; only the student gets a gradient.
    ///
    /// # Panics
    /// When the shapes do not fit, or the queue is empty.
    pub fn loss(&self, student: Tensor<2>, teacher: Tensor<2>, queue: &Queue) -> Tensor<1> {
        let rows = queue.rows().unwrap_or_else(|| panic!("relations of {:?} rows to an empty queue", student.dims()));
        self.loss_among(student, teacher, rows)
    }

    /// The same with candidates `[m, d]` of any origin, taken as constants.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn loss_among(&self, student: Tensor<2>, teacher: Tensor<2>, candidates: Tensor<2>) -> Tensor<1> {
        self.loss_in(Among::HERE, student, teacher, candidates).expect("one process")
    }

    /// The loss of the rows of all ranks together, among the queues of all: each rank brings its own rows `[n, d]` of student and teacher,
    /// and its own queue, of any length. The value is `[1]`.
    ///
    /// Where each rank's rows are to be compared with that rank's queue alone, or all ranks have the same queue, nothing needs to travel: the
    /// sum over ranks ([`Ranks::sum_of_losses`]) of [`loss`](Self::loss) times this rank's share of the rows.
    ///
    /// # Errors
    /// When a rank is gone, or ranks disagree about temperatures, widths or types.
    ///
    /// # Panics
    /// As [`loss`](Self::loss), of this rank's rows and queue.
    pub fn distributed_loss(
        &self,
        ranks: &Ranks<'_>,
        student: Tensor<2>,
        teacher: Tensor<2>,
        queue: &Queue,
    ) -> Result<Tensor<1>, DistributedError> {
        let rows = queue.rows().unwrap_or_else(|| panic!("relations of {:?} rows to an empty queue", student.dims()));
        self.distributed_loss_among(ranks, student, teacher, rows)
    }

    /// The same with each rank's candidates `[m, d]` of any origin, taken as constants.
    ///
    /// # Errors
    /// As [`distributed_loss`](Self::distributed_loss).
    ///
    /// # Panics
    /// When this rank's shapes do not fit.
    pub fn distributed_loss_among(
        &self,
        ranks: &Ranks<'_>,
        student: Tensor<2>,
        teacher: Tensor<2>,
        candidates: Tensor<2>,
    ) -> Result<Tensor<1>, DistributedError> {
        self.loss_in(Among::all(ranks), student, teacher, candidates)
    }

    fn loss_in(
        &self,
        among: Among<'_>,
        student: Tensor<2>,
        teacher: Tensor<2>,
        candidates: Tensor<2>,
    ) -> Result<Tensor<1>, DistributedError> {
        let result = self.evaluate_in(among, &student, &teacher, &candidates, student.is_tracked())?;
        Ok(attach_gradients(result.value, [(&student, result.gradients.anchors), (&teacher, None)]))
    }

    /// Value, row values and, if wanted, the student's gradient (as that of the anchors).
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn evaluate(
        &self,
        student: &Tensor<2>,
        teacher: &Tensor<2>,
        candidates: &Tensor<2>,
        gradients: bool,
    ) -> Evaluation {
        self.evaluate_in(Among::HERE, student, teacher, candidates, gradients).expect("one process")
    }

    fn evaluate_in(
        &self,
        among: Among<'_>,
        student: &Tensor<2>,
        teacher: &Tensor<2>,
        candidates: &Tensor<2>,
        gradients: bool,
    ) -> Result<Evaluation, DistributedError> {
        assert_eq!(student.dims(), teacher.dims(), "the shapes of student and teacher");
        check_types(&[("student", student.dtype()), ("teacher", teacher.dtype()), ("candidates", candidates.dtype())]);
        let n = student.dims()[0];
        let dtype = crate::objective::computed_in(student.dtype());
        let [q, k, c] = [student, teacher, candidates].map(|x| x.clone().inner().cast(dtype));
        let k = among.sides(self.similarity, k, c.clone())?.anchors.rows;
        let Sides { anchors: q, candidates: c, .. } = among.sides(self.similarity, q, c)?;
        let c = c.expect("candidates").rows;
        let rows_alone = Wanted { anchors: true, candidates: false };
        let relations =
            among.weighted(&self.sums, &Inputs::new(k, c.clone()), vec![1.0; n], rows_alone)?.gradients.anchors;
        let means = relations.expect("the gradient of the teacher's rows") * self.teacher;
        let inputs = Inputs::new(q.rows.clone(), c).with_paired(means);
        let result = among.evaluate(&self.student, &inputs, if gradients { rows_alone } else { Wanted::VALUE })?;
        let anchors = result.gradients.anchors.map(|g| q.backward(g));
        Ok(Evaluation { gradients: Gradients { anchors, ..Gradients::default() }, ..result })
    }
}
