//! Devices by name: the only file of the workspace that names a backend.
//!
//! Only compiled backends are variants, so `--help` lists what really works. Constructors
//! that would panic without hardware are asked first.

use anyhow::Result;
use burn::tensor::Device;
use clap::ValueEnum;
use ht_train::Compute;

#[cfg(not(any(
    feature = "flex",
    feature = "ndarray",
    feature = "wgpu",
    feature = "cuda"
)))]
compile_error!("turn on a backend: --features flex, ndarray, wgpu or cuda");

/// Threads that make episodes for a GPU at most: each keeps a meta-batch in memory.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
const MOST_LOADERS: usize = 8;

/// A compiled backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeviceName {
    /// CPU, the fast one.
    #[cfg(feature = "flex")]
    Flex,
    /// CPU, an independent second opinion.
    #[cfg(feature = "ndarray")]
    Ndarray,
    /// GPU by Vulkan, Metal or DX12.
    #[cfg(feature = "wgpu")]
    Wgpu,
    /// NVIDIA GPU.
    #[cfg(feature = "cuda")]
    Cuda,
}

impl Default for DeviceName {
    /// The first compiled one.
    fn default() -> Self {
        Self::value_variants()[0]
    }
}

impl std::fmt::Display for DeviceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.to_possible_value();
        f.write_str(name.as_ref().map_or("", |name| name.get_name()))
    }
}

impl DeviceName {
    /// Whether its work is counted in CPU time.
    pub(crate) fn is_cpu(self) -> bool {
        match self {
            #[cfg(feature = "flex")]
            Self::Flex => true,
            #[cfg(feature = "ndarray")]
            Self::Ndarray => true,
            #[cfg(feature = "wgpu")]
            Self::Wgpu => false,
            #[cfg(feature = "cuda")]
            Self::Cuda => false,
        }
    }

    /// The device, how many threads make use of it, and how many make episodes for it: one beside
    /// the threads of a CPU, those that a GPU leaves free.
    #[cfg_attr(
        not(any(feature = "wgpu", feature = "cuda")),
        expect(
            clippy::unnecessary_wraps,
            reason = "a CPU is always there; only a GPU can be missing"
        )
    )]
    pub(crate) fn compute(self, threads: Option<usize>) -> Result<Compute> {
        let (device, default_threads, n_loaders) = match self {
            #[cfg(feature = "flex")]
            Self::Flex => (Device::flex(), cores(), 1),
            #[cfg(feature = "ndarray")]
            #[expect(deprecated, reason = "the second CPU backend until Burn 0.23")]
            Self::Ndarray => (Device::ndarray(), cores(), 1),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => (wgpu()?, 1, loaders_for_a_gpu()),
            #[cfg(feature = "cuda")]
            Self::Cuda => (cuda()?, 1, loaders_for_a_gpu()),
        };
        Ok(Compute {
            device,
            n_threads: threads.unwrap_or(default_threads).max(1),
            n_loaders,
        })
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn loaders_for_a_gpu() -> usize {
    cores().saturating_sub(1).clamp(1, MOST_LOADERS)
}

/// The best adapter: a GPU, or software where there is none.
#[cfg(feature = "wgpu")]
fn wgpu() -> Result<Device> {
    use anyhow::bail;
    use burn::tensor::{DeviceKind, DeviceType};

    let adapters = Device::enumerate(DeviceType::Wgpu);
    if adapters.is_empty() {
        bail!("--device wgpu: no Vulkan, Metal or DX12 adapter found; is a driver installed?");
    }
    let software = Device::wgpu(DeviceKind::Cpu);
    let is_software = |device: &Device| *device == software;
    let gpu = adapters.iter().find(|device| !is_software(device));
    Ok(gpu.unwrap_or(&software).clone())
}

#[cfg(feature = "cuda")]
fn cuda() -> Result<Device> {
    use anyhow::bail;
    use burn::tensor::DeviceType;

    match Device::enumerate(DeviceType::Cuda).iter().next() {
        Some(device) => Ok(device.clone()),
        None => bail!("--device cuda: no NVIDIA GPU found; is the driver installed?"),
    }
}
