//! Representations of time series without labels: sensors, medicine, industry, motion.
//!
//! | I have ... | use ... |
//! |---|---|
//! | series in files or arrays | [`data`]: readers, windows, scaling, calendar columns |
//! | series to classify or compare | [`method::Ts2Vec`], then [`encoder::embed_windows`] and [`evaluate::classify`] |
//! | one long series to forecast | [`method::Ts2Vec`], then [`evaluate::forecast`] |
//! | one long series with rare events | [`method::Ts2Vec`], then [`evaluate::anomaly_scores`] |
//! | windows of recordings of persons, few labels | [`method::Comet`], then [`method::FineTune`] |
//! | views that should be learned | [`method::AutoTcl`] |
//! | clips of skeletons, or other short series | [`method::Halp`] |
//! | sensors on joints of a body, and texts | [`method::UniMts`], then [`method::UniMtsModel::zero_shot`] or [`method::UniMtsTune`] |
//!
//! Series may differ in length and miss values where a method knows missing ones. All randomness comes from seeds.
//!
//! ```
//! use burn::tensor::Device;
//! use contrastive_timeseries::data::seasonal;
//! use contrastive_timeseries::encoder::{DilatedNetConfig, embed_windows};
//! use contrastive_timeseries::method::Ts2VecConfig;
//! use contrastive_train::{FitOptions, MethodConfig};
//!
//! let device = Device::default();
//! let series = seasonal(12, 40, 1)?; // twelve univariate series of three classes
//! let net = DilatedNetConfig::new().with_output(16).with_hidden(8).with_depth(3); // the paper's are 320, 64 and 10
//! let config = Ts2VecConfig::new().with_net(net).with_steps(Some(10));
//! let trained = config.fit(&series, &FitOptions::new(&device).seed(7).progress(false))?;
//! let vectors = embed_windows(&trained.model, &series, &device)?;
//! assert_eq!(vectors.dim(), (12, 16));
//! # Ok::<(), contrastive_timeseries::data::SeriesError>(())
//! ```

pub mod augment;
pub mod data;
pub mod encoder;
pub mod evaluate;
pub mod method;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
