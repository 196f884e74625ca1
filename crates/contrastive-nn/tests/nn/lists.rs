//! Ragged lists and passes.

use crate::common::{constant, noise, values};
use burn::tensor::DType;
use contrastive_nn::layer::{dropout, first_rows, last_rows, max_rows, mean_rows};
use contrastive_nn::{Pass, Ragged, RaggedError};

#[test]
fn offsets_are_checked() {
    assert_eq!(Ragged::from_offsets(vec![]), Err(RaggedError::Start(None)));
    assert_eq!(Ragged::from_offsets(vec![1, 2]), Err(RaggedError::Start(Some(1))));
    let wrong = RaggedError::Descending { at: 2, value: 1, before: 2 };
    assert_eq!(Ragged::from_offsets(vec![0, 2, 1]), Err(wrong));
    assert_eq!(Ragged::from_offsets(vec![0, 2, 2]).unwrap(), Ragged::from_lengths(&[2, 0]));
}

#[test]
fn packing_undoes_padding() {
    let lists = Ragged::from_lengths(&[2, 0, 3]);
    let x = noise(5 * 4, 1);
    let packed = constant(x.clone(), [5, 4], DType::F64);
    let padded = lists.pad(packed, 3);
    let flat = values(padded.clone());
    assert_eq!((&flat[..8], &flat[24..]), (&x[..8], &x[8..]));
    assert!(flat[8..24].iter().all(|x| *x == 0.0));
    assert_eq!(values(lists.pack(padded)), x);
}

#[test]
fn pools_are_what_they_are_called() {
    let lists = Ragged::from_lengths(&[2, 1]);
    let x = constant(vec![1.0, -4.0, 3.0, -2.0, 7.0, 8.0], [3, 2], DType::F64);
    assert_eq!(values(first_rows(x.clone(), &lists)), [1.0, -4.0, 7.0, 8.0]);
    assert_eq!(values(last_rows(x.clone(), &lists)), [3.0, -2.0, 7.0, 8.0]);
    assert_eq!(values(mean_rows(x.clone(), &lists)), [2.0, -3.0, 7.0, 8.0]);
    assert_eq!(values(max_rows(x, &lists)), [3.0, -2.0, 7.0, 8.0]);
}

#[test]
#[should_panic(expected = "list 1 of 2 is empty")]
fn an_empty_list_has_no_first_row() {
    Ragged::from_lengths(&[1, 0]).first_rows();
}

#[test]
fn masks_repeat_with_their_pass_and_differ_from_layer_to_layer() {
    let x = || constant(vec![1.0; 1000], [10, 100], DType::F64);
    let once = |pass: &mut Pass| values(dropout(x(), 0.5, pass));
    let mut pass = Pass::training(1, 2);
    let (first, second) = (once(&mut pass), once(&mut pass));
    assert_ne!(first, second);
    let mut again = Pass::training(1, 2);
    assert_eq!((once(&mut again), once(&mut again)), (first.clone(), second));
    assert_ne!(once(&mut Pass::training(2, 2)), first);
    assert_ne!(once(&mut Pass::training(1, 3)), first);
    assert_eq!(once(&mut Pass::evaluation()), vec![1.0; 1000]);
}

#[test]
fn masks_do_not_depend_on_the_number_of_threads() {
    let n = 200_000;
    let x = noise(n, 3);
    let masked = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            values(dropout(constant(x.clone(), [n / 100, 100], DType::F32), 0.3, &mut Pass::training(1, 1)))
        })
    };
    assert_eq!(masked(1), masked(3));
}
