//! A small MoCo: a linear encoder, a momentum encoder, a queue, views drawn anew.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{DType, Device, Tensor, TensorData};
use contrastive_core::distributed::Ranks;
use contrastive_core::gradient_cache::Chunk;
use contrastive_core::memory::{Ema, Queue};
use contrastive_core::objective::{Inputs, Moco as Objective, NtXent};
use contrastive_train::*;
use ndarray::Array2;
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

pub const ROWS: usize = 50;
const WIDTH: usize = 6;
const DIM: usize = 4;

pub struct Moco {
    pub batch_size: usize,
    dtype: DType,
    device: Device,
    order: Vec<usize>,
    rng: Option<ChaCha8Rng>,
    keys: Linear,
    queue: Queue,
    ema: Ema,
    objective: Objective,
    /// NT-Xent beside InfoNCE.
    pub spread: bool,
    /// The global steps that the hook saw.
    pub seen: Vec<usize>,
}

impl Moco {
    fn view(&mut self, rows: &[usize]) -> Tensor<2> {
        let rng = self.rng.as_mut().unwrap();
        let value = |row: usize, k: usize| ((row * 7919 + k * 104_729 + row * k * 31) % 1009) as f64 / 504.5 - 1.0;
        let noisy = rows.iter().flat_map(|&row| (0..WIDTH).map(move |k| value(row, k)));
        let values: Vec<f64> = noisy.map(|x| x + 0.1 * rng.random_range(-1.0..1.0)).collect();
        Tensor::from_data(TensorData::new(values, [rows.len(), WIDTH]), (&self.device, self.dtype))
    }
}

/// A training of it; its parameters are the same each time.
pub fn training(config: &TrainingConfig, dtype: DType) -> Training<Moco> {
    let device = Device::default();
    let weights: Vec<f64> = (0..WIDTH * DIM).map(|k| ((k * 37 % 23) as f64 / 11.0 - 1.0) * 0.5).collect();
    let weight = Tensor::<2>::from_data(TensorData::new(weights, [WIDTH, DIM]), (&device.clone().autodiff(), dtype));
    let mut model = LinearConfig::new(WIDTH, DIM).with_bias(false).init(&device.clone().autodiff());
    model.weight = model.weight.map(|_| weight.require_grad());
    let method = Moco {
        batch_size: config.batch_size,
        dtype,
        order: Vec::new(),
        rng: None,
        keys: model.valid(),
        queue: Queue::new(20, DIM, (&device, dtype)).unwrap(),
        ema: Ema::constant(0.9).unwrap(),
        objective: Objective::new(0.2).unwrap(),
        spread: false,
        seen: Vec::new(),
        device,
    };
    Training::new(method, model, config, 3).unwrap()
}

impl Method for Moco {
    type Model = Linear;
    type Batch = [Tensor<2>; 2];

    fn name(&self) -> &str {
        "moco"
    }

    fn config(&self) -> Value {
        json!({"momentum": 0.9, "temperature": 0.2})
    }

    fn data(&self) -> Value {
        json!({"rows": ROWS, "digest": "0123"})
    }

    fn begin_epoch(&mut self, _epoch: usize, mut rng: ChaCha8Rng) -> Result<usize, TrainError> {
        self.order = (0..ROWS).collect();
        self.order.shuffle(&mut rng);
        self.rng = Some(rng);
        Ok(ROWS / self.batch_size)
    }

    fn batch(&mut self, step: Step) -> Result<Self::Batch, TrainError> {
        let rows = self.order[step.batch * self.batch_size..][..self.batch_size].to_vec();
        let views = [self.view(&rows), self.view(&rows)];
        Ok(views.map(|view| view.slice([step.share(rows.len())])))
    }

    fn losses(&mut self, model: &Linear, batch: &Self::Batch, step: Step) -> Result<Weighted, TrainError> {
        let queries = model.forward(batch[0].clone().autodiff());
        self.objective(model, &[queries], batch, step)
    }

