//! PixPro and PixContrast.

use crate::golden_grouped::*;

fn crops(tensor: &Value) -> Vec<CropBox> {
    numbers(tensor).chunks(4).map(|c| CropBox::new([c[0], c[1], c[2], c[3]]).unwrap()).collect()
}

#[test]
fn golden_pixpro() {
    golden_case("pixpro", "pixpro", |case, maps: &[Tensor<4>], _| {
        let (inputs, params) = (&case["inputs"], &case["params"]);
        let objective = PixPro::new(params["pos_ratio"].as_f64().unwrap()).unwrap();
        let boxes = ["coord_q", "coord_k"].map(|name| crops(&inputs[name]));
        // names in order: k, q; the released code takes every direction twice
        objective.loss(maps[1].clone(), maps[0].clone(), &boxes[0], &boxes[1]) * 2.0
    });
}

fn crop(corners: [f64; 4]) -> CropBox {
    CropBox::new(corners).unwrap()
}

fn counts(lists: &PairLists) -> Vec<usize> {
    (0..lists.anchors()).map(|i| lists.of(i).len()).collect()
}

#[test]
fn cells_that_see_the_same_place() {
    let (whole, middle) = (crop([0.0, 0.0, 1.0, 1.0]), crop([0.25, 0.25, 0.75, 0.75]));
    let near = |a: CropBox, b: CropBox, shape: [usize; 2]| same_place(a, b, shape, 0.7).unwrap();
    let want = [0, 2, 2, 0, 2, 8, 8, 2, 2, 8, 8, 2, 0, 2, 2, 0];
    assert_eq!(counts(&near(whole, middle, [4, 4])), want);
    let flipped = near(whole, crop([0.75, 0.25, 0.25, 0.75]), [4, 4]);
    assert_eq!(counts(&flipped), want);
    let same = near(whole, whole, [4, 4]);
    assert!((0..16).all(|i| same.of(i) == [i as u32]));
    assert_eq!(counts(&near(whole, crop([2.0, 2.0, 3.0, 3.0]), [4, 4])), [0; 16]);
    // the other way round is the transpose; moved or scaled together, nothing changes; maps that are not square
    let shape = [3, 5];
    let (a, b) = (crop([0.1, 0.0, 0.7, 0.9]), crop([0.9, 0.2, 0.3, 0.8]));
    let (forward, back) = (near(a, b, shape), near(b, a, shape));
    assert!(counts(&forward).iter().sum::<usize>() > 15);
    for i in 0..15 {
        for j in 0..15 {
            assert_eq!(forward.of(i).contains(&j), back.of(j as usize).contains(&(i as u32)));
        }
    }
    let moved = |[x0, y0, x1, y1]: [f64; 4]| crop([x0 * 3.0 + 0.5, y0 * 3.0 - 2.0, x1 * 3.0 + 0.5, y1 * 3.0 - 2.0]);
    assert_eq!(near(moved([0.1, 0.0, 0.7, 0.9]), moved([0.9, 0.2, 0.3, 0.8]), shape), forward);
    // both flipped: the cells of a row in the other order, on both sides
    let both = near(crop([0.7, 0.0, 0.1, 0.9]), crop([0.3, 0.2, 0.9, 0.8]), shape);
    let mirror = |cell: usize| cell / 5 * 5 + 4 - cell % 5;
    for i in 0..15 {
        let mut want: Vec<u32> = forward.of(i).iter().map(|&j| mirror(j as usize) as u32).collect();
        want.sort_unstable();
        assert_eq!(both.of(mirror(i)), want);
    }
    // rows are v and columns u: a crop of the left edge meets the left column of a map that is not square
    let left = near(crop([0.0, 0.0, 1.0, 1.0]), crop([0.0, 0.0, 0.05, 1.0]), [2, 4]);
    assert!(counts(&left)[0] > 0 && counts(&left)[4] > 0 && counts(&left)[3] == 0 && counts(&left)[7] == 0);
}

/// `[1, 3, 4, 4]` whose 16 cells are the rows of the specifications' common input.
fn sine_map(phase: f64) -> Tensor<4> {
    let rows = sine_rows(16, 3, phase);
    let data = (0..48).map(|at| rows[at % 16 * 3 + at / 16]).collect();
    tracked(data, [1, 3, 4, 4], wide())
}

#[test]
fn pixpro_numbers_of_the_specification() {
    let (first, second) = ([crop([0.0, 0.0, 1.0, 1.0])], [crop([0.25, 0.25, 0.75, 0.75])]);
    let bound = if has_f64() { 1e-8 } else { 1e-5 };
    let (x, other) = (sine_map(0.0), sine_map(0.35));
    let y = propagate(x.clone(), x.clone(), 2.0).unwrap();
    let loss = PixPro::new(0.7).unwrap().loss(y, other.clone(), &first, &second);
    close("PixPro", &values(&loss), &[-0.088298936], bound, 0.0);
    let contrast = PixContrast::new(0.3, 0.7).unwrap().loss(x, other, &first, &second);
    close("PixContrast", &values(&contrast), &[1.043155591], bound, 0.0);
}

