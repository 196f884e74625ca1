//! The report page: complete in itself, and safe against what it is given.

use contrastive_eval::EvalError;
use contrastive_eval::page::{Drawing, MAP_ITEMS, Page, RunCurves};
use ndarray::Array2;
use std::fs;

fn vectors(n: usize) -> Array2<f32> {
    Array2::from_shape_fn((n, 5), |(i, j)| ((i * 5 + j) as f32 * 0.77).sin() + if i % 2 == j { 2.0 } else { 0.0 })
}

/// No address, no file, and a policy that forbids the browser to ask for any: the page holds all it shows.
#[test]
fn no_request_leaves_the_page() {
    let x = vectors(60);
    let png = vec![137, 80, 78, 71];
    let drawer = |item: usize| match item % 3 {
        0 => Drawing::Png(png.clone()),
        1 => Drawing::Text(format!("item <{item}> \"&' <img src=http://x>")),
        _ => Drawing::Both(png.clone(), item.to_string()),
    };
    let labels: Vec<i32> = (0..60).map(|i| if i == 7 { -1 } else { i % 2 }).collect();
    let mut page = Page::new("A <run> & more");
    page.text("Note", "</section><script>alert(1)</script>");
    page.table("Numbers", &["name", "value"], &[vec!["a<b".into(), "1".into()]]);
    page.curves("Loss", "step", &[("x", vec![[0.0, 1.0], [1.0, f64::NAN], [2.0, 0.5]]), ("none", Vec::new())]);
    page.histograms("Scores", &[("one", vec![0.1, 0.2, f64::INFINITY]), ("same", vec![0.3; 4])]);
    page.pairs("Pairs", x.view(), (&x + 0.01).view()).unwrap();
    page.map("Map", x.view(), &labels, &["even", "odd"], &drawer).unwrap();
    page.neighbours("Near", x.view(), &[0, 3], 4, &drawer).unwrap();
    let html = page.render();
    assert!(html.contains("default-src 'none'"));
    // the only addresses are those of pictures within the page, and what was text has stayed text
    let addresses: Vec<&str> = html.match_indices("src=").map(|(at, _)| &html[at + 4..]).collect();
    assert!(!addresses.is_empty());
    for address in addresses {
        assert!(
            address.starts_with("\"data:image/png;base64,") || address.starts_with("http://x&gt;"),
            "{}",
            &address[..30]
        );
    }
    for word in ["href", "@import", "url(", "fetch(", "XMLHttp", "<link", "<iframe"] {
        assert!(!html.contains(word), "{word}");
    }
    assert_eq!(html.matches("<script>").count(), 1);
    assert_eq!(html.matches("<circle").count(), 60);
    assert_eq!(html.matches("<template>").count(), 60);
    assert!(html.contains("A &lt;run&gt; &amp; more") && html.contains("a&lt;b") && !html.contains("NaN"));
    let folder = tempfile::tempdir().unwrap();
    page.write(&folder.path().join("page.html")).unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("page.html")).unwrap(), html);
}

/// Oracle: neighbours by sorting all cosines.
#[test]
fn neighbours_are_the_most_alike_without_the_item_itself() {
    let x = vectors(30);
    let mut page = Page::new("n");
    let drawer = |item: usize| Drawing::Text(format!("[{item}]"));
    page.neighbours("Near", x.view(), &[11], 3, &drawer).unwrap();
    let cosine = |i: usize| {
        let (a, b) = (x.row(11), x.row(i));
        a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
    };
    let mut others: Vec<usize> = (0..30).filter(|i| *i != 11).collect();
    others.sort_by(|a, b| cosine(*b).total_cmp(&cosine(*a)));
    let html = page.render();
    let mut at = html.find("<th>[11]</th>").unwrap();
    for other in &others[..3] {
        let next = html[at..].find(&format!("<td>[{other}]<br>{:.2}", cosine(*other)));
        at += next.unwrap_or_else(|| panic!("{other} is not next"));
    }
    assert_eq!(html.matches("<td>").count(), 3);
}

#[test]
fn large_maps_are_thinned_and_inputs_checked() {
    let n = 2 * MAP_ITEMS + 3;
    let x = vectors(n);
    let drawer = |_: usize| Drawing::Text(String::new());
    let mut page = Page::new("n");
    page.map("Map", x.view(), &vec![0; n], &["a"], &drawer).unwrap();
    let html = page.render();
    assert_eq!(html.matches("<circle").count(), n.div_ceil(3));
    assert!(html.contains(&format!("{} of {n} items", n.div_ceil(3))));
    let short = page.map("Map", x.view(), &[0], &["a"], &drawer).unwrap_err().to_string();
    assert!(short.contains("there are 1 labels"), "{short}");
    let far = page.neighbours("Near", x.view(), &[n], 3, &drawer).unwrap_err();
    assert!(matches!(far, EvalError::RowOutOfRange { .. }));
    let few = vectors(3);
    assert!(page.neighbours("Near", few.view(), &[0], 3, &drawer).is_err());
    let mut broken = vectors(4);
    broken[[1, 1]] = f32::NAN;
    assert!(page.map("Map", broken.view(), &[0; 4], &["a"], &drawer).is_err());
    assert!(page.pairs("Pairs", few.view(), vectors(4).view()).is_err());
    assert_eq!(page.render(), html, "what was refused leaves no trace");
}

#[test]
fn run_folders_become_curves() {
    let folder = tempfile::tempdir().unwrap();
    let lines = "{\"epoch\":1,\"steps\":3,\"losses\":{\"contrast\":2.5},\"metrics\":{\"spread\":0.1},\"seconds\":1.5}\n\
                 {\"epoch\":2,\"steps\":3,\"losses\":{\"contrast\":null},\"seconds\":1.25}\n\n";
    fs::write(folder.path().join("metrics.jsonl"), lines).unwrap();
    let curves = RunCurves::read(folder.path()).unwrap();
    assert_eq!(curves.losses["contrast"], [[1.0, 2.5]]);
    assert_eq!(curves.metrics["spread"], [[1.0, 0.1]]);
    assert_eq!(curves.seconds, [[1.0, 1.5], [2.0, 1.25]]);
    let mut page = Page::new("run");
    page.run_folder(folder.path()).unwrap();
    assert_eq!(page.render().matches("<svg").count(), 3);
    for (text, words) in [("{\"epoch\":1}\nno\n", "line 2"), ("{\"steps\":1}\n", "line 1: no epoch")] {
        fs::write(folder.path().join("metrics.jsonl"), text).unwrap();
        let error = RunCurves::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("metrics.jsonl") && error.contains(words), "{error}");
    }
    assert!(RunCurves::read(&folder.path().join("no")).unwrap_err().to_string().contains("metrics.jsonl"));
}
