//! The methods that the command knows: one line each.
//!
//! The line gives the name, a sentence, and the settings with which it starts. Lists, `--help`, completion, `--set`, the smoke test and the
//! table in `docs/methods.md` follow from it.

use crate::domain::{self, Domain, Job, Trained};
use crate::failure::Failure;
use contrastive_graph::node::method::{
    AutoEncoderConfig, BgrlConfig, CsgclConfig, DgiConfig, GbtConfig, GraceConfig, PamcConfig,
};
use contrastive_graph::user_item::method::{
    DccfConfig, LightGclConfig, LightGcnConfig, MfBprConfig, SglConfig, XSimGclConfig,
};
use contrastive_seqrec::method::{Cl4SRecConfig, DuoRecConfig, IcsRecConfig, MclRecConfig, SasRecConfig};
use contrastive_text::method::{SimCseConfig, WhitenedCseConfig};
use contrastive_timeseries::method::Ts2VecConfig;
use contrastive_vision::method::{
    AmclConfig, BarlowTwinsConfig, ByolConfig, CacrConfig, DclConfig, DinoConfig, FeatureTransformConfig, GroCoConfig,
    HallucinatorConfig, Host, ISogClrConfig, MochiConfig, MocoConfig, NnClrConfig, PixProConfig, ReSslConfig,
    SimClrConfig, SimSiamConfig, SwAvConfig, VicRegConfig,
};
use serde_json::Value;

/// A method: what it is called, what it learns from, and how it starts.
#[derive(Clone)]
pub struct Method {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it does, and where it was published.
    pub about: &'static str,
    /// What it learns from.
    pub domain: &'static dyn Domain,
    /// All settings with the values they have unless something else is asked for.
    pub defaults: Value,
    /// Whether settings can be read, or why not.
    pub check: fn(&Value) -> Result<(), String>,
    /// Trains.
    pub train: fn(&Value, &Job) -> Result<Trained, Failure>,
}

impl std::fmt::Debug for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Method({}, {})", self.name, self.domain.name())
    }
}

