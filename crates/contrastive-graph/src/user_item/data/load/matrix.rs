//! Pickled sparse matrices, users x items (`trnMat.pkl` and `tstMat.pkl` of LightGCL and its kin).

use contrastive_data::{Pickle, Place};

use super::super::error::DataError;
use super::part::Sink;

/// Every entry that is not 0 is an interaction; all rows and columns are users and items.
pub(super) fn pickled(bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), DataError> {
    sink.check_rating_column(false, "a sparse matrix")?;
    let path = sink.part.path.clone();
    let matrix = Pickle::parse(&path, bytes)?.matrix()?;
    for (ids, count) in [(&mut *sink.users, matrix.rows), (&mut *sink.items, matrix.columns)] {
        let limit = contrastive_data::Limits::things(bytes.len());
        if count as u64 > limit {
            return Err(matrix.origin.limit("a side of the matrix", count as u64, limit).into());
        }
        let known = ids.len();
        if known > 0 && known != count {
            let origin = contrastive_data::Origin { path: Some(path), place: Place::Whole };
            let found = format!("a matrix of {} x {}", matrix.rows, matrix.columns);
            return Err(origin.malformed(found, format!("{known} {}s, as in the training part", ids.side)).into());
        }
        for number in known..count {
            ids.code(number.to_string().as_bytes(), &path, 1)?;
        }
    }
    for (entry, &(user, item, value)) in matrix.entries.iter().enumerate() {
        if value != 0.0 {
            sink.pair(user, item, entry + 1);
        }
    }
    Ok(())
}