    fn after_step(&mut self, model: &Linear, [_, key]: &Self::Batch, step: Step) {
        self.queue.push(self.keys.forward(key.clone()));
        self.keys = self.ema.update(model, self.keys.clone(), step.global);
        self.seen.push(step.global);
    }

    fn state(&self) -> State {
        let mut state: State = self.queue.state().into_iter().map(|(k, v)| (format!("queue.{k}"), v)).collect();
        save_module(&self.keys, "keys", &mut state);
        state
    }

    fn load_state(&mut self, mut state: State) -> Result<(), TrainError> {
        self.keys = load_module(self.keys.clone(), "keys", &mut state)?;
        let queue =
            state.into_iter().map(|(name, data)| (name.trim_start_matches("queue.").to_string(), data)).collect();
        self.queue = Queue::new(20, DIM, (&self.device, self.dtype)).unwrap();
        self.queue.load_state(&queue).map_err(TrainError::trainee)
    }

    fn evaluate(&mut self, model: &Linear) -> Result<Option<Metrics>, TrainError> {
        let size = model.weight.val().powi_scalar(2).sum().into_data().iter::<f64>().next().unwrap();
        Ok(Some(Metrics::from([("size".to_string(), size)])))
    }

    fn artifacts(&self, model: &Linear) -> Vec<(String, Array2<f32>)> {
        let values: Vec<f32> = model.weight.val().into_data().iter::<f32>().collect();
        vec![("weights".into(), Array2::from_shape_vec((WIDTH, DIM), values).unwrap())]
    }
}

impl ChunkedMethod for Moco {
    fn towers(&self, [query, _]: &Self::Batch) -> Vec<usize> {
        vec![query.dims()[0]]
    }

    fn encode(&self, model: &Linear, [query, _]: &Self::Batch, chunk: &Chunk) -> Tensor<2> {
        model.forward(query.clone().slice([chunk.rows.clone()]).autodiff())
    }

    fn objective(
        &mut self,
        model: &Linear,
        queries: &[Tensor<2>],
        batch: &Self::Batch,
        _step: Step,
    ) -> Result<Weighted, TrainError> {
        let keys = Tensor::from_inner(self.keys.forward(batch[1].clone()));
        let mut losses = vec![("info_nce", self.objective.loss(queries[0].clone(), keys, &self.queue))];
        if self.spread {
            let rows = model.forward(Tensor::cat(batch.to_vec(), 0).autodiff());
            let [first, second] = [0, 1].map(|at| {
                let n = rows.dims()[0] / 2;
                rows.clone().slice_dim(0, at * n..(at + 1) * n)
            });
            losses.push(("nt_xent", NtXent::new(0.3).unwrap().loss(first, second)));
        }
        Ok(losses)
    }
}

impl DistributedMethod for Moco {
    fn distributed_losses(
        &mut self,
        model: &Linear,
        batch: &Self::Batch,
        step: Step,
        ranks: &Ranks<'_>,
    ) -> Result<Weighted, TrainError> {
        let rows = batch[0].dims()[0];
        let own = if rows == 0 { Weighted::new() } else { self.losses(model, batch, step)? };
        let none = || ("info_nce", (model.weight.val().sum() * 0.0).reshape([1]));
        let (name, loss) = own.into_iter().next().unwrap_or_else(none);
        let mut losses = vec![(name, mean_over_ranks(&loss, rows, ranks)?)];
        if self.spread {
            // an objective whose rows meet those of other ranks
            let rows = model.forward(Tensor::cat(batch.to_vec(), 0).autodiff());
            let objective = NtXent::new(0.3).unwrap();
            losses.push(("nt_xent", objective.objective().distributed_loss(ranks, &Inputs::self_contrast(rows))?));
        }
        Ok(losses)
    }

    fn distributed_after_step(
        &mut self,
        model: &Linear,
        [query, key]: &Self::Batch,
        step: Step,
        ranks: &Ranks<'_>,
    ) -> Result<(), TrainError> {
        let all = gather_rows(key.clone(), ranks)?;
        self.after_step(model, &[query.clone(), all], step);
        Ok(())
    }
}
