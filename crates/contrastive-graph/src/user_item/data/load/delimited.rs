//! Files with columns: ratings, RecBole atomic files, separated values.

use std::path::Path;
use std::sync::LazyLock;

use contrastive_data::{
    Atomic, Column, Doubt, FileError, FileNote, Origin, Row, Table, TableOptions, date_seconds, file_name, finite,
};

use super::super::error::DataError;
use super::super::note::Note;
use super::part::Sink;
use super::{Format, LoadOptions};

const USER_NAMES: &[&str] =
    &["user", "userid", "uid", "reviewerid", "customerid", "customer", "users", "visitorid", "sessionid", "useridx"];
const ITEM_NAMES: &[&str] = &[
    "item",
    "itemid",
    "iid",
    "movie",
    "movieid",
    "product",
    "productid",
    "parentasin",
    "asin",
    "artistid",
    "bookid",
    "businessid",
    "items",
    "gmapid",
    "isbn",
    "trackid",
    "songid",
    "gameid",
    "poiid",
    "venueid",
    "locationid",
    "articleid",
    "newsid",
    "recipeid",
    "itemidx",
];
const RATING_NAMES: &[&str] = &["rating", "ratings", "score", "stars", "weight", "overall"];
const TIME_NAMES: &[&str] = &["timestamp", "time", "unixtime", "unixreviewtime", "datetime", "date"];

/// All of them: what makes a header one that needs no note.
static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| [USER_NAMES, ITEM_NAMES, RATING_NAMES, TIME_NAMES].concat());

/// Whole numbers from here on in a third column are times, not ratings: seconds after March 1973.
const FIRST_TIME: f64 = 1e8;

/// Rows that are looked at to find out what a column without a name holds.
const LOOKED_AT: usize = 200;

/// The columns to read, as positions.
struct Positions {
    user: usize,
    item: usize,
    rating: Option<usize>,
    time: Option<usize>,
}

/// How a table of interactions is opened.
fn table_options(format: Format, options: &LoadOptions) -> TableOptions<'static> {
    let columns = [&options.columns.user, &options.columns.item, &options.columns.rating, &options.columns.time];
    let by_name = columns.iter().any(|column| matches!(column, Some(Column::Name(_))));
    let by_position = columns.iter().any(|column| matches!(column, Some(Column::Index(_))));
    let doubt = if by_position || format == Format::Ratings { Doubt::Data } else { Doubt::Header };
    let header = if by_name { Some(true) } else { options.header };
    TableOptions { delimiter: options.delimiter, header, doubt, names: &NAMES, ..TableOptions::default() }
}

/// Opens text with columns as the options say.
pub(super) fn table<'a>(
    path: &Path,
    bytes: &'a [u8],
    format: Format,
    options: &LoadOptions,
) -> Result<Table<'a>, FileError> {
    Table::parse(path, bytes, &table_options(format, options))
}

/// RecBole: tab-separated, no quotes, header of `name:type`.
pub(super) fn recbole(
    bytes: &[u8],
    options: &LoadOptions,
    wants_time: bool,
    notes: &mut Vec<Note>,
    sink: &mut Sink<'_>,
) -> Result<(), DataError> {
    let table = Atomic::parse(&sink.part.path, bytes)?.table;
    rows(&table, options, wants_time, notes, sink)
}

/// Ratings and separated values; whether there was a header.
pub(super) fn delimited(
    bytes: &[u8],
    format: Format,
    options: &LoadOptions,
    wants_time: bool,
    notes: &mut Vec<Note>,
    sink: &mut Sink<'_>,
) -> Result<bool, DataError> {
    let table = table(&sink.part.path.clone(), bytes, format, options)?;
    let explicit = options.columns != super::Columns::default();
    let wide = format == Format::Ratings && table.header().is_none() && table.width() > 4 && !explicit;
    if table.width() == 1 || wide {
        let mut row = Row::default();
        table.rows().read(&mut row)?;
        let expected = match format {
            Format::Ratings => "2 to 4 (user, item, rating, time), or more when LoadOptions::columns says which",
            _ => "at least 2 (user, item)",
        };
        let (origin, found) = (Origin::line(&sink.part.path, row.line.max(1)), table.width());
        return Err(
            FileError::ColumnCount { origin, found, expected: expected.into(), text: row.excerpt().into() }.into()
        );
    }
    rows(&table, options, wants_time, notes, sink)?;
    Ok(table.header().is_some())
}

