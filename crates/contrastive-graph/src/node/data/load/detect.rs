//! What lies at a path.

use std::path::{Path, PathBuf};

use contrastive_data::{FileError, is_matlab, listed as listing, read_start};

use super::super::error::GraphError;
use super::{Format, ReadOptions};

const WHAT: &str = "single graph in a supported format";

const LOOKED_FOR: &str = "ind.NAME.graph (Planetoid), one .npz or .mat, out1_graph_edges.txt (geom-gcn), NAME_edges.csv with \
     NAME_features.json (MUSAE), NAME.content with NAME.cites, data.json (WikiCS), edges.csv, or one edge list (.edgelist, .edges)";

/// A name without `.gz`.
pub(super) fn plain(name: &str) -> &str {
    name.strip_suffix(".gz").unwrap_or(name)
}

/// A file of a folder, or its packed form.
pub(super) fn packed_or_plain(folder: &Path, name: &str) -> Option<PathBuf> {
    [folder.join(name), folder.join(format!("{name}.gz"))].into_iter().find(|path| path.is_file())
}

/// The files of one graph.
#[derive(Debug)]
pub(super) enum Source {
    Planetoid(PathBuf, String),
    Npz(PathBuf),
    GeomGcn(PathBuf),
    Musae(PathBuf, String),
    Tables(PathBuf),
    Linqs { content: PathBuf, cites: PathBuf },
    WikiCs(PathBuf),
    Matlab(PathBuf),
    EdgeList { edges: PathBuf, labels: Option<PathBuf>, features: Option<PathBuf> },
}

/// The files of one graph, and archives of its splits with their names.
#[derive(Debug)]
pub(super) struct Found {
    pub source: Source,
    pub splits: Vec<(String, PathBuf)>,
}

