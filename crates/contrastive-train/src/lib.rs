#![doc = include_str!("../README.md")]

mod batches;
mod checkpoint;
mod chunked;
mod config;
mod device;
mod distributed;
mod error;
mod files;
mod fit;
mod group;
mod interrupt;
mod method;
mod optimiser;
mod options;
mod parameters;
mod progress;
mod report;
mod run_dir;
mod schedule;
pub mod testing;
mod trainee;
mod training;

pub use batches::{Batches, Prefetch};
pub use chunked::ChunkedMethod;
pub use config::{Check, MethodConfig, SettingError};
pub use device::{DeviceError, compiled_backends, device_name, parse_device};
pub use distributed::{Distributed, DistributedMethod, gather_rows, mean_over_ranks};
pub use error::{Difference, TrainError};
pub use files::{atomic_write, read_safetensors, write_npy, write_safetensors};
pub use fit::{epoch_rng, fit, fit_distributed};
pub use interrupt::request_stop;
pub use method::{Method, Step, SubStep, Weighted};
pub use optimiser::{
    Adam, AdamConfig, AdamOps, Averaging, Clipping, Group, Optimiser, OptimiserConfig, Rule, Select, SgdConfig,
    TrustForm, TrustRatio, WeightAverage, gradient_norm,
};
pub use options::FitOptions;
pub use parameters::{Parameters, load_module, save_module};
pub use report::{Best, EpochRecord, RunReport};
pub use schedule::{Schedule, Shape, Unit, WarmUp};
pub use trainee::{Losses, Metrics, State, Trainee, take_tensor};
pub use training::{Budget, Timing, Trained, Training, TrainingConfig};
