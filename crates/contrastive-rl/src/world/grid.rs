//! A small grid seen through noise: which part of an observation does the agent control?

use crate::error::{RlError, setting};
use crate::method::ucb::normal;
use ndarray::{Array2, ArrayView1};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What disturbs an observation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Noise {
    /// Nothing.
    None,
    /// Signs of this amplitude, drawn anew at every step.
    Iid(f64),
    /// Signs of this amplitude, drawn at the start of an episode; each flips with probability 0.02 a step, whatever the agent does.
    Exogenous(f64),
}

impl Noise {
    fn amplitude(self) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Iid(a) | Self::Exogenous(a) => a,
        }
    }
}

/// How a state is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sight {
    /// The one-hot cell beside 16 coordinates of noise, turned by an orthogonal matrix: [`ExoGrid::WIDTH`] numbers.
    #[default]
    Turned,
    /// A grey picture of [`PIXELS`] x [`PIXELS`], row by row: the agent's cell is bright, and noise is 16 dots of 4 x 4 pixels, as bright as the
    /// amplitude says. Exogenous dots drift, each by a velocity of its own, and leave one border to enter by the opposite one.
    Picture,
}

/// Width and height of the grid.
pub const SIDE: usize = 5;
/// Cells of the grid: the states.
pub const CELLS: usize = SIDE * SIDE;
/// Width and height of a picture of the grid: 10 pixels a cell.
pub const PIXELS: usize = 10 * SIDE;
/// Coordinates of noise, and dots of a picture.
pub const NOISE_WIDTH: usize = 16;
/// Moves: up, down, left, right.
pub const MOVES: usize = 4;

/// The grid world of the study of video pre-training (ExoGrid): 5 x 5 cells, four moves, the border blocks. An observation is the one-hot
/// cell beside 16 coordinates of noise, plus Gaussian noise of deviation 0.02, turned by one fixed random orthogonal matrix, so that
/// no coordinate is special.
#[derive(Clone, Debug)]
pub struct ExoGrid {
    noise: Noise,
    sight: Sight,
    mixing: Array2<f64>,
}

/// What an episode carries from step to step.
#[derive(Clone, Debug, PartialEq)]
pub struct GridState {
    /// The cell.
    pub cell: usize,
    /// The signs of the noise, if it is exogenous.
    pub signs: Vec<bool>,
    /// Row, column, and what is added to both at each step, of the dots of a picture, in pixels; empty where states are not pictures.
    pub dots: Vec<[f64; 4]>,
}

impl ExoGrid {
    /// Width of an observation that is no picture.
    pub const WIDTH: usize = CELLS + NOISE_WIDTH;

    /// # Errors
    /// When the amplitude is negative, infinite or NaN.
    pub fn new(noise: Noise, seed: u64) -> Result<Self, RlError> {
        let a = noise.amplitude();
        setting("grid", "noise amplitude", a, a >= 0.0 && a.is_finite(), "a finite number, 0 or more")?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(1);
        Ok(Self { noise, sight: Sight::Turned, mixing: orthogonal(Self::WIDTH, &mut rng) })
    }

    /// The same world, shown in another way.
    #[must_use]
    pub fn with_sight(mut self, sight: Sight) -> Self {
        self.sight = sight;
        self
    }

    /// Numbers of an observation.
    pub fn width(&self) -> usize {
        match self.sight {
            Sight::Turned => Self::WIDTH,
            Sight::Picture => PIXELS * PIXELS,
        }
    }

    /// The kind of noise.
    pub fn noise(&self) -> Noise {
        self.noise
    }

    /// An episode that begins in a cell.
    pub fn begin(&self, cell: usize, rng: &mut ChaCha8Rng) -> GridState {
        let signs = (0..NOISE_WIDTH).map(|_| rng.random_bool(0.5)).collect();
        let dots = match self.sight {
            Sight::Turned => Vec::new(),
            Sight::Picture => (0..NOISE_WIDTH).map(|_| random_dot(rng)).collect(),
        };
        GridState { cell, signs, dots }
    }

