//! From the rows of files to a data set: numbering, checking, splitting.

use super::dataset::Dataset;
use super::error::DataError;
use super::interactions::Interactions;
use super::load::{Ids, LoadOptions, Numbered, Numbering, Part};
use super::note::Note;
use super::split::{Split, leave_one_out_marks, per_user_marks, random_marks};

/// A part with final numbers.
struct Built {
    interactions: Interactions,
    /// The row of the file that each pair comes from (its first occurrence).
    rows: Vec<u32>,
    /// Repeated rows: how many, the first of them, and the row it repeats.
    duplicates: Option<(usize, u32, u32)>,
}

/// Builds a data set from its train, validation and test part (of which the first is there).
pub(super) fn assemble(
    name: &str,
    parts: [Option<Part>; 3],
    users: Ids,
    items: Ids,
    numbering: Numbering,
    mut notes: Vec<Note>,
    options: &LoadOptions,
) -> Result<Dataset, DataError> {
    let users = users.number(numbering, options.strict, &mut notes)?;
    let items = items.number(numbering, options.strict, &mut notes)?;
    let [train_part, validation_part, test_part] = parts;
    let train_part = train_part.expect("the caller gives a training part");

    let mut build_part = |part: &Part| -> Result<Built, DataError> {
        let built = build(part, &users, &items);
        if part.below > 0 {
            notes.push(Note::BelowMinRating { file: part.file_name(), rows: part.below });
        }
        if let Some((dropped, row, first_row)) = built.duplicates {
            let line = part.lines[row as usize] as usize;
            if options.strict {
                return Err(DataError::DuplicatePair {
                    path: part.path.clone(),
                    line,
                    first_line: part.lines[first_row as usize] as usize,
                    user: users.label(users.of_code[part.users[row as usize] as usize]),
                    item: items.label(items.of_code[part.items[row as usize] as usize]),
                });
            }
            notes.push(Note::DuplicatePairs { file: part.file_name(), dropped, line });
        }
        Ok(built)
    };
    let train = build_part(&train_part)?;
    if train.interactions.is_empty() {
        let why = format!("min_rating = {} leaves out every row", options.min_rating.unwrap_or_default());
        return Err(DataError::NothingLeft { path: train_part.path, why });
    }
    let validation = validation_part.as_ref().map(&mut build_part).transpose()?;
    let test = test_part.as_ref().map(&mut build_part).transpose()?;
    if options.strict {
        refuse_users_without_items(&train_part, &train, test_part.as_ref().zip(test.as_ref()), &users)?;
    }

    let mut without_train = |part: &Part, held: Built| -> Result<Interactions, DataError> {
        let marks: Vec<bool> =
            held.interactions.pairs().map(|(user, item)| !train.interactions.contains(user, item)).collect();
        let shared = marks.iter().filter(|&&mark| !mark).count();
        if shared == 0 {
            return Ok(held.interactions);
        }
        if options.strict {
            let row = (0..marks.len()).filter(|&pair| !marks[pair]).map(|pair| held.rows[pair] as usize).min();
            let row = row.expect("a shared pair exists");
            return Err(DataError::TestPairInTrain {
                path: part.path.clone(),
                line: part.lines[row] as usize,
                user: users.label(users.of_code[part.users[row] as usize]),
                item: items.label(items.of_code[part.items[row] as usize]),
            });
        }
        notes.push(Note::HeldOutPairsInTrain { file: part.file_name(), count: shared });
        Ok(held.interactions.filtered(&marks))
    };
    let validation =
        validation_part.as_ref().zip(validation).map(|(part, built)| without_train(part, built)).transpose()?;
    let test = test_part.as_ref().zip(test).map(|(part, built)| without_train(part, built)).transpose()?;

    let time = options.wants_time(test.is_some()).then(|| time_ranks(&train_part, &train.rows));
    let (train, validation, test) = split(train.interactions, time, validation, test, options)?;
    note_the_untrained(&train, &test, &users, &items, &mut notes);
    Ok(Dataset {
        name: name.to_owned(),
        train,
        test,
        validation,
        user_ids: users.original,
        item_ids: items.original,
        notes,
    })
}

/// Sorts the rows of a part into a pattern and remembers which row each pair came from.
fn build(part: &Part, users: &Numbered, items: &Numbered) -> Built {
    let mut indptr = vec![0usize; users.count + 1];
    for &code in &part.users {
        indptr[users.of_code[code as usize] as usize + 1] += 1;
    }
    for user in 0..users.count {
        indptr[user + 1] += indptr[user];
    }
    let mut next = indptr.clone();
    let mut entries = vec![(0u32, 0u32); part.users.len()];
    for (row, (&user, &item)) in part.users.iter().zip(&part.items).enumerate() {
        let place = &mut next[users.of_code[user as usize] as usize];
        entries[*place] = (items.of_code[item as usize], row as u32);
        *place += 1;
    }
    let mut row_start = 0;
    let mut indices = Vec::with_capacity(entries.len());
    let mut rows = Vec::with_capacity(entries.len());
    let mut first_repeat: Option<(u32, u32)> = None;
    for user in 0..users.count {
        let row_end = indptr[user + 1];
        indptr[user] = indices.len();
        let own = &mut entries[row_start..row_end];
        own.sort_unstable();
        for (position, &(item, row)) in own.iter().enumerate() {
            if position > 0 && own[position - 1].0 == item {
                let kept = *rows.last().expect("the repeated pair came before");
                if first_repeat.is_none_or(|(first, _)| row < first) {
                    first_repeat = Some((row, kept));
                }
            } else {
                indices.push(item);
                rows.push(row);
            }
        }
        row_start = row_end;
    }
    indptr[users.count] = indices.len();
    let dropped = part.users.len() - indices.len();
    let duplicates = first_repeat.map(|(row, kept)| (dropped, row, kept));
    Built { interactions: Interactions::from_sorted_rows(items.count, indptr, indices), rows, duplicates }
}

