//! The audit: the checks of its specification by number (5 is in the tests of `contrastive-eval`, the gradient of 3 beside the code).

use crate::device;
use contrastive_data::augment::{Augmentation, Step, Views, presets};
use contrastive_data::image::{ImageSet, Images, shapes};
use contrastive_train::{Budget, MethodConfig, TrainingConfig};
use contrastive_vision::encoder::{EncoderConfig, embed};
use contrastive_vision::method::{Frame, SimClrConfig, VisionModel};
use contrastive_vision::robustness::audit::*;

fn frame(steps: usize) -> Frame {
    let training = TrainingConfig::new(Budget::Steps(steps), 32, 2e-3);
    Frame::new(EncoderConfig::mlp(&[32, 16]), [16, 8], Views::two(presets::d8(0.6)), training)
}

fn sets() -> [ImageSet; 2] {
    [shapes(400, 8, 1), shapes(150, 8, 2)]
}

fn references(train: &ImageSet) -> Vec<usize> {
    (0..train.len()).filter(|image| train.label(*image) == Some(2)).take(20).collect()
}

fn audit(steps: usize, rates: &[f64]) -> Audit<SimClrConfig> {
    let search = Search { rounds: 3, inner: 8, outer: 6, budget: 0.15, rate: 5e-3, restart: 2, ..Search::default() };
    let mut audit = Audit::new(SimClrConfig::new(0.5), &frame(steps), 2).with_rates(rates).with_search(search);
    audit.neighbours = 8;
    audit.mitigations = vec![
        Mitigation::Removal(Detector::Spectral),
        Mitigation::Distillation { share: 0.25, steps: 10 },
        Mitigation::FineTuning { share: 0.25, steps: 6 },
        Mitigation::StrongViews,
        Mitigation::Averaging { draws: 2 },
    ];
    audit
}

/// Checks 1, 2 and 3: without poison nothing rises beyond what another seed does; budgets hold; the search climbs, and moves one thing at a
/// time; equal seeds give equal reports.
#[test]
fn a_report_is_what_it_says() {
    let [train, test] = sets();
    let given = references(&train);
    let run = || audit(60, &[0.0, 0.1]).run([&train, &test], &given, 5, &device()).unwrap();
    let report = run();
    assert_eq!(format!("{report:?}"), format!("{:?}", run()));
    assert_eq!(report.cells.len(), 6);
    for cell in report.cells.iter().filter(|cell| cell.rate == 0.0) {
        // another seed of an encoder of 60 steps: 125 images of other classes
        assert!(cell.rise().abs() < 0.15, "{cell:?}");
        assert!(cell.poisoned == 0 && cell.detections.is_empty() && cell.mitigated.is_empty());
    }
    assert_eq!(report.null.len(), 5);
    assert!(report.null.iter().all(|found| (found.auc - 0.5).abs() < 0.15), "{:?}", report.null);
    let optimised = report.cell("optimised").unwrap();
    assert!(optimised.poisoned == 40 && optimised.largest_change <= 0.15 + 1e-9 && optimised.largest_change > 0.0);
    let climbed: f64 = optimised.rounds.iter().map(|round| round.objective[1] - round.objective[0]).sum();
    assert!(climbed > 0.0, "{:?}", optimised.rounds);
    for round in &optimised.rounds {
        assert!(round.surrogate[0] == round.surrogate[1] && round.trigger[0] == round.trigger[1]);
    }
    assert!(optimised.rounds.windows(2).all(|pair| pair[0].trigger != pair[1].trigger));
    assert_eq!(optimised.rounds.iter().map(|round| round.restarted).collect::<Vec<_>>(), [true, false, true]);
    for cell in report.cells.iter().filter(|cell| cell.rate > 0.0) {
        assert_eq!((cell.shapes.len(), cell.mitigated.len(), cell.detections.len()), (4, 5, 5));
        assert!(cell.thumbnails.len() == 4 && cell.thumbnails[0].starts_with(&[0x89, b'P', b'N', b'G']));
        for found in &cell.detections {
            assert!(
                [found.auc, found.precision, found.caught, found.false_alarms].iter().all(|x| (0.0..=1.0).contains(x))
            );
        }
        assert!(cell.shapes.iter().all(|shape| shape.poisoned[0] >= 0.0 && shape.clean[1] <= 0.0));
    }
    let text = report.to_string();
    assert!(!text.contains("robust"), "{text}");
}

