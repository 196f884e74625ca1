//! What is shown while a run goes on.

use crate::report::EpochRecord;
use crate::trainee::Losses;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};

/// A bar on a terminal, lines elsewhere, or nothing.
pub(crate) enum Progress {
    Silent,
    Lines,
    Bar(ProgressBar),
}

impl Progress {
    pub(crate) fn new(wanted: bool) -> Self {
        if !wanted {
            return Self::Silent;
        }
        if !std::io::stderr().is_terminal() {
            return Self::Lines;
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{prefix} [{bar:24}] {pos}/{len} {eta} {msg}");
        bar.set_style(style.expect("a constant template").progress_chars("=> "));
        Self::Bar(bar)
    }

    pub(crate) fn note(&self, text: &str) {
        match self {
            Self::Silent => {}
            Self::Lines => say(text),
            Self::Bar(bar) => bar.suspend(|| say(text)),
        }
    }

    pub(crate) fn epoch(&self, epoch: usize, epochs: usize, steps: usize) {
        if let Self::Bar(bar) = self {
            bar.reset();
            bar.set_length(steps as u64);
            bar.set_prefix(format!("epoch {epoch}/{epochs}"));
        }
    }

    pub(crate) fn step(&self, losses: &Losses) {
        if let Self::Bar(bar) = self {
            bar.inc(1);
            if let Some((name, value)) = losses.first() {
                // Formatting costs more than a small step: only as often as the bar is drawn.
                if bar.position().is_multiple_of(16) {
                    bar.set_message(format!("{name} {value:.4}"));
                }
            }
        }
    }

    pub(crate) fn evaluating(&self) {
        if let Self::Bar(bar) = self {
            bar.set_message("evaluating");
        }
    }

    pub(crate) fn done(&self, record: &EpochRecord, epochs: usize) {
        let text = line(record, epochs);
        match self {
            Self::Silent => {}
            Self::Lines => say(&text),
            Self::Bar(bar) => bar.suspend(|| say(&text)),
        }
    }
}

/// A line on the standard error stream. Where it is closed or its disk full, training goes on in silence (`eprintln` would
/// panic).
pub(crate) fn say(text: &str) {
    writeln!(std::io::stderr(), "{text}").ok();
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn line(record: &EpochRecord, epochs: usize) -> String {
    let losses = record.losses.iter().map(|(name, value)| format!("{name} {value:.4}"));
    let metrics = record.metrics.iter().flatten().map(|(name, value)| format!("{name} {value:.4}"));
    let numbers: Vec<String> = losses.chain(metrics).collect();
    let seconds = record.seconds + record.evaluation_seconds;
    format!("epoch {}/{epochs}  {}  ({seconds:.1} s)", record.epoch, numbers.join("  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_losses_and_metrics() {
        let record = EpochRecord {
            epoch: 3,
            steps: 10,
            losses: [("bpr".to_string(), 0.25)].into(),
            metrics: Some([("recall@20".to_string(), 0.125)].into()),
            seconds: 1.0,
            evaluation_seconds: 0.5,
        };
        assert_eq!(line(&record, 40), "epoch 3/40  bpr 0.2500  recall@20 0.1250  (1.5 s)");
    }
}
