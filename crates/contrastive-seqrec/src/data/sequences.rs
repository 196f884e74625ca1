//! Lists of items, one for each user, in time order.

use super::error::SequenceError;
use super::note::Note;
use std::collections::HashMap;
use std::sync::Arc;

/// What users took, in order: one list for each user, all in one array.
///
/// Items are numbered 1 to V; 0 is padding, and V + 1 the mask token of methods that have one. The ids of the file are kept as labels.
///
/// ```
/// use contrastive_seqrec::data::Sequences;
///
/// let sequences = Sequences::from_lists("mine", &[vec![1, 2, 3], vec![2, 3]], 4)?;
/// assert_eq!((sequences.num_users(), sequences.num_items(), sequences.num_events()), (2, 4, 5));
/// assert_eq!(sequences.list(1), [2, 3]);
/// # Ok::<(), contrastive_seqrec::data::SequenceError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Sequences {
    name: String,
    events: Vec<u32>,
    offsets: Vec<usize>,
    users: Vec<String>,
    items: Arc<Items>,
    notes: Vec<Note>,
}

/// The labels of items 1 to V.
#[derive(Clone, Debug, PartialEq)]
struct Items {
    labels: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Items {
    fn new(labels: Vec<String>) -> Arc<Self> {
        let numbers = labels.iter().enumerate().map(|(at, label)| (label.clone(), at as u32 + 1)).collect();
        Arc::new(Self { labels, numbers })
    }
}

/// An event of a file.
pub(super) struct Event {
    pub user: String,
    pub item: String,
    pub time: Option<f64>,
}

impl Sequences {
    /// Lists in memory of items 1 to `items`, labelled by their numbers; users by their place.
    ///
    /// # Errors
    /// When there are no lists, one is empty, or an item is 0 or above `items`.
    pub fn from_lists<L: AsRef<[u32]>>(name: &str, lists: &[L], items: usize) -> Result<Self, SequenceError> {
        let largest = u64::from(u32::MAX - 2);
        if items == 0 || items as u64 > largest {
            return Err(SequenceError::setting("items", items, "1 to 4294967293"));
        }
        if lists.is_empty() {
            return Err(SequenceError::Empty { origin: name.into(), expected: "at least one list of items" });
        }
        let (mut events, mut offsets) = (Vec::new(), vec![0]);
        for (user, list) in lists.iter().enumerate() {
            let list = list.as_ref();
            let place = || format!("{name}, list {user}");
            if list.is_empty() {
                return Err(SequenceError::EmptyHistory { place: place(), user: user.to_string() });
            }
            if let Some(item) = list.iter().find(|item| **item == 0 || **item as usize > items) {
                let (text, largest) = (item.to_string(), items as u64);
                return Err(SequenceError::BadItem { place: place(), user: user.to_string(), text, largest });
            }
            events.extend_from_slice(list);
            offsets.push(events.len());
        }
        let users = (0..lists.len()).map(|user| user.to_string()).collect();
        let items = Items::new((1..=items).map(|item| item.to_string()).collect());
        Ok(Self { name: name.into(), events, offsets, users, items, notes: Vec::new() })
    }

    /// Events as they come from a file: users and items are numbered by their ids where all are whole numbers, else as they first come;
    /// each list is sorted by time, equal times in the order given.
    pub(super) fn from_events(name: &str, events: Vec<Event>) -> Self {
        let users = numbered(events.iter().map(|event| event.user.as_str()));
        let items = numbered(events.iter().map(|event| event.item.as_str()));
        let mut lists: Vec<Vec<(f64, u32)>> = vec![Vec::new(); users.0.len()];
        let timed = events.iter().all(|event| event.time.is_some());
        for event in &events {
            let time = event.time.filter(|_| timed).unwrap_or(0.0);
            lists[users.1[event.user.as_str()] as usize].push((time, items.1[event.item.as_str()] + 1));
        }
        let mut notes = Vec::new();
        if timed {
            lists.iter_mut().for_each(|list| list.sort_by(|a, b| a.0.total_cmp(&b.0)));
            let tied = |list: &&Vec<(f64, u32)>| list.len() > 1 && list[list.len() - 2].0 == list[list.len() - 1].0;
            let tied = lists.iter().filter(tied).count();
            if tied > 0 {
                notes.push(Note::TiedLastEvents { users: tied, of: lists.len() });
            }
        } else {
            notes.push(Note::OrderOfFile);
        }
        let (mut flat, mut offsets) = (Vec::with_capacity(events.len()), vec![0]);
        for list in lists {
            flat.extend(list.iter().map(|event| event.1));
            offsets.push(flat.len());
        }
        Self { name: name.into(), events: flat, offsets, users: users.0, items: Items::new(items.0), notes }
    }

    /// The name, for tables.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of lists.
    pub fn num_users(&self) -> usize {
        self.users.len()
    }