/// Check 2: a budget of 0 changes nothing, so that the victim is the clean encoder.
#[test]
fn a_budget_of_nothing_is_no_trigger() {
    let [train, test] = sets();
    let mut audit = audit(20, &[0.1]);
    audit.search.budget = 0.0;
    audit.families = vec![Family::Optimised];
    audit.mitigations.clear();
    audit.detectors.clear();
    let report = audit.run([&train, &test], &references(&train), 5, &device()).unwrap();
    let cell = &report.cells[0];
    assert_eq!((cell.largest_change, cell.success, cell.accuracy), (0.0, cell.base, report.clean));
    assert_eq!(cell.entanglement, 0.0);
}

/// Check 4.
#[test]
fn images_of_the_target_do_not_count() {
    let labels = [0, 1, 2, 2, 1, 0];
    assert_eq!(success_rate(&[2; 6], &labels, 2), 1.0);
    assert_eq!(success_rate(&[0, 2, 2, 2, 1, 0], &labels, 2), 0.25);
    assert!(success_rate(&[2, 2], &[2, 2], 2).is_nan());
    // one answer for all
    assert!(collapsed(1.0 / 3.0, 0.9, 3) && collapsed(0.4, 0.9, 10) && !collapsed(0.88, 0.9, 10));
}

fn cell(family: Family, success: f64) -> Cell {
    Cell {
        family,
        rate: 0.05,
        poisoned: 5,
        accuracy: 0.9,
        success,
        base: 0.1,
        entanglement: 0.0,
        collapsed: false,
        largest_change: 0.1,
        shapes: Vec::new(),
        detections: vec![Detection {
            detector: Detector::Density,
            auc: 0.97,
            precision: 0.5,
            caught: 0.9,
            false_alarms: 0.05,
        }],
        mitigated: Vec::new(),
        rounds: Vec::new(),
        thumbnails: Vec::new(),
    }
}

/// The decision rule, and check 8's last sentence: a search that is no better than the patch says so.
#[test]
fn the_decision_follows_its_rule() {
    let patch = Family::Patch { side: 2, random: false };
    let report = |cells: Vec<Cell>| Report { clean: 0.9, null: Vec::new(), cells, declared: 0.05, margin: 0.1 };
    let quiet = report(vec![cell(patch, 0.12), cell(Family::Optimised, 0.15)]);
    assert_eq!(quiet.verdict(), Verdict::Passed);
    let loud = report(vec![cell(patch, 0.12), cell(Family::Optimised, 0.5)]);
    assert_eq!(loud.verdict(), Verdict::Failed(vec!["optimised"]));
    // found, and removed
    let mut found = cell(Family::Optimised, 0.5);
    found.mitigated =
        vec![Mitigated { mitigation: Mitigation::Removal(Detector::Density), accuracy: 0.9, success: 0.15 }];
    assert_eq!(report(vec![cell(patch, 0.12), found.clone()]).verdict(), Verdict::Passed);
    found.mitigated[0].success = 0.4;
    assert_eq!(report(vec![cell(patch, 0.12), found]).verdict(), Verdict::Failed(vec!["optimised"]));
    let failed = report(vec![cell(patch, 0.2), cell(Family::Optimised, 0.2)]);
    assert_eq!(failed.verdict(), Verdict::SearchFailed { optimised: 0.2, patch: 0.2 });
    let text = failed.to_string();
    assert!(text.contains("search failed") && !text.contains("robust") && !text.contains("passed"), "{text}");
    let mut gone = cell(Family::Optimised, 1.0);
    gone.collapsed = true;
    assert!(report(vec![gone]).to_string().contains("COLLAPSED"));
}