/// All methods, by domain.
pub fn methods() -> Vec<Method> {
    use domain::images::method as image;
    use domain::interactions::method as recommender;
    use domain::nodes::method as node;
    use domain::sentences::method as sentence;
    use domain::sequences::method as sequence;
    use domain::series::method as series;
    vec![
        recommender("mf_bpr", "matrix factorisation by pairwise ranking (Rendle et al. 2009)", MfBprConfig::new()),
        recommender(
            "lightgcn",
            "embeddings spread along the graph of users and items (He et al. 2020)",
            LightGcnConfig::new(),
        ),
        recommender(
            "lightgcl",
            "LightGCN told from a low-rank view of the graph (Cai et al. 2023)",
            LightGclConfig::new(),
        ),
        recommender("sgl", "LightGCN on two thinned graphs, told apart (Wu et al. 2021)", SglConfig::new()),
        recommender("xsimgcl", "LightGCN with noise in place of thinned graphs (Yu et al. 2023)", XSimGclConfig::new()),
        recommender("dccf", "disentangled intents with learnt masks (Ren et al. 2023)", DccfConfig::new()),
        node("grace", "two corrupted views of a graph, node by node (Zhu et al. 2020)", GraceConfig::new()),
        node("csgcl", "views that respect communities (Chen et al. 2023)", CsgclConfig::new()),
        node("pamc", "clusters by masked contrast; `clusters` is how many", PamcConfig::new(7)),
        node(
            "dgi",
            "nodes told from those of a shuffled graph by a summary (Velickovic et al. 2019)",
            DgiConfig::new(),
        ),
        node("bgrl", "one view predicts the other, without negatives (Thakoor et al. 2022)", BgrlConfig::new()),
        node("gbt", "features of two views decorrelated (Bielak et al. 2022)", GbtConfig::new()),
        node("gae", "the adjacency rebuilt from the embeddings (Kipf and Welling 2016)", AutoEncoderConfig::new()),
        sequence("sasrec", "a causal transformer over what was taken (Kang and McAuley 2018)", SasRecConfig::new()),
        sequence("cl4srec", "two edited copies of a list told from others (Xie et al. 2022)", Cl4SRecConfig::new()),
        sequence(
            "duorec",
            "positives from dropout and from lists with the same target (Qiu et al. 2022)",
            DuoRecConfig::new(),
        ),
        sequence("icsrec", "lists with a shared intent (Qin et al. 2024)", IcsRecConfig::new()),
        sequence("mclrec", "learnt augmenters trained in turn with the encoder (Qin et al. 2023)", MclRecConfig::new()),
        series(
            "ts2vec",
            "two crops of each series told apart step by step, over a hierarchy of scales (Yue et al. 2022)",
            Ts2VecConfig::new(),
        ),
        sentence("simcse", "a sentence encoded twice with different dropout (Gao et al. 2021)", SimCseConfig::new()),
        sentence(
            "whitenedcse",
            "three views whitened in groups of shuffled channels (Zhuo et al. 2023)",
            WhitenedCseConfig::new(),
        ),
        image("simclr", "two views of all images of a batch (Chen et al. 2020)", SimClrConfig::new(0.5)),
        image("moco", "a queue of keys by a momentum encoder (He et al. 2020)", MocoConfig::new(512)),
        image("simsiam", "one view predicts the other (Chen and He 2021)", SimSiamConfig::new(64)),
        image("byol", "a predictor of a momentum target (Grill et al. 2020)", ByolConfig::new(128)),
        image("barlow_twins", "features of two views decorrelated (Zbontar et al. 2021)", BarlowTwinsConfig::default()),
        image("vicreg", "variance, invariance, covariance (Bardes et al. 2022)", VicRegConfig::default()),
        image("dcl", "SimCLR without the positive in its denominator (Yeh et al. 2022)", DclConfig::new(0.5)),
        image("swav", "views predict each other's prototypes (Caron et al. 2020)", SwAvConfig::new(64)),
        image(
            "nnclr",
            "positives are nearest neighbours (Dwibedi et al. 2021)",
            NnClrConfig { temperature: 0.2, queue: 512, predictor: 128 },
        ),
        image(
            "ressl",
            "relations to other images, sharper under the weak view (Zheng et al. 2021)",
            ReSslConfig { student: 0.1, teacher: 0.04, queue: 512, momentum: 0.99 },
        ),
        image("dino", "a student follows a centred, sharpened teacher (Caron et al. 2021)", DinoConfig::new(256)),
        image("cacr", "attraction and repulsion weighted by hardness (Zheng et al. 2023)", CacrConfig::default()),
        image("groco", "positives sorted above negatives by groups (Shvetsova et al. 2023)", GroCoConfig::new(10)),
        image("mochi", "MoCo with hard negatives mixed from the queue (Kalantidis et al. 2020)", MochiConfig::new(512)),
        image(
            "ft",
            "MoCo with positives extrapolated and negatives interpolated (Zhu et al. 2021)",
            FeatureTransformConfig::new(512),
        ),
        image(
            "hallucinator",
            "MoCo with a further positive made in the space of features (Wu et al. 2023)",
            HallucinatorConfig::new(Host::Moco(512)),
        ),
        image("amcl", "several heads, a temperature for each pair (Wang et al. 2024)", AmclConfig::new(3)),
        image("isogclr", "SimCLR with a temperature for each image (Qiu et al. 2023)", ISogClrConfig::default()),
        image(
            "pixpro",
            "cells that see the same place, after propagation (Xie et al. 2021)",
            PixProConfig::consistency(),
        ),
    ]
}

/// The method of a name.
///
/// # Errors
/// A usage error with the nearest name and all others.
pub fn method(name: &str) -> Result<Method, Failure> {
    let all = methods();
    let names: Vec<&str> = all.iter().map(|method| method.name).collect();
    all.iter().find(|method| method.name == name).cloned().ok_or_else(|| {
        let nearest = crate::settings::nearest(name, names.iter().copied()).unwrap_or_default();
        Failure::usage(format!("there is no method {name:?}; the nearest is {nearest:?}; all are {}", names.join(", ")))
    })
}
