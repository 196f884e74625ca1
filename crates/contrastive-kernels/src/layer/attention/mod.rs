//! Attention over ragged lists, forward and backward, without a table of weights.
//!
//! A task is a list. For each head it takes the queries in panels of a vector line, so that a lane is a query: logits, weights and
//! their gradients of a panel are `[keys, line]`, the softmax runs down the panel in all lanes at once, and every product is a
//! register block of [`product`](crate::product). The backward pass makes the weights again from queries and keys. What is in memory
//! beside inputs and gradients is a panel a thread: keys x 16 or 32 numbers.

mod panel;

use super::dropout::Mask;
use crate::product::{Panels, Side};
use crate::vector::Element;
use panel::Panel;
use rayon::prelude::*;

/// Rows of one width in a table that may be wider: row `i` is `values[start + i * step..][..width]`.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a, T> {
    /// The table.
    pub values: &'a [T],
    /// From one row to the next.
    pub step: usize,
    /// Where the first begins.
    pub start: usize,
}

impl<'a, T> Rows<'a, T> {
    /// A table of its own.
    pub fn whole(values: &'a [T], width: usize) -> Self {
        Self { values, step: width, start: 0 }
    }

    fn from(&self, row: usize, column: usize) -> &'a [T] {
        &self.values[self.start + row * self.step + column..]
    }
}

/// Who attends to whom, and how.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Where the lists of queries begin, and the end.
    pub queries: &'a [usize],
    /// Where the lists of keys begin, and the end.
    pub keys: &'a [usize],
    /// How many of the first keys of its list each query sees; all without.
    pub visible: Option<&'a [u32]>,
    /// Heads; they divide the width.
    pub heads: usize,
    /// Width of queries, keys and values, all heads together.
    pub width: usize,
    /// Factor of the logits.
    pub scale: f64,
    /// Which weights are dropped: row `query * heads + head`, element `key` of the list.
    pub mask: Option<Mask>,
}

/// Where gradients go, as [`Rows`].
struct Target<T> {
    start: *mut T,
    step: usize,
}

// SAFETY: tasks write to rows of their own list only, which no other task reads or writes.
unsafe impl<T: Send> Sync for Target<T> {}

impl<T> Target<T> {
    fn at(&self, row: usize, column: usize) -> *mut T {
        self.start.wrapping_add(row * self.step + column)
    }
}

/// The gradients of queries, keys and values: tables of their own, or the thirds of one.
#[derive(Clone, Debug, PartialEq)]
pub enum AttentionGradients<T> {
    /// `[queries, width]`, `[keys, width]`, `[keys, width]`.
    Three([Vec<T>; 3]),
    /// `[n, 3 width]`.
    One(Vec<T>),
}

impl Attention<'_> {
    fn head_width(&self) -> usize {
        self.width / self.heads
    }

    fn lists(&self) -> usize {
        self.queries.len() - 1
    }

    fn check<T>(&self, [queries, keys, values]: [Rows<T>; 3]) {
        assert!(self.heads > 0 && self.width.is_multiple_of(self.heads), "{} heads of {}", self.heads, self.width);
        assert_eq!(self.queries.len(), self.keys.len(), "attention: lists of queries and of keys, and one");
        for (offsets, rows) in [(self.queries, queries), (self.keys, keys), (self.keys, values)] {
            assert!(offsets[0] == 0 && offsets.is_sorted(), "attention: offsets of lists");
            let count = offsets[offsets.len() - 1];
            let end = if count == 0 { 0 } else { rows.start + (count - 1) * rows.step + self.width };
            assert!(rows.values.len() >= end, "attention: {} numbers for {count} rows", rows.values.len());
        }
        if let Some(visible) = self.visible {
            assert_eq!(visible.len(), self.queries[self.lists()], "attention: queries, and how many keys they see");
            for list in 0..self.lists() {
                let keys = (self.keys[list + 1] - self.keys[list]) as u32;
                let fine = visible[self.queries[list]..self.queries[list + 1]].iter().all(|&seen| seen <= keys);
                assert!(fine, "attention: a query of list {list} sees more than its {keys} keys");
            }
        }
    }

    /// The panels of a list's queries: first query, how many, and the most keys that one of them sees.
    fn panels(&self, list: usize, line: usize) -> impl Iterator<Item = (usize, usize, usize)> + '_ {
        let (end, keys) = (self.queries[list + 1], self.keys[list + 1] - self.keys[list]);
        (self.queries[list]..end).step_by(line).map(move |first| {
            let count = line.min(end - first);
            let most = self
                .visible
                .map_or(keys, |visible| visible[first..first + count].iter().max().map_or(0, |&most| most as usize));
            (first, count, most)
        })
    }
}