/// Check 6: the labels of the images change no encoder.
#[test]
fn training_sees_no_labels() {
    let train = &sets()[0];
    let pixels = (0..train.len()).flat_map(|image| train.bytes(image)).copied().collect();
    let (shape, white, ids) = (train.shape(), train.white(), train.ids().to_vec());
    let labels = vec![-1; train.len()];
    let (name, classes, notes) = (String::new(), Vec::new(), Vec::new());
    let blind = ImageSet::new(Images { name, shape, white, pixels, labels, classes, ids, notes }).unwrap();
    let rows = |set: &ImageSet| {
        let mut training = frame(9).train(SimClrConfig::new(0.5)).build(set, 3, &device()).unwrap();
        (0..9).for_each(|_| drop(training.train_step().unwrap()));
        embed(training.trained_model().encoder(), set, &device()).unwrap()
    };
    assert_eq!(rows(train), rows(&blind));
}

/// Check 7.
#[test]
fn bad_input_is_refused() {
    let [train, test] = sets();
    let given = references(&train);
    let says = |audit: &Audit<SimClrConfig>, references: &[usize], words: &str| {
        let error = audit.run([&train, &test], references, 1, &device()).unwrap_err().to_string();
        assert!(error.contains(words), "{error} instead of {words}");
    };
    says(&audit(4, &[0.4]), &given, "class 2 has");
    says(&audit(4, &[0.6]), &given, "rate is 0.6; allowed is 0 to 0.5");
    says(&audit(4, &[]), &given, "number of rates is 0");
    says(&audit(4, &[0.05]), &[], "number of reference images is 0");
    says(&audit(4, &[0.05]), &[400], "places below 400");
    let bad = |change: fn(&mut Audit<SimClrConfig>)| {
        let mut audit = audit(4, &[0.05]);
        change(&mut audit);
        audit
    };
    says(&bad(|a| a.neighbours = 60), &given, "a quarter of the smallest class");
    says(&bad(|a| a.target = 6), &given, "target is 6; allowed is 0 to 5");
    says(&bad(|a| a.search.budget = 1.5), &given, "budget is 1.5");
    says(&bad(|a| a.families = vec![Family::Patch { side: 9, random: true }]), &given, "side is 9; allowed is 1 to 8");
    says(&bad(|a| a.detectors = vec![Detector::Density]), &given, "removal by is spectral");
    let solarised = |a: &mut Audit<SimClrConfig>| {
        a.frame.views = Views::two(Augmentation::new(8).then(Step::Solarise(0.5).with(0.3)));
    };
    says(&bad(solarised), &given, "a view is Solarise; allowed is steps with a derivative");
    let mut straight = bad(solarised);
    straight.straight_through = true;
    assert!(straight.validate([&train, &test], &given).is_ok());
}

/// Checks 1 and 8 on optdigits, one seed of the table in `docs/results.md`: without poison detectors are at even odds; with it the accuracy
/// stays, and a search that does no better than the patch says that it failed. Check 1 expected a success rate within 3 points of its base
/// without poison; between two seeds of the clean encoder the patch's differs by 3.9, so that 6 is asserted.
#[test]
#[ignore = "ten trainings and a search on optdigits: a minute or two"]
fn golden_data_d8_audit() {
    use crate::golden::{present, shared};
    use contrastive_vision::data::digits;
    use contrastive_vision::evaluate::Protocol;
    let Some(folder) = shared().and_then(|shared| present(shared.join("data/optdigits"))) else { return };
    let d8 = Protocol::d8(digits(&folder).unwrap());
    let search = Search { rounds: 20, budget: 0.15, ..Search::default() };
    let audit = Audit::new(SimClrConfig::new(0.2), &d8.frame, 3).with_rates(&[0.0, 0.05]).with_search(search);
    let audit = audit.with_strong(presets::d8(1.2));
    let given: Vec<usize> = (0..d8.train.len()).filter(|image| d8.train.label(*image) == Some(3)).take(50).collect();
    let report = audit.run([&d8.train, &d8.test], &given, 0, &device()).unwrap();
    println!("{report}");
    for cell in &report.cells {
        assert!(report.clean - cell.accuracy < 0.03, "{cell:?}");
        assert!(cell.rate > 0.0 || cell.rise().abs() < 0.06, "{cell:?}");
    }
    for found in &report.null {
        assert!((found.auc - 0.5).abs() < 0.05, "{found:?}");
    }
    let [patch, optimised] = ["patch", "optimised"].map(|family| report.cell(family).unwrap().success);
    assert_eq!(optimised <= patch, matches!(report.verdict(), Verdict::SearchFailed { .. }));
}
