//! An audit of SimCLR's recipe: what poisoned images would do to one's own encoder, and which detector or mitigation notices.
//! Triggers stay in the memory of this process; what is printed are statistics.
//!
//! ```sh
//! cargo run --release --example audit                                                # rendered shapes, a small setting
//! cargo run --release --example audit -- --data optdigits --seeds 3                  # D8 at 5 %
//! cargo run --release --example audit -- --data optdigits --rates 0,0.01,0.05        # success against rate
//! ```

#[path = "shared/vision.rs"]
mod vision;

use clap::Parser;
use contrastive::data::augment::presets;
use contrastive::data::image::shapes;
use contrastive::train::Budget;
use contrastive::vision::evaluate::Protocol;
use contrastive::vision::method::SimClrConfig;
use contrastive::vision::robustness::audit::{Audit, Cell, Report, Search, Verdict};
use std::error::Error;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    common: vision::Common,
    /// The class that triggers are tied to.
    #[arg(long, default_value_t = 3)]
    target: u32,
    /// Poisoned shares; the last one is the declared rate.
    #[arg(long, value_delimiter = ',', default_value = "0.05")]
    rates: Vec<f64>,
    /// Most that an optimised trigger changes a pixel, of the range.
    #[arg(long, default_value_t = 0.15)]
    budget: f64,
    /// Rounds of the search.
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// Learning rate of the trigger.
    #[arg(long, default_value_t = 1e-3)]
    trigger_rate: f64,
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run_it())
}

fn run_it() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let (device, small) = (arguments.common.device()?, arguments.common.data.is_none());
    let protocol = if small {
        eprintln!("no --data: using GENERATED images (600 rendered shapes of 8 x 8)");
        let steps = arguments.common.steps.unwrap_or(40);
        Protocol::d8(vision::halves(&shapes(600, 8, 1))?).with_budget(Budget::Steps(steps))
    } else {
        arguments.common.protocol()?
    };
    let rounds = if small { 2 } else { arguments.rounds };
    let search = Search { rounds, budget: arguments.budget, rate: arguments.trigger_rate, ..Search::default() };
    let digits = protocol.name == "D8";
    let strong = if digits { presets::d8(1.2) } else { presets::letters(protocol.train.shape()[1]) };
    let mut audit = Audit::new(SimClrConfig::new(0.2), &protocol.frame, arguments.target).with_rates(&arguments.rates);
    audit = audit.with_search(search).with_strong(strong);
    audit.neighbours = if small { 10 } else { 20 };
    let of_target = (0..protocol.train.len()).filter(|image| protocol.train.label(*image) == Some(arguments.target));
    let references: Vec<usize> = of_target.take(50).collect();
    let mut reports = Vec::new();
    for seed in 0..arguments.common.seeds {
        let report = audit.run([&protocol.train, &protocol.test], &references, seed, &device)?;
        println!("seed {seed}: {report}\n");
        reports.push(report);
    }
    summary(&reports);
    Ok(())
}

fn summary(reports: &[Report]) {
    let mean = |value: &dyn Fn(&Report) -> f64| reports.iter().map(value).sum::<f64>() / reports.len() as f64;
    println!(
        "means of {} seeds at the declared rate; accuracy without poison {:.1}",
        reports.len(),
        100.0 * mean(&|r| r.clean)
    );
    let Some(first) = reports.first() else { return };
    for family in first.cells.iter().map(|cell| cell.family.name()).collect::<std::collections::BTreeSet<_>>() {
        let of = |value: &dyn Fn(&Cell) -> f64| mean(&|report| report.cell(family).map_or(f64::NAN, value));
        println!(
            "{family}: accuracy {:.1}, success {:.1}, base {:.1}, entanglement {:+.3}",
            100.0 * of(&|c| c.accuracy),
            100.0 * of(&|c| c.success),
            100.0 * of(&|c| c.base),
            of(&|c| c.entanglement)
        );
        let Some(cell) = first.cell(family) else { continue };
        if let [first, .., last] = cell.rounds.as_slice() {
            println!(
                "  search, seed 0: cosine with references {:.3} at first, {:.3} at last",
                first.objective[0], last.objective[1]
            );
        }
        for shape in &cell.shapes {
            let ([a, u], [b, v]) = (shape.poisoned, shape.clean);
            println!(
                "  seed 0, step {:>4}: alignment {a:.3} (clean {b:.3}), uniformity {u:.2} (clean {v:.2})",
                shape.step
            );
        }
        for at in 0..cell.detections.len() {
            println!(
                "  {:<26} AUC {:.3} (clean run {:.3}), precision {:.2}, caught {:.2}, false alarms {:.2}",
                cell.detections[at].detector.to_string(),
                of(&|c| c.detections[at].auc),
                mean(&|r| r.null[at].auc),
                of(&|c| c.detections[at].precision),
                of(&|c| c.detections[at].caught),
                of(&|c| c.detections[at].false_alarms)
            );
        }
        for at in 0..cell.mitigated.len() {
            let name = cell.mitigated[at].mitigation.to_string();
            let [accuracy, success] = [of(&|c| c.mitigated[at].accuracy), of(&|c| c.mitigated[at].success)];
            println!("  {name:<26} accuracy {:.1}, success {:.1}", 100.0 * accuracy, 100.0 * success);
        }
    }
    let failed = reports.iter().filter(|report| matches!(report.verdict(), Verdict::SearchFailed { .. })).count();
    println!("the search failed in {failed} of {} audits", reports.len());
}
