//! The page, as a browser shows it.

use crate::{done, ratings};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs of two recommenders and one of nodes.
fn page(at: &Path) -> String {
    ratings(at);
    for method in ["mf_bpr", "lightgcn"] {
        done(at, &["train", method, "--data", "ratings.csv", "--epochs", "4", "--quiet"]);
    }
    done(
        at,
        &["train", "grace", "--generated", "--epochs", "5", "--quiet", "--set", "dim=16", "--set", "projection=16"],
    );
    let said = done(at, &["report", "runs/mf_bpr", "runs/lightgcn", "runs/grace", "--out", "report.html"]);
    assert_eq!(said, "report.html of mf_bpr, lightgcn, grace\n");
    std::fs::read_to_string(at.join("report.html")).unwrap()
}

fn browser() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name))).find(|file| file.is_file())
}

#[test]
fn a_page_holds_all_it_shows() {
    let folder = tempfile::tempdir().unwrap();
    let html = page(folder.path());
    for heading in
        ["Loss: bpr", "Metric: ndcg@20", "mf_bpr: map of users", "lightgcn: nearest of items", "grace: map of nodes"]
    {
        assert!(html.contains(heading), "{heading}");
    }
    for request in ["http:", "https:", "src=\"/", "<link"] {
        assert!(!html.contains(request), "{request}");
    }
    // both recommenders stand in one chart of their common loss
    let chart = html.split("<section>").find(|section| section.contains("Loss: bpr")).unwrap();
    assert!(chart.contains("mf_bpr") && chart.contains("lightgcn") && !chart.contains("grace"));
}

#[test]
fn a_browser_draws_the_page_without_a_network() {
    let Some(browser) = browser() else {
        println!("skipped: no Chromium on this machine");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    page(folder.path());
    let file = folder.path().join("report.html");
    let base = |extra: &[&str]| {
        Command::new(&browser)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--host-resolver-rules=MAP * ~NOTFOUND",
                "--virtual-time-budget=3000",
            ])
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .args(extra)
            .arg(format!("file://{}", file.display()))
            .output()
            .expect("the browser starts")
    };
    let output = base(&["--dump-dom"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let dom = String::from_utf8(output.stdout).unwrap();
    assert!(
        dom.contains("<circle") && dom.matches("<polyline").count() + dom.matches("<path").count() > 3,
        "no charts"
    );
    let picture = folder.path().join("page.png");
    let output = base(&["--window-size=1000,4000", &format!("--screenshot={}", picture.display())]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(std::fs::metadata(&picture).unwrap().len() > 20_000, "an empty picture");
    if let Ok(keep) = std::env::var("CONTRASTIVE_SCREENSHOT") {
        std::fs::copy(&picture, keep).unwrap();
    }
}

/// A run that an example or one's own program wrote has curves, too.
#[test]
fn runs_of_the_library_have_their_curves() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("exploration");
    std::fs::create_dir_all(&run).unwrap();
    let line = |epoch: usize| {
        format!(
            r#"{{"epoch":{epoch},"steps":1,"losses":{{"loss":0.5}},"metrics":{{"regret":0.{epoch}}},"seconds":0.1,"evaluation_seconds":0.0}}"#
        )
    };
    std::fs::write(run.join("metrics.jsonl"), format!("{}\n{}\n", line(2), line(3))).unwrap();
    done(folder.path(), &["report", "exploration", "--out", "report.html"]);
    let html = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(html.contains("Metric: regret") && html.contains("by the library"));
    std::fs::remove_file(run.join("metrics.jsonl")).unwrap();
    assert!(crate::fails(folder.path(), &["report", "exploration", "--out", "report.html"]).1.contains("is not a run"));
}