/// Scratch of a thread.
struct Scratch<T> {
    /// Queries and the gradient of the output, transposed; a gradient of queries.
    transposed: [Vec<T>; 3],
    /// Queries and the gradient of the output as lines of columns.
    lines: [Vec<T>; 2],
    /// Weights and their gradients.
    panels: [Vec<T>; 2],
}

impl<T: Element> Scratch<T> {
    fn new(head: usize, line: usize, longest: usize) -> Self {
        let zeros = |count| vec![T::zero(); count];
        let columns = head.div_ceil(line) * line;
        Self {
            transposed: [0; 3].map(|_| zeros(head * line)),
            lines: [0; 2].map(|_| zeros(columns * line)),
            panels: [0; 2].map(|_| zeros(longest * line)),
        }
    }
}

fn longest(offsets: &[usize]) -> usize {
    offsets.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
}

pub(super) fn forward<T: Element>(problem: Attention, [q, k, v]: [Rows<T>; 3], out: &mut [T]) {
    problem.check([q, k, v]);
    let (head, line) = (problem.head_width(), Panels::new::<T>(1).line());
    assert_eq!(out.len(), problem.queries[problem.lists()] * problem.width, "attention: the output");
    let target = Target { start: out.as_mut_ptr(), step: problem.width };
    let scratch = || Scratch::new(head, line, longest(problem.keys));
    (0..problem.lists()).into_par_iter().for_each_init(scratch, |scratch, list| {
        let first_key = problem.keys[list];
        for h in 0..problem.heads {
            let column = h * head;
            let (keys, values) = (k.from(first_key, column), v.from(first_key, column));
            for (first, count, most) in problem.panels(list, line) {
                let [transposed, result, _] = &mut scratch.transposed;
                let weights = &mut scratch.panels[0][..most * line];
                transpose(q.from(first, column), q.step, [count, head], line, T::of(problem.scale), transposed);
                Side::across(keys, k.step, most, head).times(transposed, weights);
                let panel = Panel { problem: &problem, first, count, head: h, line };
                let inverse = panel.softmax(weights, None);
                if most > 0 {
                    Side::down(values, v.step, head, most).times(weights, result);
                } else {
                    result.fill(T::zero());
                }
                for (l, inverse) in inverse.iter().take(count).enumerate() {
                    let to = target.at(first + l, column);
                    for t in 0..head {
                        // SAFETY: the output has these columns of the query's row, which is of this task's list.
                        unsafe { *to.add(t) = result[t * line + l] * *inverse };
                    }
                }
            }
        }
    });
}

/// A line of columns at a time: `out[block][lane]` are the columns of a row, from rows that lie `step` apart.
fn lines<T: Element>(from: &[T], step: usize, [count, head]: [usize; 2], line: usize, factor: T, out: &mut [T]) {
    for (block, out) in out.chunks_exact_mut(line * line).enumerate() {
        let columns = line.min(head - block * line);
        if count < line || columns < line {
            out.fill(T::zero());
        }
        for l in 0..count {
            let row = &from[l * step + block * line..][..columns];
            out[l * line..][..columns].iter_mut().zip(row).for_each(|(to, &x)| *to = x * factor);
        }
    }
}