    /// The cell after a move.
    pub fn neighbour(cell: usize, action: usize) -> usize {
        let (row, column) = (cell / SIDE, cell % SIDE);
        match action {
            0 if row > 0 => cell - SIDE,
            1 if row + 1 < SIDE => cell + SIDE,
            2 if column > 0 => cell - 1,
            3 if column + 1 < SIDE => cell + 1,
            _ => cell,
        }
    }

    /// Moves, and lets the noise go on by itself.
    pub fn step(&self, state: &mut GridState, action: usize, rng: &mut ChaCha8Rng) {
        state.cell = Self::neighbour(state.cell, action);
        for sign in &mut state.signs {
            *sign ^= rng.random_bool(0.02);
        }
        for [row, column, down, right] in &mut state.dots {
            *row = (*row + *down).rem_euclid(PIXELS as f64);
            *column = (*column + *right).rem_euclid(PIXELS as f64);
        }
    }

    /// The observation of a state, [`width`](Self::width) numbers.
    pub fn observe(&self, state: &GridState, rng: &mut ChaCha8Rng) -> Vec<f32> {
        if self.sight == Sight::Picture {
            return self.draw(state, rng);
        }
        let a = self.noise.amplitude();
        let mut plain = vec![0.0; Self::WIDTH];
        plain[state.cell] = 1.0;
        for (x, sign) in plain[CELLS..].iter_mut().zip(&state.signs) {
            let up = match self.noise {
                Noise::None => continue,
                Noise::Iid(_) => rng.random_bool(0.5),
                Noise::Exogenous(_) => *sign,
            };
            *x = if up { a } else { -a };
        }
        plain.iter_mut().for_each(|x| *x += 0.02 * normal(rng));
        self.mixing.dot(&ArrayView1::from(&plain)).iter().map(|x| *x as f32).collect()
    }

    fn draw(&self, state: &GridState, rng: &mut ChaCha8Rng) -> Vec<f32> {
        let mut picture: Vec<f32> = (0..PIXELS * PIXELS).map(|_| 0.02 * normal(rng) as f32).collect();
        let mut fill = |top: usize, left: usize, side: usize, value: f32| {
            for (row, column) in (0..side).flat_map(|row| (0..side).map(move |column| (row, column))) {
                picture[(top + row) % PIXELS * PIXELS + (left + column) % PIXELS] += value;
            }
        };
        fill(state.cell / SIDE * 10, state.cell % SIDE * 10, 10, 1.0);
        for at in 0..NOISE_WIDTH {
            let [row, column, ..] = match self.noise {
                Noise::None => break,
                Noise::Iid(_) => random_dot(rng),
                Noise::Exogenous(_) => state.dots[at],
            };
            fill(row as usize, column as usize, 4, self.noise.amplitude() as f32);
        }
        picture
    }
}

/// A place in the picture, and a velocity of at most two pixels a step.
fn random_dot(rng: &mut ChaCha8Rng) -> [f64; 4] {
    let mut place = || rng.random_range(0.0..PIXELS as f64);
    let [row, column] = [place(), place()];
    let mut velocity = || rng.random_range(-2.0..2.0);
    [row, column, velocity(), velocity()]
}

/// A random orthogonal matrix: Gram and Schmidt on normal columns.
fn orthogonal(n: usize, rng: &mut ChaCha8Rng) -> Array2<f64> {
    let mut rows = Array2::from_shape_simple_fn((n, n), || normal(rng));
    for at in 0..n {
        // twice, so that rounding does not add up
        for _ in 0..2 {
            for before in 0..at {
                let (earlier, mut later) = rows.multi_slice_mut((ndarray::s![before, ..], ndarray::s![at, ..]));
                let along = earlier.dot(&later);
                later.scaled_add(-along, &earlier);
            }
        }
        let length = rows.row(at).dot(&rows.row(at)).sqrt();
        rows.row_mut(at).mapv_inplace(|x| x / length);
    }
    rows
}

