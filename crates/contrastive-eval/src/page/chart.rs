//! Charts as SVG.

use super::Curve;
use super::draw::escaped;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 60.0;
const BOTTOM: f64 = 30.0;

const COLOURS: [&str; 10] =
    ["#3366aa", "#dd7733", "#33996b", "#bb4466", "#7755bb", "#998833", "#44aacc", "#884422", "#666666", "#cc66aa"];

fn colour(k: i32) -> &'static str {
    if k < 0 { "#bbbbbb" } else { COLOURS[k as usize % COLOURS.len()] }
}

fn key<S: AsRef<str>>(names: &[S]) -> String {
    let one = |(k, name): (usize, &S)| {
        format!(
            "<span class=\"key\"><i style=\"background:{}\"></i>{}</span>",
            colour(k as i32),
            escaped(name.as_ref())
        )
    };
    format!("<p>{}</p>", names.iter().enumerate().map(one).collect::<String>())
}

/// The smallest and the largest of the finite values, apart from each other.
fn range(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let finite = values.filter(|x| x.is_finite());
    let [low, high] = finite.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], x| [low.min(x), high.max(x)]);
    match low <= high {
        false => [0.0, 1.0],
        true if low == high => [low - 0.5, high + 0.5],
        true => [low, high],
    }
}

fn place(value: f64, [low, high]: [f64; 2], [from, to]: [f64; 2]) -> f64 {
    from + (value - low) / (high - low) * (to - from)
}

/// A number with four digits that count.
fn shown(value: f64) -> String {
    let text = format!("{value:.4}");
    if value != 0.0 && value.abs() < 1e-3 {
        format!("{value:.2e}")
    } else {
        text.trim_end_matches('0').trim_end_matches('.').into()
    }
}

/// The frame of a chart with the ends of its axes.
fn framed(inside: &str, along: &str, x: [f64; 2], y: [f64; 2]) -> String {
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - 10.0);
    let [x0, x1, y0, y1] = [x[0], x[1], y[0], y[1]].map(shown);
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\"><path d=\"M{LEFT},10V{bottom}H{right}\" fill=\"none\" stroke=\"#999\"/>\
         {inside}<text x=\"{LEFT}\" y=\"{}\">{x0}</text><text x=\"{right}\" y=\"{0}\" text-anchor=\"end\">{x1}</text>\
         <text x=\"{}\" y=\"{0}\" text-anchor=\"middle\">{}</text><text x=\"55\" y=\"{bottom}\" text-anchor=\"end\">{y0}</text>\
         <text x=\"55\" y=\"20\" text-anchor=\"end\">{y1}</text></svg>",
        HEIGHT - 10.0,
        (LEFT + right) / 2.0,
        escaped(along)
    )
}

pub(super) fn lines(along: &str, curves: &[Curve<'_>]) -> String {
    let all = || curves.iter().flat_map(|(_, points)| points.iter()).filter(|p| p.iter().all(|x| x.is_finite()));
    let (x, y) = (range(all().map(|p| p[0])), range(all().map(|p| p[1])));
    let mut inside = String::new();
    for (k, (_, points)) in curves.iter().enumerate() {
        let points = points.iter().filter(|p| p.iter().all(|x| x.is_finite())).map(|p| {
            let (px, py) = (place(p[0], x, [LEFT, WIDTH - 10.0]), place(p[1], y, [HEIGHT - BOTTOM, 10.0]));
            format!("{px:.1},{py:.1} ")
        });
        let points: String = points.collect();
        inside.push_str(&format!(
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\"/>",
            colour(k as i32)
        ));
    }
    key(&curves.iter().map(|(name, _)| *name).collect::<Vec<_>>()) + &framed(&inside, along, x, y)
}

pub(super) fn bars(lists: &[(&str, Vec<f64>)]) -> String {
    const BINS: usize = 40;
    let x = range(lists.iter().flat_map(|(_, list)| list.iter().copied()));
    let shares: Vec<Vec<f64>> = lists
        .iter()
        .map(|(_, list)| {
            let mut counts = vec![0.0; BINS];
            let finite: Vec<f64> = list.iter().copied().filter(|value| value.is_finite()).collect();
            for value in &finite {
                counts[(place(*value, x, [0.0, BINS as f64]) as usize).min(BINS - 1)] += 1.0 / finite.len() as f64;
            }
            counts
        })
        .collect();
    let y = [0.0, range(shares.iter().flatten().copied())[1].max(1e-9)];
    let mut inside = String::new();
    for (k, shares) in shares.iter().enumerate() {
        for (bin, share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            let left = place(bin as f64, [0.0, BINS as f64], [LEFT, WIDTH - 10.0]);
            let top = place(*share, y, [HEIGHT - BOTTOM, 10.0]);
            inside.push_str(&format!(
                "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\" opacity=\"0.55\"/>",
                (WIDTH - 10.0 - LEFT) / BINS as f64,
                HEIGHT - BOTTOM - top,
                colour(k as i32)
            ));
        }
    }
    key(&lists.iter().map(|(name, _)| *name).collect::<Vec<_>>()) + &framed(&inside, "", x, y)
}

pub(super) fn scatter(points: &[[f64; 2]], labels: &[i32], classes: &[&str], drawings: &[String]) -> String {
    const SIDE: f64 = 600.0;
    let (x, y) = (range(points.iter().map(|p| p[0])), range(points.iter().map(|p| p[1])));
    let mut html = key(classes);
    html.push_str(&format!("<div class=\"map\"><svg viewBox=\"0 0 {SIDE} {SIDE}\" width=\"{SIDE}\">"));
    for (point, label) in points.iter().zip(labels) {
        let (px, py) = (place(point[0], x, [8.0, SIDE - 8.0]), place(point[1], y, [SIDE - 8.0, 8.0]));
        html.push_str(&format!("<circle cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"3\" fill=\"{}\"/>", colour(*label)));
    }
    html.push_str("</svg><div class=\"shown\"></div>");
    drawings.iter().for_each(|drawing| html.push_str(&format!("<template>{drawing}</template>")));
    html + "</div>"
}