    /// V: the largest number of an item.
    pub fn num_items(&self) -> usize {
        self.items.labels.len()
    }

    /// Number of events in all lists.
    pub fn num_events(&self) -> usize {
        self.events.len()
    }

    /// The items of a user, first one first.
    ///
    /// # Panics
    /// When there is no such user.
    pub fn list(&self, user: usize) -> &[u32] {
        &self.events[self.offsets[user]..self.offsets[user + 1]]
    }

    /// All lists.
    pub fn lists(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        self.offsets.windows(2).map(|ends| &self.events[ends[0]..ends[1]])
    }

    /// The id of a user in the file.
    ///
    /// # Panics
    /// When there is no such user.
    pub fn user_label(&self, user: usize) -> &str {
        &self.users[user]
    }

    /// The id of item `item`, 1 to V, in the file.
    ///
    /// # Panics
    /// When there is no such item.
    pub fn item_label(&self, item: u32) -> &str {
        &self.items.labels[item as usize - 1]
    }

    /// The labels of items 1 to V.
    pub fn item_labels(&self) -> &[String] {
        &self.items.labels
    }

    /// The number of the item with this id in the file.
    pub fn item(&self, label: &str) -> Option<u32> {
        self.items.numbers.get(label).copied()
    }

    /// What was found when these were read or cut.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    pub(super) fn with_note(mut self, note: Option<Note>) -> Self {
        self.notes.extend(note);
        self
    }

    /// The k-core: users and items with fewer than `k` events are left out, again and again until none is left that has fewer. The rest
    /// is numbered anew, in the same order.
    ///
    /// # Errors
    /// When `k` is 0, or nothing is left.
    pub fn k_core(&self, k: usize) -> Result<Self, SequenceError> {
        if k == 0 {
            return Err(SequenceError::setting("core", 0, "at least 1"));
        }
        let mut kept_users = vec![true; self.num_users()];
        let mut kept_items = vec![true; self.num_items() + 1];
        loop {
            let mut counts = vec![0usize; self.num_items() + 1];
            let mut sizes = vec![0usize; self.num_users()];
            for (user, list) in self.lists().enumerate().filter(|(user, _)| kept_users[*user]) {
                for &item in list.iter().filter(|item| kept_items[**item as usize]) {
                    counts[item as usize] += 1;
                    sizes[user] += 1;
                }
            }
            let few = |kept: &mut [bool], counts: &[usize]| {
                let gone = kept.iter_mut().zip(counts).filter(|(kept, count)| **kept && **count < k);
                gone.map(|(kept, _)| *kept = false).count()
            };
            if few(&mut kept_items, &counts) + few(&mut kept_users, &sizes) == 0 {
                break;
            }
        }
        kept_items[0] = false;
        let mut number = vec![0u32; kept_items.len()];
        let mut labels = Vec::new();
        for item in (1..kept_items.len()).filter(|item| kept_items[*item]) {
            labels.push(self.item_label(item as u32).to_string());
            number[item] = labels.len() as u32;
        }
        let (mut events, mut offsets, mut users) = (Vec::new(), vec![0], Vec::new());
        for user in (0..self.num_users()).filter(|user| kept_users[*user]) {
            events.extend(self.list(user).iter().map(|item| number[*item as usize]).filter(|item| *item > 0));
            offsets.push(events.len());
            users.push(self.users[user].clone());
        }
        let (u, v, e) = (self.num_users(), self.num_items(), self.num_events());
        if users.is_empty() {
            let what = format!("the {k}-core");
            return Err(SequenceError::NothingLeft { what, users: u, items: v, events: e });
        }
        let note = Note::Core { k, users: u - users.len(), items: v - labels.len(), events: e - events.len() };
        let name = format!("{}, {k}-core", self.name);
        let cut = Self { name, events, offsets, users, items: Items::new(labels), notes: self.notes.clone() };
        Ok(cut.with_note(Some(note)))
    }
}

/// Labels without repetition and their numbers from 0: by value where all are whole numbers, else as they first come.
fn numbered<'a>(labels: impl Iterator<Item = &'a str>) -> (Vec<String>, HashMap<&'a str, u32>) {
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut order = Vec::new();
    for label in labels {
        numbers.entry(label).or_insert_with(|| {
            order.push(label);
            order.len() as u32 - 1
        });
    }
    let values: Option<Vec<u64>> = order.iter().map(|label| label.parse().ok()).collect();
    if let Some(values) = values {
        let mut sorted: Vec<(u64, &str)> = values.into_iter().zip(order.iter().copied()).collect();
        sorted.sort_unstable();
        for (number, (_, label)) in sorted.iter().enumerate() {
            numbers.insert(label, number as u32);
            order[number] = label;
        }
    }
    (order.into_iter().map(str::to_string).collect(), numbers)
}