impl From<Source> for Found {
    fn from(source: Source) -> Self {
        Self { source, splits: Vec::new() }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// `cora` of `ind.cora.graph`.
fn planetoid_name(file: &str, part: &str) -> Option<String> {
    Some(file.strip_prefix("ind.")?.strip_suffix(part)?.strip_suffix('.')?.to_owned())
}

/// What lies at a path.
pub(super) fn at(path: &Path, options: &ReadOptions) -> Result<Found, GraphError> {
    if path.is_dir() {
        return in_folder(path, options);
    }
    let (folder, name) = (folder_of(path), file_name(path));
    if !path.exists() {
        let name = name.strip_prefix("ind.").unwrap_or(&name).to_owned();
        if folder.join(format!("ind.{name}.graph")).is_file() {
            return Ok(Source::Planetoid(folder, name).into());
        }
        return Err(FileError::NotFound { path: path.to_path_buf(), looked_for: LOOKED_FOR.into() }.into());
    }
    let parts = ["graph", "allx", "ally", "tx", "ty", "x", "y", "test.index"];
    let planetoid = parts.iter().find_map(|part| planetoid_name(&name, part));
    let musae = plain(&name).strip_suffix("_edges.csv");
    let musae = musae.filter(|name| packed_or_plain(&folder, &format!("{name}_features.json")).is_some());
    let linqs = linqs(&folder, &name);
    let start = read_start(path, 256)?;
    let format = options.format.unwrap_or_else(|| match plain(&name).to_lowercase() {
        _ if planetoid.is_some() => Format::Planetoid,
        _ if musae.is_some() => Format::Musae,
        // content before ending
        _ if start.starts_with(b"PK\x03\x04") => Format::Npz,
        _ if is_matlab(&start) || start.starts_with(b"MATLAB") => Format::Matlab,
        _ if linqs.is_some() => Format::Linqs,
        _ if start.trim_ascii_start().starts_with(b"{\"") => Format::WikiCs,
        lower if lower.ends_with(".npz") => Format::Npz,
        lower if lower.ends_with(".mat") => Format::Matlab,
        lower if lower.starts_with("out1_") => Format::GeomGcn,
        lower if lower == "edges.csv" => Format::Tables,
        _ => Format::EdgeList,
    });
    let unfit = |looked_for: &str| FileError::Unrecognised {
        path: path.to_path_buf(),
        what: WHAT,
        found: name.clone(),
        looked_for: looked_for.into(),
    };
    Ok(match format {
        Format::Planetoid => {
            Source::Planetoid(folder, planetoid.ok_or_else(|| unfit("a file named ind.NAME.graph"))?).into()
        }
        Format::Npz => Source::Npz(path.to_path_buf()).into(),
        Format::Matlab => Source::Matlab(path.to_path_buf()).into(),
        Format::Linqs => {
            let (content, cites) = linqs.ok_or_else(|| unfit("NAME.content beside NAME.cites"))?;
            Source::Linqs { content, cites }.into()
        }
        Format::WikiCs => Source::WikiCs(path.to_path_buf()).into(),
        Format::GeomGcn => geom_gcn(&folder)?,
        Format::Tables => Source::Tables(folder).into(),
        Format::Musae => {
            Source::Musae(folder, musae.ok_or_else(|| unfit("NAME_edges.csv beside NAME_features.json"))?.to_owned())
                .into()
        }
        Format::EdgeList => edge_list(path, options)?.into(),
    })
}

/// `NAME.content` and `NAME.cites`, if the file is one of them and both are there.
fn linqs(folder: &Path, name: &str) -> Option<(PathBuf, PathBuf)> {
    let stem = [".content", ".cites"].iter().find_map(|ending| plain(name).strip_suffix(ending))?;
    let file = |ending: &str| packed_or_plain(folder, &format!("{stem}.{ending}"));
    Some((file("content")?, file("cites")?))
}

/// Names in a folder, sorted.
fn names_in(folder: &Path) -> Result<Vec<String>, GraphError> {
    let io = |source| FileError::Io { path: folder.to_path_buf(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        if !entry.path().is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Whether a file is an edge list by its name.
fn is_edge_list(name: &str) -> bool {
    let lower = plain(name).to_lowercase();
    let stem = lower.rsplit_once('.').map_or(&lower[..], |(stem, _)| stem);
    lower.ends_with(".edgelist") || lower.ends_with(".edges") || stem.ends_with("edgelist") || stem.ends_with("_edges")
}

fn in_folder(folder: &Path, options: &ReadOptions) -> Result<Found, GraphError> {
    let names = names_in(folder)?;
    let fits = |format: Format| options.format.is_none_or(|wanted| wanted == format);
    let mut candidates: Vec<PathBuf> = Vec::new();
    for name in &names {
        let lower = plain(name).to_lowercase();
        let musae = plain(name).strip_suffix("_edges.csv").map(|stem| format!("{stem}_features.json"));
        let musae = musae.is_some_and(|features| names.iter().any(|name| plain(name) == features));
        let graph = (planetoid_name(name, "graph").is_some() && fits(Format::Planetoid))
            || (lower.ends_with(".npz") && !lower.contains("_split_") && fits(Format::Npz))
            || (lower.ends_with(".mat") && fits(Format::Matlab))
            || (name == "out1_graph_edges.txt" && fits(Format::GeomGcn))
            || (plain(name) == "edges.csv" && fits(Format::Tables))
            || (lower == "data.json" && fits(Format::WikiCs))
            || (lower.ends_with(".content") && linqs(folder, name).is_some() && fits(Format::Linqs))
            || (musae && fits(Format::Musae))
            || (is_edge_list(name)
                && plain(name) != "edges.csv"
                && !plain(name).ends_with("_edges.csv")
                && fits(Format::EdgeList));
        if graph {
            candidates.push(folder.join(name));
        }
    }
    match &candidates[..] {
        [one] => at(one, options),
        several => {
            let listed: Vec<String> = match several {
                [] => names,
                several => several.iter().map(|path| file_name(path)).collect(),
            };
            let (path, found) = (folder.to_path_buf(), listing(&listed));
            Err(FileError::Unrecognised { path, what: WHAT, found, looked_for: LOOKED_FOR.into() }.into())
        }
    }
}

/// geom-gcn's files with the splits of that name, in the order of their numbers.
fn geom_gcn(folder: &Path) -> Result<Found, GraphError> {
    let name = super::name_of(&folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf()));
    let mut splits: Vec<(String, PathBuf)> = Vec::new();
    for place in [folder.to_path_buf(), folder.join("splits"), folder.join("../splits")] {
        if !place.is_dir() {
            continue;
        }
        for file in names_in(&place)? {
            let stem = file.strip_suffix(".npz").filter(|stem| stem.starts_with(&format!("{name}_split_")));
            if let Some((_, number)) = stem.and_then(|stem| stem.rsplit_once('_')) {
                splits.push((number.to_owned(), place.join(&file)));
            }
        }
    }
    splits.sort_by_key(|(number, path)| (number.len(), number.clone(), path.clone()));
    splits.dedup_by(|b, a| a.0 == b.0);
    Ok(Found { source: Source::GeomGcn(folder.to_path_buf()), splits })
}

/// An edge list with the files beside it.
fn edge_list(path: &Path, options: &ReadOptions) -> Result<Source, GraphError> {
    let names = names_in(&folder_of(path))?;
    let lower = file_name(path).to_lowercase();
    let lower = plain(&lower);
    let stem = lower.rsplit_once('.').map_or(lower, |(stem, _)| stem);
    let stem = ["edgelist", "edges", "edge"].iter().find_map(|ending| stem.strip_suffix(ending)).unwrap_or(stem);
    let stem = stem.trim_end_matches(['_', '-', '.']);
    let beside = |what: &str| {
        let usual = |name: &&String| {
            let name = name.to_lowercase();
            let name = plain(&name);
            let base = name.rsplit_once('.').map_or(name, |(base, _)| base);
            [format!("{what}-{stem}"), format!("{what}_{stem}"), format!("{stem}_{what}"), format!("{stem}-{what}")]
                .contains(&base.to_owned())
                || name == format!("{stem}.{what}")
                || (stem.is_empty() && base == what)
        };
        names.iter().find(usual).map(|name| folder_of(path).join(name))
    };
    Ok(Source::EdgeList {
        edges: path.to_path_buf(),
        labels: options.labels.clone().or_else(|| beside("labels")),
        features: options.features.clone().or_else(|| beside("features")),
    })
}