/// Passes the rows of a table on.
fn rows(
    table: &Table<'_>,
    options: &LoadOptions,
    wants_time: bool,
    notes: &mut Vec<Note>,
    sink: &mut Sink<'_>,
) -> Result<(), DataError> {
    notes.extend(table.notes().iter().cloned().map(Note::File));
    if table.width() == 0 {
        return Ok(());
    }
    let positions = match table.header() {
        Some(_) => by_name(table, options, wants_time)?,
        None => by_place(table, options, wants_time, notes)?,
    };
    let found = table.header().map_or_else(|| format!("{} columns", table.width()), contrastive_data::listed);
    sink.check_rating_column(positions.rating.is_some(), &found)?;
    let (mut rows, mut row) = (table.rows(), Row::default());
    while rows.read(&mut row)? {
        let field = |at: usize| &row.fields[at][..];
        let (rating, time) = (positions.rating.map(field), positions.time.map(field));
        sink.row(row.line, field(positions.user), field(positions.item), rating, time)?;
    }
    notes.extend(rows.note().map(Note::File));
    Ok(())
}

/// Columns by the names in the header.
fn by_name(table: &Table<'_>, options: &LoadOptions, wants_time: bool) -> Result<Positions, FileError> {
    let columns = &options.columns;
    let missing = |what: &str, usual: &[&str]| {
        let usual = usual.iter().take(3).copied().collect::<Vec<_>>().join(", ");
        let allowed = format!(
            "a column named {usual} or the like, or another named by LoadOptions::columns (--{what}-column), or by its position \
             where the first row is data"
        );
        table.missing(what, &allowed)
    };
    let find = |column: &Option<Column>, what: &str, usual: &[&str]| match column {
        None => Ok(table.find(usual)),
        Some(column) => table.position(column, what).map(Some),
    };
    let user = find(&columns.user, "user", USER_NAMES)?.ok_or_else(|| missing("user", USER_NAMES))?;
    let item = find(&columns.item, "item", ITEM_NAMES)?.ok_or_else(|| missing("item", ITEM_NAMES))?;
    let rating = find(&columns.rating, "rating", RATING_NAMES)?;
    let time = if wants_time || columns.time.is_some() { find(&columns.time, "time", TIME_NAMES)? } else { None };
    Ok(Positions { user, item, rating, time })
}

/// What the first rows of a column hold.
#[derive(PartialEq, Eq)]
enum Holds {
    Numbers,
    Times,
    Others,
}

fn holds(table: &Table<'_>, column: usize) -> Result<Holds, FileError> {
    let (mut rows, mut row, mut read) = (table.rows(), Row::default(), 0);
    let (mut numbers, mut times, mut late) = (0, 0, 0);
    while read < LOOKED_AT && rows.read(&mut row)? {
        let field = &row.fields[column];
        if field.is_empty() {
            continue;
        }
        read += 1;
        times += usize::from(date_seconds(field).is_some());
        let number = finite(field);
        numbers += usize::from(number.is_some());
        late += usize::from(number.is_some_and(|number| number >= FIRST_TIME && number.fract() == 0.0));
    }
    Ok(match read {
        0 => Holds::Numbers,
        _ if times == read || late == read => Holds::Times,
        _ if numbers == read => Holds::Numbers,
        _ => Holds::Others,
    })
}

/// Columns by their usual places: user, item, rating, time. A third column that holds dates, or whole numbers that can only be
/// times, is the time.
fn by_place(
    table: &Table<'_>,
    options: &LoadOptions,
    wants_time: bool,
    notes: &mut Vec<Note>,
) -> Result<Positions, FileError> {
    let (columns, width) = (&options.columns, table.width());
    let given =
        |column: &Option<Column>, what: &str| column.as_ref().map(|column| table.position(column, what)).transpose();
    let user = given(&columns.user, "user")?.unwrap_or(0);
    let item = given(&columns.item, "item")?.unwrap_or(1);
    let (mut rating, mut time) = (given(&columns.rating, "rating")?, given(&columns.time, "time")?);
    let taken = |at: usize, other: Option<usize>| [Some(user), Some(item), other].contains(&Some(at));
    let says = |taken: String| Note::File(FileNote::Layout { file: file_name(table.path()), taken });
    if rating.is_none() && width > 2 && !taken(2, time) {
        match holds(table, 2)? {
            Holds::Times if time.is_none() && (width == 3 || holds(table, 3)? != Holds::Times) => {
                time = Some(2);
                notes.push(says("the third column was taken for times, not for ratings".into()));
            }
            Holds::Others if options.min_rating.is_none() => {
                notes.push(says("the third column holds neither ratings nor times, and was not read".into()));
            }
            _ => rating = Some(2),
        }
    }
    if time.is_none() && width > 3 && !taken(3, rating) {
        time = Some(3);
    }
    let time = time.filter(|_| wants_time || columns.time.is_some());
    Ok(Positions { user, item, rating, time })
}