/// Rows that lie `step` apart as lanes: `out[t][l] = factor * row l, column t`, zeros in the lanes that are left.
fn transpose<T: Element>(from: &[T], step: usize, [count, head]: [usize; 2], line: usize, factor: T, out: &mut [T]) {
    if count < line {
        out.fill(T::zero());
    }
    for l in 0..count {
        for (t, &x) in from[l * step..][..head].iter().enumerate() {
            out[t * line + l] = x * factor;
        }
    }
}

pub(super) fn backward<T: Element>(
    problem: Attention,
    tables: [Rows<T>; 3],
    gradient: &[T],
    packed: bool,
) -> AttentionGradients<T> {
    problem.check(tables);
    let (queries, keys) = (problem.queries[problem.lists()], problem.keys[problem.lists()]);
    let width = problem.width;
    assert_eq!(gradient.len(), queries * width, "attention: the gradient of the output");
    let target = |start: *mut T, step| Target { start, step };
    if packed {
        assert_eq!(problem.queries, problem.keys, "attention within one table: lists of queries and of keys");
        let mut all = vec![T::zero(); queries * 3 * width];
        let start = all.as_mut_ptr();
        let targets = [0, 1, 2].map(|k| target(start.wrapping_add(k * width), 3 * width));
        pull(problem, tables, gradient, targets);
        return AttentionGradients::One(all);
    }
    let mut three = [queries, keys, keys].map(|rows| vec![T::zero(); rows * width]);
    let targets = three.each_mut().map(|table| target(table.as_mut_ptr(), width));
    pull(problem, tables, gradient, targets);
    AttentionGradients::Three(three)
}

/// Adds the gradients to what is at the targets.
fn pull<T: Element>(problem: Attention, [q, k, v]: [Rows<T>; 3], gradient: &[T], targets: [Target<T>; 3]) {
    let (head, line, width) = (problem.head_width(), Panels::new::<T>(1).line(), problem.width);
    let [of_queries, of_keys, of_values] = &targets;
    let scale = T::of(problem.scale);
    let scratch = || Scratch::new(head, line, longest(problem.keys));
    (0..problem.lists()).into_par_iter().for_each_init(scratch, |scratch, list| {
        let first_key = problem.keys[list];
        for h in 0..problem.heads {
            let column = h * head;
            let (keys, values) = (k.from(first_key, column), v.from(first_key, column));
            for (first, count, most) in problem.panels(list, line) {
                if most == 0 {
                    continue;
                }
                let [asked, pulled, result] = &mut scratch.transposed;
                let [query_lines, pull_lines] = &mut scratch.lines;
                let [weights, of_weights] = scratch.panels.each_mut().map(|panel| &mut panel[..most * line]);
                let (rows, of_rows) = (q.from(first, column), &gradient[first * width + column..]);
                transpose(rows, q.step, [count, head], line, scale, asked);
                transpose(of_rows, width, [count, head], line, T::one(), pulled);
                Side::across(keys, k.step, most, head).times(asked, weights);
                Side::across(values, v.step, most, head).times(pulled, of_weights);
                let panel = Panel { problem: &problem, first, count, head: h, line };
                panel.softmax(weights, Some(of_weights));
                lines(rows, q.step, [count, head], line, scale, query_lines);
                lines(of_rows, width, [count, head], line, T::one(), pull_lines);
                for (table, lines, target) in
                    [(&*of_weights, &*query_lines, of_keys), (&*weights, &*pull_lines, of_values)]
                {
                    for (block, lines) in lines.chunks_exact(line * line).enumerate() {
                        let columns = line.min(head - block * line);
                        let to = target.at(first_key, column + block * line);
                        // SAFETY: the target has these columns of all keys of this task's list.
                        unsafe { Side::across(table, line, most, line).add_times(lines, to, target.step, columns) };
                    }
                }
                Side::down(keys, k.step, head, most).times(of_weights, result);
                for l in 0..count {
                    let to = of_queries.at(first + l, column);
                    for t in 0..head {
                        // SAFETY: the target has these columns of the query's row, which is of this task's list.
                        unsafe { *to.add(t) += result[t * line + l] * scale };
                    }
                }
            }
        }
    });
}

#[cfg(test)]
mod tests;
