//! A report page: one HTML file that holds all it shows, and from which no request leaves.
//!
//! It knows nothing of a domain: it is given names, curves, vectors, labels, and a drawer that says how an item looks.
//!
//! ```
//! use contrastive_eval::ndarray::array;
//! use contrastive_eval::page::{Drawing, Page};
//!
//! let vectors = array![[1.0f32, 0.1], [0.9, 0.2], [-0.3, 1.0], [0.0, 0.8]];
//! let words = ["sun", "sunlight", "rain", "shower"];
//! let drawer = |item: usize| Drawing::Text(words[item].into());
//! let mut page = Page::new("Words");
//! page.curves("Loss", "step", &[("contrast", vec![[0.0, 2.3], [1.0, 1.9]])]);
//! page.map("Map", vectors.view(), &[0, 0, 1, 1], &["sun", "rain"], &drawer)?;
//! page.neighbours("Neighbours", vectors.view(), &[0, 2], 2, &drawer)?;
//! let html = page.render();
//! assert!(html.contains("sunlight") && !html.contains("http:"));
//! # Ok::<(), contrastive_eval::EvalError>(())
//! ```

mod chart;
mod draw;
mod plane;
mod run;

pub use draw::Drawing;
pub use plane::principal_plane;
pub use run::{PageError, RunCurves};

use crate::error::{EvalError, check_enough, check_length};
use crate::neighbours::Knn;
use crate::ranking::Score;
use crate::rows::{Rows, check_width};
use chart::{bars, lines, scatter};
use draw::escaped;
use ndarray::ArrayView2;
use std::io;
use std::path::Path;

/// Most items that a map shows; of more, evenly spaced ones.
pub const MAP_ITEMS: usize = 2000;

/// A curve: its name and its points `[x, y]`.
pub type Curve<'a> = (&'a str, Vec<[f64; 2]>);

/// A page in the making: sections in the order in which they are added.
#[derive(Clone, Debug)]
pub struct Page {
    title: String,
    body: String,
}

impl Page {
    /// An empty page.
    pub fn new(title: &str) -> Self {
        Self { title: title.into(), body: String::new() }
    }

    fn section(&mut self, heading: &str, html: &str) {
        self.body.push_str(&format!("<section><h2>{}</h2>\n{html}</section>\n", escaped(heading)));
    }

    /// A paragraph.
    pub fn text(&mut self, heading: &str, text: &str) {
        self.section(heading, &format!("<p>{}</p>", escaped(text)));
    }

