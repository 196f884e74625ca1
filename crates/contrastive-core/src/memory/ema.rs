//! A moving average of a network (a target or momentum network).

use super::MemoryError;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Bool, Int, Tensor};
use std::any::Any;
use std::collections::VecDeque;

/// The momentum of an exponentially averaged copy (momentum encoder, target network, teacher), constant or on a cosine
/// from its first value up to 1 (BYOL, Grill et al. 2020):
///
/// ```text
/// target <- m target + (1 - m) online           m_k = 1 - (1 - m_0) (cos(pi k / K) + 1) / 2
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ema {
    momentum: f64,
    steps: Option<usize>,
}

impl Ema {
    /// The same momentum at every step (MoCo: 0.999).
    ///
    /// # Errors
    /// When it is not between 0 and 1.
    pub fn constant(momentum: f64) -> Result<Self, MemoryError> {
        if (0.0..=1.0).contains(&momentum) {
            Ok(Self { momentum, steps: None })
        } else {
            Err(MemoryError::Momentum(momentum))
        }
    }

    /// From `momentum` at step 0 (BYOL: 0.996) to 1 at step `steps`, and 1 from then on.
    ///
    /// # Errors
    /// When the momentum is not between 0 and 1, or there are no steps.
    pub fn cosine(momentum: f64, steps: usize) -> Result<Self, MemoryError> {
        if steps == 0 {
            return Err(MemoryError::Steps);
        }
        Ok(Self { steps: Some(steps), ..Self::constant(momentum)? })
    }

    /// The momentum of a step, counted from 0.
    pub fn momentum(&self, step: usize) -> f64 {
        match self.steps {
            None => self.momentum,
            Some(steps) => {
                let angle = std::f64::consts::PI * step.min(steps) as f64 / steps as f64;
                1.0 - (1.0 - self.momentum) * (angle.cos() + 1.0) / 2.0
            }
        }
    }

    /// The target after step `step`; see [`update_target`].
    ///
    /// # Panics
    /// As [`update_target`].
    pub fn update<M: Module>(&self, online: &M, target: M, step: usize) -> M {
        update_target(online, target, self.momentum(step))
    }

    /// The target after step `step`, with statistics of its own; see [`update_target_parameters`].
    ///
    /// # Panics
    /// As [`update_target_parameters`].
    pub fn update_parameters<M: Module>(&self, online: &M, target: M, step: usize) -> M {
        update_target_parameters(online, target, self.momentum(step))
    }
}

/// `momentum * target + (1 - momentum) * online` for every float tensor of a module, running statistics among them; whole
/// numbers and truth values are copied. No gradient flows, and the target keeps its own identities of parameters and
/// its own answers to whether they are trained.
///
/// Start from `online.clone().valid()` (no gradients; note that dropout and batch statistics are then those of
/// evaluation) or `online.clone().valid().train().no_grad()`; not `online.clone().no_grad()`, which of parameters that are not
/// initialised yet would freeze the online network too.
///
/// # Panics
/// When the two modules are not built alike.
pub fn update_target<M: Module>(online: &M, target: M, momentum: f64) -> M {
    mix(online, target, Source::new(false), momentum)
}

/// The same for what is trained alone: running statistics, frozen tensors, whole numbers and truth values stay those of the
/// target, whose batch norms go on by its own batches (MoCo's key encoder, He et al. 2020; PixPro's).
///
/// # Panics
/// When the two modules are not built alike, or nothing of the online network is trained (it must be the network on
/// autodiff, not its `valid()`).
pub fn update_target_parameters<M: Module>(online: &M, target: M, momentum: f64) -> M {
    mix(online, target, Source::new(true), momentum)
}

fn mix<M: Module>(online: &M, target: M, mut source: Source, momentum: f64) -> M {
    // statistics of the last batch lie beside the running ones until someone asks for them, as this does
    drop((online.valid(), target.valid()));
    online.visit(&mut source);
    assert!(
        !source.trained_alone || source.trained > 0,
        "nothing of the online network is trained: is it on autodiff?"
    );
    let mut mixer = Mixer { source, momentum };
    let target = target.map(&mut mixer);
    let left = mixer.source.tensors.len();
    assert!(left == 0, "the online network has {left} tensors more than its target");
    target
}

/// The tensors of a module in the order of its fields, each with whether the target takes it over.
struct Source {
    tensors: VecDeque<(Box<dyn Any>, bool)>,
    trained_alone: bool,
    /// Float tensors that are trained.
    trained: usize,
}

impl Source {
    fn new(trained_alone: bool) -> Self {
        Self { tensors: VecDeque::new(), trained_alone, trained: 0 }
    }

    /// The next tensor; `None` where the target keeps its own.
    fn next<T: 'static>(&mut self) -> Option<T> {
        let next = self.tensors.pop_front();
        let (next, taken) = next.unwrap_or_else(|| panic!("the target has more tensors than the online network"));
        let next = next.downcast().unwrap_or_else(|_| panic!("online network and target are not built alike"));
        taken.then_some(*next)
    }

    fn push<T: 'static>(&mut self, tensor: T, trained: bool) {
        self.tensors.push_back((Box::new(tensor), trained || !self.trained_alone));
        self.trained += usize::from(trained);
    }
}

impl ModuleVisitor for Source {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.base();
        self.push(tensor.clone().inner(), tensor.is_require_grad());
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.push(param.val(), false);
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        self.push(param.val(), false);
    }
}

struct Mixer {
    source: Source,
    momentum: f64,
}

impl ModuleMapper for Mixer {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(online) = self.source.next::<Tensor<D>>() else { return param };
        param.map(|target| {
            assert_eq!(online.dims(), target.dims(), "the shapes of an online tensor and of its target");
            let (autodiff, trained) = (target.is_autodiff(), target.is_require_grad());
            let mixed = target.inner() * self.momentum + online * (1.0 - self.momentum);
            let mixed = if autodiff { Tensor::from_inner(mixed) } else { mixed };
            if trained { mixed.require_grad() } else { mixed }
        })
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        let Some(online) = self.source.next::<Tensor<D, Int>>() else { return param };
        param.map(|target| {
            assert_eq!(online.dims(), target.dims(), "the shapes of an online tensor and of its target");
            online
        })
    }

    fn map_bool<const D: usize>(&mut self, param: Param<Tensor<D, Bool>>) -> Param<Tensor<D, Bool>> {
        let Some(online) = self.source.next::<Tensor<D, Bool>>() else { return param };
        param.map(|target| {
            assert_eq!(online.dims(), target.dims(), "the shapes of an online tensor and of its target");
            online
        })
    }
}
