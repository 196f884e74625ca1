//! PamC's checks: the worked numbers, additivity, the bounds, the edges, gradients, degenerate clusters.

use super::*;
use contrastive_core::objective::{MetaNodeProxy, MetaNodes, PamC, SparsePositives};
use contrastive_core::similarity::unit_rows;
use contrastive_kernels::sparse::Csr;

const ALL: [MetaNodeProxy; 4] =
    [MetaNodeProxy::Official, MetaNodeProxy::Jensen, MetaNodeProxy::SecondOrder, MetaNodeProxy::PerAnchor];

fn proxy(tau: f64, form: MetaNodeProxy, rows: &Tensor<2>, clusters: &[u32]) -> f64 {
    number(PamC::new(tau).unwrap().with_proxy(form).repulsion(rows, &MetaNodes::new(clusters)))
}

/// Cosines of all pairs, host-side.
fn cosines(values: &[f64], n: usize, d: usize) -> Vec<f64> {
    let unit: Vec<f64> = values
        .chunks_exact(d)
        .flat_map(|row| {
            let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
            row.iter().map(move |x| x / length).collect::<Vec<_>>()
        })
        .collect();
    let dot = |i: usize, j: usize| (0..d).map(|k| unit[i * d + k] * unit[j * d + k]).sum::<f64>();
    (0..n * n).map(|at| dot(at / n, at % n)).collect()
}

#[test]
fn the_worked_example() {
    let rows = leaf(vec![1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0], [4, 2]);
    let clusters = [0, 0, 1, 1];
    let close = |got: f64, want: f64| assert!((got - want).abs() < 1e-6, "{got} instead of {want}");
    close(proxy(0.5, MetaNodeProxy::Official, &rows, &clusters), 2f64.ln());
    // coincident members: the bound is the sum itself
    close(proxy(0.5, MetaNodeProxy::Jensen, &rows, &clusters), 3.053519);
    close(proxy(0.5, MetaNodeProxy::SecondOrder, &rows, &clusters), 3.053519);
    let all = (2.0 * 0.5f64.exp() + 2.0).ln();
    close(proxy(0.5, MetaNodeProxy::PerAnchor, &rows, &clusters), all);
}

#[test]
fn sums_of_inner_products_are_additive() {
    let (n, d) = (20, 4);
    let rows = leaf(uniform(1, n * d), [n, d]);
    let unit = unit_rows(rows);
    let clusters: Vec<u32> = (0..n as u32).map(|i| i * 7 % 5).collect();
    let nodes = MetaNodes::new(&clusters);
    assert_eq!(nodes.counts().iter().sum::<f64>(), n as f64);
    let total = |x: Tensor<2>| number(x.clone().matmul(x.transpose()).sum());
    let want = total(unit.clone());
    let tolerance = 1e-5 * want.abs();
    assert!((total(nodes.sums(unit.clone())) - want).abs() <= tolerance);
    // any assignment whose shares of a row add up to 1
    let soft = uniform(2, 3 * n).iter().map(|x| x.exp()).collect::<Vec<_>>();
    let shares: Vec<f64> = (0..3 * n).map(|at| soft[at] / (0..3).map(|k| soft[k * n + at % n]).sum::<f64>()).collect();
    assert!((total(leaf(shares, [3, n]).matmul(unit)) - want).abs() <= tolerance);
}

#[test]
fn bounds_hold() {
    let (n, d, c) = (30, 5, 4);
    for (seed, tau) in [0.25, 0.5, 1.0, 2.0].into_iter().enumerate() {
        // members around four centres
        let (centres, noise) = (uniform(seed as u64, c * d), uniform(100 + seed as u64, n * d));
        let values: Vec<f64> = (0..n * d).map(|at| centres[(at / d) % c * d + at % d] + 0.4 * noise[at]).collect();
        let clusters: Vec<u32> = (0..n).map(|i| (i % c) as u32).collect();
        let s = cosines(&values, n, d);
        let exact = s.iter().map(|s| (tau * s).exp()).sum::<f64>().ln();
        let rows = leaf(values, [n, d]);
        let jensen = proxy(tau, MetaNodeProxy::Jensen, &rows, &clusters);
        let mut rho = 0.0f64;
        for (a, b) in (0..c * c).map(|at| (at / c, at % c)) {
            let block = (0..n * n).filter(|at| at / n % c == a && at % n % c == b).map(|at| s[at]);
            let (low, high) = block.fold((f64::MAX, f64::MIN), |(l, h), x| (l.min(x), h.max(x)));
            rho = rho.max(high - low);
        }
        let slack = tolerance() * 100.0;
        assert!(jensen <= exact + slack && exact - jensen <= tau * tau * rho * rho / 8.0 + slack, "tau {tau}");
        let second = proxy(tau, MetaNodeProxy::SecondOrder, &rows, &clusters);
        assert!((exact - second).abs() < 0.2 * (exact - jensen), "tau {tau}: {exact} {jensen} {second}");
        // the first-order form, and one cluster for each node
        let mean = s.iter().sum::<f64>() / (n * n) as f64;
        let gap = exact - 2.0 * (n as f64).ln() - tau * mean;
        assert!((0.0..=tau * tau / 2.0).contains(&gap), "tau {tau}: {gap}");
        let alone: Vec<u32> = (0..n as u32).collect();
        near("one cluster a node", proxy(tau, MetaNodeProxy::Jensen, &rows, &alone), exact);
    }
}

