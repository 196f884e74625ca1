//! Series of one or more channels, which may differ in length.

use super::error::{SeriesError, quoted};
use ndarray::{Array2, Array3, ArrayView2, s};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// One id for each series, with what the ids are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// For each series an index into `names`.
    pub ids: Vec<u32>,
    /// What they are called.
    pub names: Vec<String>,
}

impl Names {
    /// From one name for each series; ids in numeric order where all names are numbers, else in alphabetic order.
    pub fn new<S: AsRef<str>>(each: &[S]) -> Self {
        let mut names: Vec<&str> = each.iter().map(AsRef::as_ref).collect();
        names.sort_unstable();
        names.dedup();
        let numbers: Option<Vec<f64>> = names.iter().map(|n| n.parse().ok().filter(|v: &f64| v.is_finite())).collect();
        if let Some(numbers) = numbers {
            let mut order: Vec<usize> = (0..names.len()).collect();
            order.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b]));
            names = order.into_iter().map(|i| names[i]).collect();
        }
        let number: BTreeMap<&str, u32> = (0..).zip(&names).map(|(id, name)| (*name, id)).collect();
        let ids = each.iter().map(|name| number[name.as_ref()]).collect();
        Self { ids, names: names.into_iter().map(str::to_string).collect() }
    }

    /// The same ids by other names' numbering.
    ///
    /// # Errors
    /// When a name is not among them.
    pub fn numbered_as(&self, names: &[String], what: &str) -> Result<Self, SeriesError> {
        let find = |id: &u32| {
            let name = &self.names[*id as usize];
            let found = names.iter().position(|n| n == name).map(|at| at as u32);
            found.ok_or_else(|| SeriesError::series(format!("{what} {} has no training series", quoted(name))))
        };
        Ok(Self { ids: self.ids.iter().map(find).collect::<Result<_, _>>()?, names: names.to_vec() })
    }

    fn select(&self, rows: &[usize]) -> Self {
        Self { ids: rows.iter().map(|&row| self.ids[row]).collect(), names: self.names.clone() }
    }
}

/// Series of the same channels, `[length, channels]` each, as `f32` with NaN where a value is missing; never infinite. Labels, persons,
/// recordings and times go with them where they are known.
///
/// ```
/// use contrastive_timeseries::data::Series;
/// use ndarray::array;
///
/// let series = Series::new(vec![array![[1.0, 2.0], [3.0, f32::NAN]], array![[5.0, 6.0]]])?;
/// assert_eq!((series.len(), series.channels(), series.longest()), (2, 2, 2));
/// assert!(series.padded()[[1, 1, 0]].is_nan());
/// # Ok::<(), contrastive_timeseries::data::SeriesError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Series {
    channels: usize,
    each: Vec<Array2<f32>>,
    labels: Option<Names>,
    persons: Option<Names>,
    recordings: Option<Names>,
    /// Seconds since 1970 of every step.
    times: Option<Vec<Vec<i64>>>,
    channel_names: Vec<String>,
}

impl Series {
    /// From arrays `[length, channels]`.
    ///
    /// # Errors
    /// When there are none, one is empty, they differ in channels, or a value is infinite.
    pub fn new(each: Vec<Array2<f32>>) -> Result<Self, SeriesError> {
        let channels = each.first().map_or(0, Array2::ncols);
        if channels == 0 {
            return Err(SeriesError::series("no series, or series without channels; at least one is needed"));
        }
        for (i, one) in each.iter().enumerate() {
            if one.ncols() != channels {
                let found = one.ncols();
                return Err(SeriesError::series(format!("series {i} has {found} channels, series 0 has {channels}")));
            }
            if one.nrows() == 0 {
                return Err(SeriesError::series(format!("series {i} has no time steps")));
            }
            if let Some(((step, channel), value)) = one.indexed_iter().find(|(_, v)| v.is_infinite()) {
                let what = format!("{value}; values must be finite, or NaN where one is missing");
                return Err(SeriesError::Value { series: i, step, channel, what });
            }
        }
        let channel_names = (0..channels).map(|c| format!("channel {c}")).collect();
        Ok(Self { channels, each, labels: None, persons: None, recordings: None, times: None, channel_names })
    }

