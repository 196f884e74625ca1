//! Rows against learned rows of their classes: classifiers with margins, proxies and centres.

pub(crate) mod centers;
pub(crate) mod class_margin;
pub(crate) mod classes;
pub(crate) mod large_margin;
pub(crate) mod p2s_grad;
pub(crate) mod proxy_anchor;
pub(crate) mod soft_triple;
pub(crate) mod sphere_face;
pub(crate) mod sub_center_arcface;

pub use centers::{CenterLoss, NearestCenter, SoftAssignment};
pub use class_margin::ClassMargin;
pub use large_margin::LargeMarginSoftmax;
pub use p2s_grad::P2sGrad;
pub use proxy_anchor::ProxyAnchor;
pub use soft_triple::SoftTriple;
pub use sphere_face::SphereFace;
pub use sub_center_arcface::SubCenterArcFace;
