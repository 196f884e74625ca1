//! GroCo.

use crate::golden_grouped::*;

#[test]
fn golden_groco() {
    golden_case("groco", "groco", |case, z: &[Tensor<2>], portable| {
        let number = |name: &str| case["params"][name].as_f64().unwrap();
        let groco = GroCo::new(number("topk_neg") as usize).unwrap().with_steepness(number("steepness")).unwrap();
        let stop = case["params"]["stop_grad"].as_bool().unwrap();
        let _bodies = contrastive_core::testing::portable(portable);
        groco.with_stop_gradient(stop).loss(z, z.len())
    });
}

#[test]
fn groco_numbers_of_the_specification() {
    let bound = if has_f64() { 1e-8 } else { 1e-5 };
    for (k, beta, want) in [(3, 1.0, 0.359497276), (1, 1.0, 0.536081832), (3, 10.0, 0.127634584)] {
        let groco = GroCo::new(k).unwrap().with_steepness(beta).unwrap();
        let views = [sines(4, 3, 0.0), sines(4, 3, 0.35)];
        close(&format!("{k} {beta}"), &values(&groco.loss(&views, 2)), &[want], bound, 0.0);
    }
}

#[test]
fn groco_by_the_definition_and_its_invariances() {
    let (b, d, k) = (7, 4, 3);
    let views: Vec<Vec<f64>> = (0..4).map(|seed| random(b * d, seed + 10)).collect();
    let groco = GroCo::new(k).unwrap().with_steepness(2.0).unwrap();
    let loss = |views: &[Vec<f64>], positives: usize| {
        let tensors: Vec<Tensor<2>> = views.iter().map(|v| tracked(v.clone(), [b, d], wide())).collect();
        one(&groco.loss(&tensors, positives))
    };
    // the definition in loops, with the matrix of the network
    let cosine = |x: &[f64], i: usize, y: &[f64], j: usize| {
        let (p, q) = (&x[i * d..(i + 1) * d], &y[j * d..(j + 1) * d]);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        dot(p, q) / (dot(p, p) * dot(q, q)).sqrt()
    };
    for positives in [2, 4] {
        let mut total = 0.0;
        for a in 0..4 {
            for i in 0..b {
                let others = (0..b).filter(|j| *j != i);
                let mut negative: Vec<f64> = others.map(|j| cosine(&views[a], i, &views[a], j)).collect();
                negative.sort_by(f64::total_cmp);
                let kept = &negative[negative.len() - k..];
                let own = (0..positives).filter(|v| *v != a);
                let mut positive: Vec<f64> = own.map(|v| cosine(&views[a], i, &views[v], i)).collect();
                positive.sort_by(f64::total_cmp);
                let mut x = [kept, &positive].concat();
                let n = x.len();
                let mut p: Vec<Vec<f64>> =
                    (0..n).map(|i| (0..n).map(|r| f64::from(u8::from(i == r))).collect()).collect();
                for layer in 0..n {
                    for at in (layer % 2..n - 1).step_by(2) {
                        let w = 0.5 + (2.0 * (x[at + 1] - x[at])).atan() / std::f64::consts::PI;
                        let mix = |s: f64, t: f64| (w * s + (1.0 - w) * t, (1.0 - w) * s + w * t);
                        (x[at], x[at + 1]) = mix(x[at], x[at + 1]);
                        p.iter_mut().for_each(|row| (row[at], row[at + 1]) = mix(row[at], row[at + 1]));
                    }
                }
                let upper = |i: usize| p[i][k..].iter().sum::<f64>();
                let cost = |i: usize| -(if i < k { 1.0 - upper(i) } else { upper(i) }).ln();
                total += (0..n).map(cost).sum::<f64>() / n as f64;
            }
        }
        let bound = if has_f64() { 1e-11 } else { 1e-4 };
        close("definition", &[loss(&views, positives)], &[total / (4 * b) as f64], bound, 0.0);
        // another order of the images, of the views that give positives, other lengths of the rows: the same
        let turned: Vec<Vec<f64>> = views
            .iter()
            .map(|v| (0..b).flat_map(|i| v[(i * 3 + 1) % b * d..][..d].to_vec()).map(|x| x * 7.0).collect())
            .collect();
        let mut swapped = turned.clone();
        swapped.swap(0, 1);
        for other in [turned, swapped] {
            close("order", &[loss(&other, positives)], &[loss(&views, positives)], bound, 0.0);
        }
    }
}

