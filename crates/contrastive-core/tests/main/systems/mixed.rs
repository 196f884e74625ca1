//! Real and generated samples: exact shares, every sample so often, the same again.

use contrastive_core::sampler::{Copies, MixedSource, SamplerError};

/// Check 1.
#[test]
fn shares_are_exact() {
    let source = |replicate| MixedSource::new(50_000, 1_000_000, replicate, 256, 1).unwrap();
    assert!((source(10).share() - 1.0 / 3.0).abs() < 1e-12);
    assert!((source(1).share() - 0.047619).abs() < 1e-6);
    assert!((MixedSource::copies_for(0.5, 50_000, 1_000_000) - 20.0).abs() < 1e-12);
    for copies in [Copies::Passes, Copies::Shuffled] {
        let source = MixedSource::new(30, 200, 4, 16, 5).unwrap().with_copies(copies);
        let order = source.order(3);
        let mut counts = [0; 230];
        order.iter().for_each(|at| counts[*at] += 1);
        assert!(counts[..30].iter().all(|c| *c == 4) && counts[30..].iter().all(|c| *c == 1));
        let real = order.iter().filter(|at| source.is_real(**at)).count();
        assert_eq!(real as f64 / order.len() as f64, source.share());
        let batches = source.epoch(3);
        assert_eq!((batches.len(), source.batches()), (20, 20));
        assert_eq!(batches.concat(), order[..320]);
        assert_ne!(order, source.order(4));
    }
}

/// In passes a real sample comes again only after all others; shuffled copies meet about as often as chance says.
#[test]
fn copies_lie_in_passes_or_anywhere() {
    let pairs = |copies: Copies| {
        let source = MixedSource::new(200, 400, 5, 50, 9).unwrap().with_copies(copies);
        let mut real = 0;
        let mut met = 0;
        for batch in (0..20).flat_map(|epoch| source.epoch(epoch)) {
            let own: Vec<usize> = batch.into_iter().filter(|at| source.is_real(*at)).collect();
            for (k, a) in own.iter().enumerate() {
                met += own[..k].iter().filter(|b| *b == a).count();
            }
            real += 1;
        }
        f64::from(met as u32) / f64::from(real)
    };
    let share = MixedSource::new(200, 400, 5, 50, 9).unwrap().share();
    // (m - 1) / m of the formula's, which has independent draws
    let expected = 50.0 * 49.0 / 2.0 * share * share / 200.0 * 0.8;
    let (passes, shuffled) = (pairs(Copies::Passes), pairs(Copies::Shuffled));
    assert!((shuffled / expected - 1.0).abs() < 0.1, "{shuffled} of {expected}");
    assert!(passes < 0.5 * shuffled, "{passes} and {shuffled}");
    let source = MixedSource::new(50, 0, 3, 10, 1).unwrap();
    for pass in source.order(1).chunks(50) {
        let mut pass = pass.to_vec();
        pass.sort_unstable();
        assert_eq!(pass, (0..50).collect::<Vec<_>>());
    }
}

/// Checks 2 and 3.
#[test]
fn ends_and_the_same_again() {
    let plain = MixedSource::new(40, 0, 1, 8, 2).unwrap();
    let mut all = plain.order(1);
    all.sort_unstable();
    assert_eq!(all, (0..40).collect::<Vec<_>>());
    assert_eq!((plain.share(), plain.warning()), (1.0, None));
    let generated = MixedSource::new(40, 64, 0, 8, 2).unwrap();
    assert!(generated.order(1).iter().all(|at| *at >= 40) && generated.share() == 0.0);
    assert!(generated.warning().unwrap().contains("0 copies of 40 real samples"));
    assert!(MixedSource::new(0, 64, 0, 8, 2).is_ok());
    let error = |real, generated, replicate, batch| MixedSource::new(real, generated, replicate, batch, 1).unwrap_err();
    assert_eq!(error(0, 64, 3, 8), SamplerError::NoReal { replicate: 3 });
    assert!(error(0, 64, 3, 8).to_string().contains("no real samples for 3 copies"));
    assert!(error(0, 0, 0, 8).to_string().contains("0 draws of an epoch"));
    assert!(error(4, 4, 1, 9).to_string().contains("8 draws of an epoch"));
    assert!(error(4, 4, 1, 0).to_string().contains("samples of a batch"));
    // resumed anywhere: the list of the epoch again
    let source = || MixedSource::new(30, 200, 4, 16, 5).unwrap();
    assert_eq!(source().epoch(7)[11..], source().epoch(7)[11..]);
    assert_ne!(source().epoch(7), MixedSource::new(30, 200, 4, 16, 6).unwrap().epoch(7));
}