    /// From an array `[series, length, channels]`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn from_array(values: &Array3<f32>) -> Result<Self, SeriesError> {
        Self::new(values.outer_iter().map(|one| one.to_owned()).collect())
    }

    fn checked(&self, what: &str, names: &Names) -> Result<(), SeriesError> {
        if names.ids.len() != self.len() {
            let (found, series) = (names.ids.len(), self.len());
            return Err(SeriesError::series(format!("{found} {what} for {series} series; there must be one for each")));
        }
        match names.ids.iter().position(|&id| id as usize >= names.names.len()) {
            Some(row) => {
                let (id, count) = (names.ids[row], names.names.len());
                Err(SeriesError::series(format!("{what} of series {row} is {id}, and there are {count} names")))
            }
            None => Ok(()),
        }
    }

    /// With a class for each series.
    ///
    /// # Errors
    /// When there is not one for each, or an id has no name. As the two that follow.
    pub fn with_labels(mut self, labels: Names) -> Result<Self, SeriesError> {
        self.checked("labels", &labels)?;
        self.labels = Some(labels);
        Ok(self)
    }

    /// With the person that each series is of.
    ///
    /// # Errors
    /// As [`with_labels`](Self::with_labels).
    pub fn with_persons(mut self, persons: Names) -> Result<Self, SeriesError> {
        self.checked("persons", &persons)?;
        self.persons = Some(persons);
        Ok(self)
    }

    /// With the recording that each series is from.
    ///
    /// # Errors
    /// As [`with_labels`](Self::with_labels).
    pub fn with_recordings(mut self, recordings: Names) -> Result<Self, SeriesError> {
        self.checked("recordings", &recordings)?;
        self.recordings = Some(recordings);
        Ok(self)
    }

    /// With the time of every step, in seconds since 1970.
    ///
    /// # Errors
    /// When there is not one for each step, or times go back or repeat.
    pub fn with_times(mut self, times: Vec<Vec<i64>>) -> Result<Self, SeriesError> {
        let lengths = |each: &[Vec<i64>]| each.iter().map(Vec::len).collect::<Vec<_>>();
        if lengths(&times) != self.each.iter().map(Array2::nrows).collect::<Vec<_>>() {
            return Err(SeriesError::series("times that are not one for each step of each series"));
        }
        for (series, times) in times.iter().enumerate() {
            if let Some(step) = times.windows(2).position(|pair| pair[1] <= pair[0]) {
                let step = step + 1;
                return Err(SeriesError::series(format!(
                    "series {series}: the time of step {step} is not after the one before"
                )));
            }
        }
        self.times = Some(times);
        Ok(self)
    }

    /// With names of the channels.
    ///
    /// # Errors
    /// When there is not one for each channel.
    pub fn with_channel_names(mut self, names: Vec<String>) -> Result<Self, SeriesError> {
        if names.len() != self.channels {
            return Err(SeriesError::series(format!("{} names for {} channels", names.len(), self.channels)));
        }
        self.channel_names = names;
        Ok(self)
    }

    /// Labels numbered as in another set, that of training.
    ///
    /// # Errors
    /// When a class is absent there, or either has no labels.
    pub fn labelled_as(self, training: &Self) -> Result<Self, SeriesError> {
        let labels = self.labels()?.numbered_as(&training.labels()?.names, "class")?;
        self.with_labels(labels)
    }

    /// Number of series.
    pub fn len(&self) -> usize {
        self.each.len()
    }

    /// Never: there is at least one.
    pub fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// Channels of every series.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Time steps of the longest series.
    pub fn longest(&self) -> usize {
        self.each.iter().map(Array2::nrows).max().unwrap_or(0)
    }

    /// Time steps of the shortest series.
    pub fn shortest(&self) -> usize {
        self.each.iter().map(Array2::nrows).min().unwrap_or(0)
    }

    /// Series `i`, `[length, channels]`.
    pub fn of(&self, i: usize) -> ArrayView2<'_, f32> {
        self.each[i].view()
    }

    /// All series.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ArrayView2<'_, f32>> {
        self.each.iter().map(|one| one.view())
    }

    pub(crate) fn each_mut(&mut self) -> impl Iterator<Item = &mut Array2<f32>> {
        self.each.iter_mut()
    }

    /// Names of the channels.
    pub fn channel_names(&self) -> &[String] {
        &self.channel_names
    }

    /// The labels.
    ///
    /// # Errors
    /// When there are none.
    pub fn labels(&self) -> Result<&Names, SeriesError> {
        self.labels.as_ref().ok_or_else(|| SeriesError::series("the series have no labels"))
    }

    /// The persons.
    ///
    /// # Errors
    /// When there are none.
    pub fn persons(&self) -> Result<&Names, SeriesError> {
        self.persons.as_ref().ok_or_else(|| SeriesError::series("the series have no person ids"))
    }

    /// The recordings.
    ///
    /// # Errors
    /// When there are none.
    pub fn recordings(&self) -> Result<&Names, SeriesError> {
        self.recordings.as_ref().ok_or_else(|| SeriesError::series("the series have no recording ids"))
    }

    /// The times of all steps, in seconds since 1970.
    ///
    /// # Errors
    /// When there are none.
    pub fn times(&self) -> Result<&[Vec<i64>], SeriesError> {
        self.times.as_deref().ok_or_else(|| SeriesError::series("the series have no times"))
    }

    /// These series, in this order; a row may be there more than once.
    ///
    /// # Errors
    /// When there are none, or a row is out of range.
    pub fn select(&self, rows: &[usize]) -> Result<Self, SeriesError> {
        if let Some(row) = rows.iter().find(|&&row| row >= self.len()) {
            return Err(SeriesError::series(format!("series {row} is out of range; there are {}", self.len())));
        }
        let mut chosen = Self::new(rows.iter().map(|&row| self.each[row].clone()).collect())?;
        let names = |names: &Option<Names>| names.as_ref().map(|names| names.select(rows));
        (chosen.labels, chosen.persons, chosen.recordings) =
            (names(&self.labels), names(&self.persons), names(&self.recordings));
        chosen.times = self.times.as_ref().map(|times| rows.iter().map(|&row| times[row].clone()).collect());
        chosen.channel_names.clone_from(&self.channel_names);
        Ok(chosen)
    }

    /// The same with labels numbered by the classes that there are.
    ///
    /// # Errors
    /// When there are no labels.
    pub fn relabelled(self) -> Result<Self, SeriesError> {
        let labels = self.labels()?;
        let each: Vec<&str> = labels.ids.iter().map(|&id| labels.names[id as usize].as_str()).collect();
        let labels = Names::new(&each);
        self.with_labels(labels)
    }

    /// A random share of the series of every class, at least one of each: what a classifier sees of labels.
    ///
    /// # Errors
    /// When there are no labels, or the share is not above 0 and at most 1.
    pub fn few_labelled(&self, share: f64, seed: u64) -> Result<Self, SeriesError> {
        super::error::check("labels", "share", share, share > 0.0 && share <= 1.0, "above 0 and at most 1")?;
        let labels = self.labels()?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut rows = Vec::new();
        for class in 0..labels.names.len() as u32 {
            let mut own: Vec<usize> = (0..self.len()).filter(|&i| labels.ids[i] == class).collect();
            let count = ((own.len() as f64 * share).ceil() as usize).min(own.len());
            for k in 0..count {
                let other = rng.random_range(k..own.len());
                own.swap(k, other);
            }
            rows.extend(&own[..count]);
        }
        rows.sort_unstable();
        self.select(&rows)
    }

    /// The steps `range` of every series, times included.
    ///
    /// # Errors
    /// When the range is empty or reaches beyond a series.
    pub fn steps(&self, range: std::ops::Range<usize>) -> Result<Self, SeriesError> {
        if range.is_empty() || range.end > self.shortest() {
            let (longest, shortest) = (self.longest(), self.shortest());
            return Err(SeriesError::series(format!("steps {range:?} of series of {shortest} to {longest} steps")));
        }
        let mut cut = self.clone();
        cut.each.iter_mut().for_each(|one| *one = one.slice(s![range.clone(), ..]).to_owned());
        if let Some(times) = &mut cut.times {
            times.iter_mut().for_each(|times| *times = times[range.clone()].to_vec());
        }
        Ok(cut)
    }

    /// One channel, by its name.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn channel(&self, name: &str) -> Result<Self, SeriesError> {
        let at = self.channel_names.iter().position(|own| own == name).ok_or_else(|| {
            SeriesError::series(format!("no channel {}; there are {}", quoted(name), self.channel_names.join(", ")))
        })?;
        let each = self.each.iter().map(|one| one.slice(s![.., at..=at]).to_owned()).collect();
        let mut chosen = Self::new(each)?;
        (chosen.labels, chosen.persons) = (self.labels.clone(), self.persons.clone());
        (chosen.recordings, chosen.times) = (self.recordings.clone(), self.times.clone());
        chosen.with_channel_names(vec![name.to_string()])
    }

    /// With further channels beside the ones there are.
    ///
    /// # Errors
    /// When they are not of the same series and lengths.
    pub fn beside(&self, more: &[Array2<f32>], names: &[String]) -> Result<Self, SeriesError> {
        let fits = more.len() == self.len() && more.iter().zip(&self.each).all(|(m, e)| m.nrows() == e.nrows());
        if !fits {
            return Err(SeriesError::series("further channels that are not of the same series and lengths"));
        }
        let joined = self.each.iter().zip(more).map(|(one, more)| {
            ndarray::concatenate(ndarray::Axis(1), &[one.view(), more.view()]).expect("equal lengths")
        });
        let mut whole = Self::new(joined.collect())?;
        (whole.labels, whole.persons) = (self.labels.clone(), self.persons.clone());
        (whole.recordings, whole.times) = (self.recordings.clone(), self.times.clone());
        let names = self.channel_names.iter().chain(names).cloned().collect();
        whole.with_channel_names(names)
    }

    /// All series as one array `[series, longest, channels]`, NaN behind those that are shorter.
    pub fn padded(&self) -> Array3<f32> {
        let mut all = Array3::from_elem((self.len(), self.longest(), self.channels), f32::NAN);
        for (i, one) in self.each.iter().enumerate() {
            all.slice_mut(s![i, ..one.nrows(), ..]).assign(one);
        }
        all
    }

    /// Fails at the first missing value.
    ///
    /// # Errors
    /// [`SeriesError::Value`] naming it and the method that knows none.
    pub fn without_missing(&self, method: &str) -> Result<(), SeriesError> {
        for (series, one) in self.each.iter().enumerate() {
            if let Some(((step, channel), _)) = one.indexed_iter().find(|(_, v)| v.is_nan()) {
                let what = format!("missing; {method} knows no missing values");
                return Err(SeriesError::Value { series, step, channel, what });
            }
        }
        Ok(())
    }

    /// The length that all series have.
    ///
    /// # Errors
    /// When they differ.
    pub fn equal_length(&self, of: &str) -> Result<usize, SeriesError> {
        let (short, long) = (self.shortest(), self.longest());
        if short == long {
            return Ok(long);
        }
        Err(SeriesError::series(format!(
            "{of} needs series of one length; there are {short} to {long} steps: cut windows"
        )))
    }
}