#[test]
fn groco_gradients() {
    needs_f64!();
    let (b, d) = (6, 4);
    let tables = [random(b * d, 1), random(b * d, 2), random(b * d, 3)];
    for (stop, portable) in [(true, false), (true, true), (false, false), (false, true)] {
        let _bodies = contrastive_core::testing::portable(portable);
        let groco = GroCo::new(3).unwrap().with_steepness(3.0).unwrap().with_stop_gradient(stop);
        let whole = gradients(&tables, d, |x| groco.loss(x, 2));
        if !stop {
            // of all inputs together
            numeric::differences("GroCo", &tables, d, 3, |x| groco.loss(x, 2));
            continue;
        }
        // a view that gives no positives is an anchor and its own negatives: by stopping, half of that is not differentiated
        let free = GroCo::new(3).unwrap().with_steepness(3.0).unwrap().with_stop_gradient(false);
        let other = gradients(&tables, d, |x| free.loss(x, 2));
        close("value", &[whole.0], &[other.0], 1e-13, 0.0);
        assert!(whole.1[2].iter().zip(&other.1[2]).any(|(a, b)| (a - b).abs() > 1e-4));
    }
    // with one negative and one positive the anchor's gradient is that of the closed form, everything else held
    let (b, d) = (2, 3);
    let [x, y] = [random(b * d, 7), random(b * d, 8)];
    let stopped = GroCo::new(1).unwrap();
    let (_, exact) = gradients(&[x.clone(), y.clone()], d, |t| stopped.loss(t, 2));
    let unit = |row: &[f64]| {
        let length = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        row.iter().map(|v| v / length).collect::<Vec<_>>()
    };
    let cosine = |a: &[f64], b: &[f64]| unit(a).iter().zip(unit(b)).map(|(a, b)| a * b).sum::<f64>();
    for at in 0..b * d {
        let i = at / d;
        let value = |h: f64| {
            let mut anchor = x[i * d..(i + 1) * d].to_vec();
            anchor[at % d] += h;
            let s = cosine(&anchor, &x[(1 - i) * d..(2 - i) * d]);
            let p = cosine(&anchor, &y[i * d..(i + 1) * d]);
            -(0.5 + (p - s).atan() / std::f64::consts::PI).ln() / 4.0
        };
        let difference = (value(1e-6) - value(-1e-6)) / 2e-6;
        close("closed form", &[exact[0][at]], &[difference], 1e-8, 0.0);
    }
}

#[test]
fn groco_refuses() {
    assert!(GroCo::new(0).unwrap_err().to_string().contains("hard negatives 0"));
    for beta in [0.0, -1.0, f64::NAN] {
        assert!(GroCo::new(1).unwrap().with_steepness(beta).unwrap_err().to_string().contains("steepness"));
    }
    let groco = GroCo::new(5).unwrap();
    assert!(groco.validate(6, 2, 2).is_ok());
    for ([images, views, positives], part) in [
        ([5, 2, 2], "hard negatives 5"),
        ([1, 2, 2], "images of a view 1"),
        ([9, 1, 1], "views 1"),
        ([9, 3, 0], "views that give positives 0"),
        ([9, 3, 1], "views that give positives 1"),
        ([9, 3, 4], "views that give positives 4"),
    ] {
        let error = groco.validate(images, views, positives).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
