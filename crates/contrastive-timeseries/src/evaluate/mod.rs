//! The protocols of time series: classification, forecasting, anomaly detection. Nothing of a test part is used before it is scored.

mod anomaly;
mod classification;
mod forecasting;

pub use anomaly::{AnomalyReport, AnomalyRule, alarms, anomaly_scores, delay_adjusted};
pub use classification::{ClassReport, Classifier, classify, classify_raw, logistic_report, report_of};
pub use forecasting::{
    FORECAST_PENALTIES, Forecast, ForecastError, ForecastParts, errors_of, etth_parts, forecast, persistence,
    raw_windows, share_parts,
};