/// Who moves while a video is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walker {
    /// Every move alike.
    Uniform,
    /// Right or down, whatever happens.
    RightAndDown,
}

/// Recorded episodes.
#[derive(Clone, Debug)]
pub struct Videos {
    /// `[frames, width]`.
    pub frames: Array2<f32>,
    /// The state of each frame; for evaluation only.
    pub states: Vec<u32>,
    /// The move made after each frame; of the last frame of an episode the value means nothing. Empty where no moves are known.
    pub actions: Vec<u32>,
    /// Where each episode begins, and the end of the last.
    pub offsets: Vec<usize>,
}

impl Videos {
    /// Checked parts.
    ///
    /// # Errors
    /// When the numbers of frames differ, the offsets do not rise from 0 to the number of frames, or a value is not finite.
    pub fn new(frames: Array2<f32>, states: Vec<u32>, actions: Vec<u32>, offsets: Vec<usize>) -> Result<Self, RlError> {
        let n = frames.nrows();
        let rising = offsets.first() == Some(&0) && offsets.last() == Some(&n) && offsets.is_sorted();
        let problem = if states.len() != n {
            format!("{} states for {n} frames", states.len())
        } else if !actions.is_empty() && actions.len() != n {
            format!("{} actions for {n} frames: give one for each, or none", actions.len())
        } else if !rising {
            format!("episodes must begin at 0, rise, and end at the number of frames, {n}")
        } else if let Some(at) = frames.rows().into_iter().position(|row| row.iter().any(|x| !x.is_finite())) {
            format!("frame {at} has a value that is NaN or infinite")
        } else {
            return Ok(Self { frames, states, actions, offsets });
        };
        Err(RlError::Data(problem))
    }

    /// Episodes from lists of frames, all of one width.
    ///
    /// # Errors
    /// When widths differ (the frame is named), or as [`Self::new`].
    pub fn from_episodes(episodes: &[Vec<Vec<f32>>]) -> Result<Self, RlError> {
        let width = episodes.iter().flatten().map(Vec::len).next().unwrap_or(0);
        let mut offsets = vec![0];
        let mut values = Vec::new();
        for (e, frame_list) in episodes.iter().enumerate() {
            for (at, frame) in frame_list.iter().enumerate() {
                if frame.len() != width {
                    let found = frame.len();
                    return Err(RlError::Data(format!(
                        "frame {at} of episode {e} has {found} numbers, the first {width}"
                    )));
                }
                values.extend_from_slice(frame);
            }
            offsets.push(offsets[e] + frame_list.len());
        }
        let n = offsets[episodes.len()];
        let frames = Array2::from_shape_vec((n, width), values).expect("the widths were checked");
        Self::new(frames, vec![0; n], Vec::new(), offsets)
    }

    /// Episodes of `moves` moves (one more frame) from uniform cells.
    pub fn record(world: &ExoGrid, episodes: usize, moves: usize, walker: Walker, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(2);
        let (mut values, mut states, mut actions, mut offsets) = (Vec::new(), Vec::new(), Vec::new(), vec![0]);
        for _ in 0..episodes {
            let cell = rng.random_range(0..CELLS);
            let mut state = world.begin(cell, &mut rng);
            for _ in 0..=moves {
                values.extend(world.observe(&state, &mut rng));
                let action = match walker {
                    Walker::Uniform => rng.random_range(0..MOVES),
                    Walker::RightAndDown => 1 + 2 * rng.random_range(0..2usize),
                };
                states.push(state.cell as u32);
                actions.push(action as u32);
                world.step(&mut state, action, &mut rng);
            }
            offsets.push(states.len());
        }
        let frames = Array2::from_shape_vec((states.len(), world.width()), values).expect("whole frames");
        Self { frames, states, actions, offsets }
    }

    /// Number of episodes.
    pub fn episodes(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Width of a frame.
    pub fn width(&self) -> usize {
        self.frames.ncols()
    }
}
