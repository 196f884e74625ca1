//! The tables of `docs/bad-inputs.md`.

/// What a cell says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Want {
    /// `finite`: value and gradients are finite.
    Finite,
    /// `0`: value and gradients are 0.
    Zero,
    /// `0 but for rounding`.
    Rounding,
    /// `a number`: finite, and not `0`.
    Number,
    /// `4`: this value, and finite gradients.
    Value(f64),
    /// `no pull`: finite, and the rows in question have no gradient.
    NoPull,
    /// `left out`: the row's value is 0, and the value is the mean of the others.
    LeftOut,
    /// `counts as 0`: the row's value is 0, and the value is the mean of all.
    CountsAsZero,
    /// `no part`: the row's value is 0; the value is no mean of rows.
    NoPart,
    /// `its negatives`: the row has a value.
    Part,
    /// `NaN`: the value is NaN or infinite.
    NoNumber,
    /// `any number`: `finite` or `NaN`.
    Any,
    /// `error: part of the message`.
    Error(String),
    /// `panic: part of the message`.
    Panic(String),
}

const DOCUMENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/bad-inputs.md"));

/// A cell up to a semicolon, behind which more may be said.
fn want(cell: &str) -> Want {
    let said = cell.split("; ").next().unwrap_or_default().trim();
    match said {
        "finite" => Want::Finite,
        "0" => Want::Zero,
        "0 but for rounding" => Want::Rounding,
        "a number" => Want::Number,
        "no pull" => Want::NoPull,
        "left out" => Want::LeftOut,
        "counts as 0" => Want::CountsAsZero,
        "no part" => Want::NoPart,
        "its negatives" => Want::Part,
        "NaN" => Want::NoNumber,
        "any number" => Want::Any,
        _ => match (said.strip_prefix("error: "), said.strip_prefix("panic: "), said.parse()) {
            (Some(part), _, _) => Want::Error(part.trim_matches('`').to_string()),
            (_, Some(part), _) => Want::Panic(part.trim_matches('`').to_string()),
            (_, _, Ok(value)) => Want::Value(value),
            _ => panic!("the document has a cell {cell:?}"),
        },
    }
}

/// (objective, column, what is documented) of all tables whose first column is `objective`.
pub(crate) fn documented() -> Vec<(String, String, Want)> {
    let cells = |line: &str| -> Vec<String> {
        let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
        inner.split('|').map(|cell| cell.trim().to_string()).collect()
    };
    let (mut found, mut columns) = (Vec::new(), None);
    for line in DOCUMENT.lines() {
        if !line.starts_with('|') {
            columns = None;
            continue;
        }
        let cells = cells(line);
        if cells[0] == "objective" {
            columns = Some(cells);
        } else if let Some(columns) = columns.as_ref().filter(|_| !cells[0].starts_with('-')) {
            assert_eq!(cells.len(), columns.len(), "the cells of {line:?}");
            for name in cells[0].split("; ") {
                let row = columns.iter().zip(&cells).skip(1).filter(|(column, _)| *column != "further");
                found.extend(row.map(|(column, cell)| (name.to_string(), column.clone(), want(cell))));
            }
        }
    }
    for (at, (name, column, _)) in found.iter().enumerate() {
        let again = found[..at].iter().any(|(n, c, _)| (n, c) == (name, column));
        assert!(!again, "{name}, {column} stands in the document twice");
    }
    found
}