fn ring(n: usize) -> Csr<f64> {
    let entries = (0..n).flat_map(|i| [(i, i, 0.5), (i, (i + 1) % n, 0.3), (i, (i + 5) % n, 0.2)]);
    let entries: Vec<(u32, u32, f64)> = entries.map(|(i, j, w)| (i as u32, j as u32, w)).collect();
    Csr::from_triplets(n, n, &entries).unwrap()
}

#[test]
fn edges_alone_give_the_dense_formula() {
    let (n, d, tau) = (12, 3, 1.5);
    let values = uniform(7, n * d);
    let s = cosines(&values, n, d);
    let weights = ring(n);
    let want = -(0..n)
        .map(|i| {
            let (columns, shares) = weights.row(i);
            let logit = |j: usize| if i == j { 0.0 } else { tau * s[i * n + j] };
            (columns.iter().zip(shares).map(|(&j, w)| w * logit(j as usize).exp()).sum::<f64>() + 1e-10).ln()
        })
        .sum::<f64>()
        / n as f64;
    let positives = SparsePositives::new(weights).unwrap();
    let value = PamC::new(tau).unwrap().attraction(&leaf(values.clone(), [n, d]), &positives);
    near("attraction", number(value), want);

    let all =
        (0..n).map(|i| (0..n).filter(|&j| j != i).map(|j| (tau * s[i * n + j]).exp()).sum::<f64>().ln()).sum::<f64>()
            / n as f64;
    let twin = PamC::new(tau).unwrap().unapproximated(&leaf(values, [n, d]), &positives);
    near("every pair", number(twin), want + all);
}

#[test]
fn gradients_are_those_of_the_value() {
    if !common::has_f64() {
        return;
    }
    let (n, d) = (10, 3);
    let values = uniform(8, n * d);
    let clusters = MetaNodes::new(&[0, 1, 2, 2, 1, 0, 0, 4, 4, 2]);
    let positives = SparsePositives::new(ring(n)).unwrap();
    for form in ALL {
        let objective = PamC::new(0.8).unwrap().with_proxy(form);
        let loss = |x: &Tensor<2>| objective.loss(x, &positives, &clusters);
        let x = leaf(values.clone(), [n, d]);
        let got = gradient(&loss(&x), &x);
        let want = differences(&values, |v| number(loss(&leaf(v, [n, d]))));
        all_near(&format!("{form:?}"), &got, &want, 1e-7);
        // only directions matter where every row is scaled alike
        let scaled = leaf(values.iter().map(|x| x * 3.0).collect(), [n, d]);
        near(&format!("{form:?} scaled"), number(loss(&scaled)), number(loss(&x)));
    }
    let x = leaf(values.clone(), [n, d]);
    let twin = |x: &Tensor<2>| PamC::new(0.8).unwrap().unapproximated(x, &positives);
    let want = differences(&values, |v| number(twin(&leaf(v, [n, d]))));
    all_near("every pair", &gradient(&twin(&x), &x), &want, 1e-7);
}

#[test]
fn degenerate_clusters_and_rows() {
    let (n, d) = (6, 3);
    let mut values = uniform(9, n * d);
    let rows = leaf(values.clone(), [n, d]);
    // one cluster pushes nothing apart
    assert_eq!(proxy(0.5, MetaNodeProxy::Official, &rows, &[3; 6]), 0.0);
    assert_eq!(MetaNodes::new(&[3; 6]).warning().unwrap(), "6 rows in one cluster: nothing is pushed apart");
    assert!(MetaNodes::new(&[3, 3, 1]).warning().is_none());
    // empty clusters do not count
    for form in ALL {
        near("numbering", proxy(0.5, form, &rows, &[0, 9, 9, 4, 4, 0]), proxy(0.5, form, &rows, &[0, 2, 2, 1, 1, 0]));
    }
    // a row of zeros has cosine 0 with everything
    values[..d].fill(0.0);
    let zero = leaf(values, [n, d]);
    for form in ALL {
        let value = PamC::new(0.5).unwrap().with_proxy(form).loss(
            &zero,
            &SparsePositives::new(ring(n)).unwrap(),
            &MetaNodes::new(&[0, 1, 1, 2, 2, 2]),
        );
        assert!(number(value.clone()).is_finite() && gradient(&value, &zero).iter().all(|g| g.is_finite()), "{form:?}");
    }
}

#[test]
fn positives_that_cannot_be_are_named() {
    let error = |entries: &[(u32, u32, f64)], cols| {
        SparsePositives::new(Csr::from_triplets(2, cols, entries).unwrap()).unwrap_err().to_string()
    };
    assert!(error(&[(0, 0, 1.0)], 2).contains("node 1 has no positive"));
    assert!(error(&[(0, 0, 1.0), (1, 0, -2.0)], 2).contains("weight -2 of the positive (1, 0)"));
    assert!(error(&[(0, 0, 1.0), (1, 0, 1.0)], 3).contains("positives of 2 nodes among 3"));
    assert!(PamC::new(0.0).is_err());
}
