//! Devices by name, for command lines.

use burn::tensor::Device;

/// Why a device name was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// No such device.
    #[error("unknown device {given:?}: this build has {}", compiled.join(", "))]
    Unknown {
        /// The name given.
        given: String,
        /// The names this build understands.
        compiled: Vec<String>,
    },
    /// A known backend that this build lacks.
    #[error("device {given:?} needs the cargo feature {feature:?}: this build has {}", compiled.join(", "))]
    NotCompiled {
        /// The name given.
        given: String,
        /// The feature to build with.
        feature: String,
        /// The names this build understands.
        compiled: Vec<String>,
    },
    /// The part behind the colon is not a number, or the backend has one device only.
    #[error("device {given:?}: {problem}")]
    Index {
        /// The name given.
        given: String,
        /// What is wrong.
        problem: String,
    },
    /// The backend is compiled in, but the device does not answer.
    #[error("device {given:?} cannot be opened: {reason}")]
    Unavailable {
        /// The name given.
        given: String,
        /// The backend's message.
        reason: String,
    },
}

const BACKENDS: [(&str, bool); 6] = [
    ("flex", cfg!(feature = "flex")),
    ("ndarray", cfg!(feature = "ndarray")),
    ("wgpu", cfg!(feature = "wgpu")),
    ("vulkan", cfg!(feature = "vulkan")),
    ("metal", cfg!(feature = "metal")),
    ("cuda", cfg!(feature = "cuda")),
];

/// The backends compiled into this build, by the names [`parse_device`] understands (without `auto` and `cpu`).
pub fn compiled_backends() -> Vec<&'static str> {
    BACKENDS.iter().filter(|(_, compiled)| *compiled).map(|(name, _)| *name).collect()
}

/// The device of a name: `auto` (the best one compiled in, or what the environment variable `BURN_DEVICE` names), `cpu`
/// (`flex`, else `ndarray`), `flex`, `ndarray`, `wgpu`, `vulkan`, `metal`, `cuda`; a GPU may be picked by index, as
/// `cuda:1` or `wgpu:0` (the index counts discrete GPUs). Upper and lower case are the same. Devices other than the CPU
/// ones are opened once, to see that they answer.
///
/// # Errors
/// [`DeviceError`], listing the backends of this build.
pub fn parse_device(name: &str) -> Result<Device, DeviceError> {
    let given = name.to_string();
    let compiled = || -> Vec<String> {
        let mut names: Vec<String> = vec!["auto".into()];
        if cfg!(any(feature = "flex", feature = "ndarray")) {
            names.push("cpu".into());
        }
        names.extend(compiled_backends().into_iter().map(String::from));
        names
    };
    let lower = name.trim().to_lowercase();
    let (backend, index) = match lower.split_once(':') {
        None => (lower.as_str(), None),
        Some((backend, index)) => match index.parse::<usize>() {
            Ok(index) => (backend, Some(index)),
            Err(_) => {
                return Err(DeviceError::Index { given, problem: format!("{index:?} is not an index (0, 1, ...)") });
            }
        },
    };
    let backend = match backend {
        "auto" => match std::env::var("BURN_DEVICE") {
            Ok(named) if named.to_lowercase() != "auto" => return parse_device(&named),
            _ => ["cuda", "metal", "vulkan", "wgpu", "flex", "ndarray"]
                .into_iter()
                .find(|name| compiled_backends().contains(name))
                .unwrap_or("flex"),
        },
        "cpu" if cfg!(feature = "flex") || !cfg!(feature = "ndarray") => "flex",
        "cpu" => "ndarray",
        other => other,
    };
    match BACKENDS.iter().find(|(name, _)| *name == backend) {
        None => return Err(DeviceError::Unknown { given, compiled: compiled() }),
        Some((_, false)) => {
            return Err(DeviceError::NotCompiled { given, feature: backend.into(), compiled: compiled() });
        }
        Some((_, true)) => {}
    }
    if let (Some(index), true) = (index, matches!(backend, "flex" | "ndarray" | "metal")) {
        return Err(DeviceError::Index {
            given,
            problem: format!("{backend} has one device, without an index ({index})"),
        });
    }
    open(backend, index).ok_or_else(|| DeviceError::Unknown { given: given.clone(), compiled: compiled() }).and_then(
        |device| {
            if !matches!(backend, "flex" | "ndarray") {
                probe(&device).map_err(|reason| DeviceError::Unavailable { given, reason })?;
            }
            Ok(device)
        },
    )
}

#[allow(unused_variables)]
fn open(backend: &str, index: Option<usize>) -> Option<Device> {
    #[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
    let kind = match index {
        None => burn::tensor::DeviceKind::DefaultDevice,
        Some(index) => burn::tensor::DeviceKind::DiscreteGpu(index),
    };
    match backend {
        #[cfg(feature = "flex")]
        "flex" => Some(Device::flex()),
        #[cfg(feature = "ndarray")]
        #[allow(deprecated)]
        "ndarray" => Some(Device::ndarray()),
        #[cfg(feature = "wgpu")]
        "wgpu" => Some(Device::wgpu(kind)),
        #[cfg(feature = "vulkan")]
        "vulkan" => Some(Device::vulkan(kind)),
        #[cfg(feature = "metal")]
        "metal" => Some(Device::metal(kind)),
        #[cfg(feature = "cuda")]
        "cuda" => Some(Device::cuda(index.unwrap_or(0))),
        _ => None,
    }
}

/// Makes a tensor and reads it back: GPU backends report an absent device only at the first use, by a panic.
fn probe(device: &Device) -> Result<(), String> {
    let device = device.clone();
    let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        burn::tensor::Tensor::<1>::zeros([1], &device).try_into_data().map(drop).map_err(|error| error.to_string())
    }));
    answer.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text
            .or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()))
            .unwrap_or_else(|| "no reason given".into()))
    })
}

/// A device as a short text for messages and files.
pub fn device_name(device: &Device) -> String {
    let text = format!("{device:?}");
    text.strip_prefix("Device<").and_then(|t| t.strip_suffix('>')).unwrap_or(&text).to_string()
}