/// The position of each pair in (time, place in the file) order; without times, the place in the file alone.
fn time_ranks(part: &Part, rows: &[u32]) -> Vec<u64> {
    if part.times.is_empty() {
        return rows.iter().map(|&row| u64::from(row)).collect();
    }
    let mut order: Vec<u32> = (0..part.times.len() as u32).collect();
    order.sort_by(|&a, &b| part.times[a as usize].total_cmp(&part.times[b as usize]));
    let mut rank = vec![0u64; order.len()];
    for (place, &row) in order.iter().enumerate() {
        rank[row as usize] = place as u64;
    }
    rows.iter().map(|&row| rank[row as usize]).collect()
}

/// The strict rule: everyone is trained.
fn refuse_users_without_items(
    train_part: &Part,
    train: &Built,
    test: Option<(&Part, &Built)>,
    users: &Numbered,
) -> Result<(), DataError> {
    let untrained = |user: u32| train.interactions.degree(user) == 0;
    for &(code, line) in &train_part.bare_users {
        let user = users.of_code[code as usize];
        if untrained(user) {
            let (path, user) = (train_part.path.clone(), users.label(user));
            return Err(DataError::UserWithoutItems { path, line: Some(line as usize), user });
        }
    }
    if let Some((part, _)) = test {
        for (row, &code) in part.users.iter().enumerate() {
            let user = users.of_code[code as usize];
            if untrained(user) {
                let (path, line) = (part.path.clone(), part.lines[row] as usize);
                return Err(DataError::TestUserAbsent { path, line, user: users.label(user) });
            }
        }
    }
    match (0..users.count as u32).find(|&user| untrained(user)) {
        Some(user) => {
            let (path, user) = (train_part.path.clone(), users.label(user));
            Err(DataError::UserWithoutItems { path, line: None, user })
        }
        None => Ok(()),
    }
}

/// Makes the parts that the files did not bring.
fn split(
    mut train: Interactions,
    mut time: Option<Vec<u64>>,
    mut validation: Option<Interactions>,
    mut test: Option<Interactions>,
    options: &LoadOptions,
) -> Result<(Interactions, Option<Interactions>, Interactions), DataError> {
    let mut hold_out = |train: &mut Interactions, split: Split, fraction: f64, seed: u64| {
        let marks = match split {
            Split::PerUser => per_user_marks(train, fraction, seed)?,
            Split::Random => random_marks(train, fraction, seed)?,
            Split::LeaveOneOut => leave_one_out_marks(train, time.as_deref(), seed),
            Split::None => vec![false; train.len()],
        };
        let (kept, held) = train.partition(&marks);
        *train = kept;
        if let Some(time) = &mut time {
            let mut mark = marks.iter();
            time.retain(|_| !mark.next().expect("a mark per pair"));
        }
        Ok::<_, DataError>(held)
    };
    if test.is_none() {
        test = Some(hold_out(&mut train, options.split, options.test_fraction, options.seed)?);
    }
    if validation.is_none() && options.validation_fraction > 0.0 && options.split != Split::None {
        let seed = options.seed.wrapping_add(1);
        validation = Some(hold_out(&mut train, options.split, options.validation_fraction, seed)?);
    }
    Ok((train, validation, test.expect("made above")))
}

/// Notes for whom nothing will be learned.
fn note_the_untrained(
    train: &Interactions,
    test: &Interactions,
    users: &Numbered,
    items: &Numbered,
    notes: &mut Vec<Note>,
) {
    let (user_degrees, item_degrees) = train.degrees();
    let zeros = |degrees: &[u32]| -> Vec<u32> {
        (0..degrees.len() as u32).filter(|&number| degrees[number as usize] == 0).collect()
    };
    let (cold_users, cold_items) = (zeros(&user_degrees), zeros(&item_degrees));
    if let Some(&first) = cold_users.first() {
        notes.push(Note::UsersWithoutTrainItems { count: cold_users.len(), first: users.label(first) });
    }
    if let Some(&first) = cold_items.first() {
        notes.push(Note::ItemsWithoutTrainUsers { count: cold_items.len(), first: items.label(first) });
    }
    let tested: Vec<u32> = cold_users.into_iter().filter(|&user| test.degree(user) > 0).collect();
    if let Some(&first) = tested.first() {
        notes.push(Note::TestUsersAbsentFromTrain { count: tested.len(), first: users.label(first) });
    }
}