    /// A table.
    pub fn table(&mut self, heading: &str, header: &[&str], rows: &[Vec<String>]) {
        let line = |cells: Vec<String>, tag: &str| {
            let cells: String = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell))).collect();
            format!("<tr>{cells}</tr>\n")
        };
        let head = line(header.iter().map(|cell| cell.to_string()).collect(), "th");
        let rows: String = rows.iter().map(|row| line(row.clone(), "td")).collect();
        self.section(heading, &format!("<table>{head}{rows}</table>"));
    }

    /// Curves in one chart. Points that are not finite are left out.
    pub fn curves(&mut self, heading: &str, along: &str, curves: &[Curve<'_>]) {
        let html = lines(along, curves);
        self.section(heading, &html);
    }

    /// Histograms of several lists of numbers over one axis, as shares of each list. Numbers that are not finite are left out.
    pub fn histograms(&mut self, heading: &str, lists: &[(&str, Vec<f64>)]) {
        let html = bars(lists);
        self.section(heading, &html);
    }

    /// How views of the same items, rows of `first` and `second`, lie: histograms of the cosines of pairs and of rows that are no pair, and
    /// alignment and uniformity (Wang and Isola 2020: the mean squared distance of pairs, and the logarithm of the mean of
    /// `exp(-2 |x - y|^2)` over rows of `first`).
    ///
    /// # Errors
    /// When there are fewer than two rows, shapes differ, or a number is not finite.
    pub fn pairs<T: Score>(
        &mut self,
        heading: &str,
        first: ArrayView2<'_, T>,
        second: ArrayView2<'_, T>,
    ) -> Result<(), EvalError> {
        check_length("second views", second.nrows(), "first views", first.nrows())?;
        check_enough("pairs of views", 2, first.nrows())?;
        let (mut a, mut b) = (Rows::new("first views", first)?, Rows::new("second views", second)?);
        check_width("second views", b.width, "first views", a.width)?;
        a.unit();
        b.unit();
        let n = first.nrows();
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        let positive: Vec<f64> = (0..n).map(|i| dot(a.row(i), b.row(i))).collect();
        // at most 20,000 pairs that do not belong together, evenly spaced
        let stride = (n * (n - 1)).div_ceil(20_000);
        let others = (0..n * (n - 1)).step_by(stride).map(|k| {
            let (i, j) = (k / (n - 1), k % (n - 1));
            (i, if j < i { j } else { j + 1 })
        });
        let others: Vec<(usize, usize)> = others.collect();
        let negative: Vec<f64> = others.iter().map(|(i, j)| dot(a.row(*i), b.row(*j))).collect();
        let alignment = positive.iter().map(|cosine| 2.0 - 2.0 * cosine).sum::<f64>() / n as f64;
        let kernel = others.iter().map(|(i, j)| (-2.0 * (2.0 - 2.0 * dot(a.row(*i), a.row(*j)))).exp());
        let uniformity = (kernel.sum::<f64>() / others.len() as f64).ln();
        let note =
            format!("<p>alignment {alignment:.4}, uniformity {uniformity:.4}, {n} pairs, {} others</p>", others.len());
        let html = note + &bars(&[("pairs", positive), ("others", negative)]);
        self.section(heading, &html);
        Ok(())
    }

    /// The vectors on their principal plane, a point for each, coloured by label (-1: grey), with its drawing where one points at it.
    ///
    /// # Errors
    /// When there are fewer than two vectors, a label is missing, or a number is not finite.
    pub fn map<T: Score>(
        &mut self,
        heading: &str,
        vectors: ArrayView2<'_, T>,
        labels: &[i32],
        classes: &[&str],
        drawer: &dyn Fn(usize) -> Drawing,
    ) -> Result<(), EvalError> {
        check_length("labels", labels.len(), "vectors", vectors.nrows())?;
        let plane = principal_plane(vectors)?;
        let stride = vectors.nrows().div_ceil(MAP_ITEMS);
        let shown: Vec<usize> = (0..vectors.nrows()).step_by(stride).collect();
        let points: Vec<[f64; 2]> = shown.iter().map(|&at| plane.points[at]).collect();
        let [p, q] = plane.shares.map(|share| 100.0 * share);
        let note = format!(
            "<p>{} of {} items on the plane of most variance, {p:.1} % and {q:.1} % of it</p>",
            shown.len(),
            vectors.nrows()
        );
        let drawings: Vec<String> = shown.iter().map(|&at| drawer(at).html()).collect();
        let labels: Vec<i32> = shown.iter().map(|&at| labels[at]).collect();
        self.section(heading, &(note + &scatter(&points, &labels, classes, &drawings)));
        Ok(())
    }

    /// Items and the `k` others that are most like them by cosine, with the cosines.
    ///
    /// # Errors
    /// When there are not more than `k` vectors, an item does not exist, or a number is not finite.
    pub fn neighbours<T: Score>(
        &mut self,
        heading: &str,
        vectors: ArrayView2<'_, T>,
        items: &[usize],
        k: usize,
        drawer: &dyn Fn(usize) -> Drawing,
    ) -> Result<(), EvalError> {
        let rows = vectors.nrows();
        if let Some(item) = items.iter().find(|item| **item >= rows) {
            return Err(EvalError::RowOutOfRange { what: "items", row: *item as u32, rows });
        }
        check_enough("vectors", k + 1, rows)?;
        let asked = vectors.select(ndarray::Axis(0), items);
        let votes = Knn::new(k + 1).classify(asked.view(), vectors, &vec![0; rows], 1)?;
        let found = votes.neighbours();
        let mut html = String::from("<table>");
        for (at, item) in items.iter().enumerate() {
            html.push_str(&format!("<tr><th>{}</th>", drawer(*item).html()));
            let near = found.indices[at * (k + 1)..(at + 1) * (k + 1)].iter().zip(&found.scores[at * (k + 1)..]);
            for (other, cosine) in near.filter(|(other, _)| **other as usize != *item).take(k) {
                html.push_str(&format!("<td>{}<br>{cosine:.2}</td>", drawer(*other as usize).html()));
            }
            html.push_str("</tr>\n");
        }
        self.section(heading, &(html + "</table>"));
        Ok(())
    }

    /// The page.
    pub fn render(&self) -> String {
        let title = escaped(&self.title);
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
             content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
             <title>{title}</title>\n<style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n{}<script>{SCRIPT}</script>\n\
             </body></html>\n",
            self.body
        )
    }

    /// Writes the page.
    ///
    /// # Errors
    /// Of the file system.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        std::fs::write(path, self.render())
    }
}

const STYLE: &str = "body{font:15px/1.4 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}\
section{margin:2em 0}svg{background:#fafafa;max-width:100%}svg text{font-size:12px;fill:#444}\
table{border-collapse:collapse}th,td{padding:3px 8px;text-align:left;vertical-align:top}\
img{image-rendering:pixelated;min-width:32px;vertical-align:middle}\
.shown{position:fixed;right:1em;top:1em;background:#fff;border:1px solid #999;padding:6px;display:none}\
.shown img{min-width:96px}.key{display:inline-block;margin-right:1em}.key i{display:inline-block;width:10px;height:10px;margin-right:4px}";

/// Shows the drawing of the point under the pointer.
const SCRIPT: &str = "document.querySelectorAll('.map').forEach(m=>{const d=m.querySelectorAll('template'),s=m.querySelector('.shown');\
m.querySelectorAll('circle').forEach((c,k)=>{c.addEventListener('mouseenter',()=>{s.replaceChildren(d[k].content.cloneNode(true));\
s.style.display='block'});c.addEventListener('mouseleave',()=>{s.style.display='none'})})})";
