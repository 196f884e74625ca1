#![doc = include_str!("../README.md")]

mod adam;
mod checkpoint;
mod device;
mod error;
mod files;
mod fit;
mod interrupt;
mod options;
mod progress;
mod report;
mod run_dir;
mod trainee;

pub use adam::{Adam, AdamConfig, AdamOps};
pub use device::{DeviceError, compiled_backends, device_name, parse_device};
pub use error::{Difference, TrainError};
pub use files::{atomic_write, read_safetensors, write_npy, write_safetensors};
pub use fit::{epoch_rng, fit};
pub use interrupt::request_stop;
pub use options::FitOptions;
pub use report::{Best, EpochRecord, RunReport};
pub use trainee::{Losses, Metrics, State, Trainee, take_tensor};