#[test]
fn propagation_at_its_ends() {
    let bound = if has_f64() { 1e-9 } else { 1e-5 };
    let x = tracked(random(2 * 4 * 6, 1), [2, 4, 2, 3], wide());
    let unit = |x: Tensor<4>| x.clone() / (x.clone() * x).sum_dim(1).sqrt();
    // sharp: every cell itself
    let sharp = propagate(x.clone(), x.clone(), 4000.0).unwrap();
    close("sharp", &values(&sharp), &values(&unit(x.clone())), 1e-4, 0.0);
    // blunt: the mean over all cells
    let blunt = propagate(x.clone(), x.clone(), 0.0).unwrap();
    let cells: Tensor<4> = unit(x.clone()).reshape([2, 4, 1, 6]).sum_dim(3);
    let mean = unit(cells).repeat_dim(3, 3).repeat_dim(2, 2);
    close("blunt", &values(&blunt), &values(&mean), bound, 0.0);
    // all cells equal: agreement everywhere
    let equal = tracked(vec![0.3; 2 * 4 * 6], [2, 4, 2, 3], wide());
    let boxes = [crop([0.0, 0.0, 1.0, 1.0]), crop([0.0, 0.5, 1.0, 1.0])];
    let y = propagate(equal.clone(), equal.clone(), 2.0).unwrap();
    // the count of pairs is 1e-6 too large
    close("equal", &values(&PixPro::new(0.7).unwrap().loss(y, equal, &boxes, &boxes)), &[-1.0], bound + 1e-6, 0.0);
    assert!(propagate(x.clone(), x, -1.0).unwrap_err().to_string().contains("sharpness"));
}

#[test]
fn images_whose_crops_do_not_meet() {
    let shape = [2, 3, 2, 2];
    let map = |seed: u64| tracked(random(24, seed), shape, wide());
    let (here, there) = (crop([0.0, 0.0, 1.0, 1.0]), crop([5.0, 5.0, 6.0, 6.0]));
    let (pixpro, contrast) = (PixPro::new(0.7).unwrap(), PixContrast::new(0.3, 0.7).unwrap());
    type Loss<'a> = &'a dyn Fn(Tensor<4>, Tensor<4>, &[CropBox], &[CropBox]) -> Tensor<1>;
    let losses: [Loss; 2] = [&|a, b, p, q| pixpro.loss(a, b, p, q), &|a, b, p, q| contrast.loss(a, b, p, q)];
    for loss in losses {
        let (a, b) = (map(1), map(2));
        let nothing = loss(a.clone(), b.clone(), &[here; 2], &[there; 2]);
        assert_eq!(one(&nothing), 0.0);
        let g = nothing.backward();
        assert_eq!(values(&a.grad(&g).unwrap()), vec![0.0; 24]);
        // one of two images: half of what it is alone
        let first = |x: &Tensor<4>| x.clone().slice([0..1, 0..3, 0..2, 0..2]);
        let alone = one(&loss(first(&a), first(&b), &[here], &[here]));
        let half = one(&loss(a.clone(), b.clone(), &[here, here], &[here, there]));
        close("half", &[half], &[alone / 2.0], 1e-6, 0.0);
        assert!(alone.abs() > 1e-3);
    }
}

#[test]
fn pixpro_by_differences_and_constant_keys() {
    needs_f64!();
    let shape = [2, 4, 2, 3];
    let first = [crop([0.0, 0.0, 0.8, 0.9]), crop([0.5, 0.1, 0.1, 0.6])];
    let second = [crop([0.1, 0.2, 1.0, 1.0]), crop([0.0, 0.0, 0.7, 0.5])];
    let (pixpro, contrast) = (PixPro::new(0.9).unwrap(), PixContrast::new(0.3, 0.9).unwrap());
    let map = |x: &Tensor<2>| -> Tensor<4> { x.clone().reshape(shape) };
    let tables = [random(48, 1), random(48, 2)];
    for sharpness in [0.5, 1.0, 2.0, 3.0] {
        numeric::differences("PixPro", &tables, 4, 2, |x| {
            let y = propagate(map(&x[0]), map(&x[0]).tanh(), sharpness).unwrap();
            pixpro.loss(y, map(&x[1]), &first, &second)
        });
    }
    numeric::differences("PixContrast", &tables, 4, 2, |x| contrast.loss(map(&x[0]), map(&x[1]), &first, &second));
    // the loss hands every map that is tracked its gradient; keys that are constants leave the other's as it is
    let both = gradients(&tables, 4, |x| pixpro.loss(map(&x[0]), map(&x[1]), &first, &second));
    let one_side = gradients(&tables, 4, |x| pixpro.loss(map(&x[0]), map(&x[1]).detach(), &first, &second));
    close("value", &[one_side.0], &[both.0], 0.0, 0.0);
    close("gradient beside constant keys", &one_side.1[0], &both.1[0], 1e-15, 0.0);
    assert!(both.1.iter().all(|gradient| gradient.iter().any(|g| g.abs() > 1e-3)));
}

#[test]
fn pixpro_refuses() {
    for corners in [[0.0, 0.0, f64::NAN, 1.0], [0.0, f64::INFINITY, 1.0, 1.0]] {
        assert!(CropBox::new(corners).unwrap_err().to_string().contains("corner of a crop"));
    }
    assert!(CropBox::new([0.0, 0.3, 1.0, 0.3]).unwrap_err().to_string().contains("area of a crop 0"));
    for threshold in [0.0, -1.0, f64::NAN] {
        assert!(PixPro::new(threshold).unwrap_err().to_string().contains("distance threshold"));
        assert!(PixContrast::new(0.3, threshold).is_err());
        let whole = crop([0.0, 0.0, 1.0, 1.0]);
        assert!(same_place(whole, whole, [2, 2], threshold).is_err());
    }
    assert!(PixContrast::new(0.0, 0.7).unwrap_err().to_string().contains("temperature 0"));
}
