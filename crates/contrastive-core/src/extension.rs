//! What the backend extensions of this crate are written with.

pub(crate) use burn::backend::autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
pub(crate) use burn::backend::{Backend, TensorMetadata, backend_extension, tensor::FloatTensor};

/// The backends other than the CPU's take the default bodies of an extension.
macro_rules! default_bodies {
    ($extension:ident) => {
        #[cfg(feature = "ndarray")]
        impl $extension for burn::backend::NdArray {}

        #[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal", feature = "cuda"))]
        impl $extension for burn::backend::Cube {}
    };
}
pub(crate) use default_bodies;
