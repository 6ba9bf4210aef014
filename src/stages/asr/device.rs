//! On which device a recogniser computes.

use anyhow::{Result, bail};
use candle_core::Device;
use serde::Deserialize;

use crate::log::log;

/// The parameter `device`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// This machine's processor.
    Cpu,
    /// The GPU that `CUDA_VISIBLE_DEVICES` leaves; the first, if it leaves several.
    Cuda,
    /// The GPU where there is one, else the processor.
    #[default]
    Auto,
}

/// What will be tried.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Choice {
    Cpu,
    Cuda,
    /// The GPU, and where none can be opened the processor.
    CudaIfAny,
}

/// Chooses, for a program that is `built` with CUDA, where `CUDA_VISIBLE_DEVICES` is `visible`.
fn choose(wanted: Wanted, built: bool, visible: Option<&str>) -> Result<Choice> {
    // CUDA stops reading at the first number that it does not know, such as -1.
    let none = visible.is_some_and(|visible| {
        let first = visible.split(',').next().unwrap_or_default().trim();
        first.is_empty() || first.starts_with('-') || first == "NoDevFiles"
    });
    Ok(match wanted {
        Wanted::Cpu => Choice::Cpu,
        Wanted::Cuda if !built => bail!(
            "`device: cuda`: this program is built without CUDA; \
             `cargo build --release --features cuda` builds one with it"
        ),
        Wanted::Cuda if none => bail!(
            "`device: cuda`: CUDA_VISIBLE_DEVICES=\"{}\" leaves no GPU",
            visible.unwrap_or_default()
        ),
        Wanted::Cuda => Choice::Cuda,
        Wanted::Auto if !built || none => Choice::Cpu,
        // Somebody gave this process a GPU: not to use it would be worse than to fail.
        Wanted::Auto if visible.is_some() => Choice::Cuda,
        Wanted::Auto => Choice::CudaIfAny,
    })
}

/// Whether this program can use such a device at all. The driver asks, which may run where no GPU is.
///
/// # Errors
/// When it is built without CUDA, and CUDA is wanted.
pub(crate) fn check(wanted: Wanted) -> Result<()> {
    choose(wanted, cfg!(feature = "cuda"), None).map(drop)
}

/// Opens the device.
///
/// # Errors
/// When there is no such device here.
pub(crate) fn open(wanted: Wanted) -> Result<Device> {
    let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
    match choose(wanted, cfg!(feature = "cuda"), visible.as_deref())? {
        Choice::Cpu => Ok(Device::Cpu),
        Choice::Cuda => Ok(Device::new_cuda(0)?),
        Choice::CudaIfAny => Ok(Device::new_cuda(0).unwrap_or_else(|error| {
            log(&format!("no GPU, so the processor computes: {error}"));
            Device::Cpu
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_taken_where_one_was_given() {
        let (cpu, cuda, auto) = (Wanted::Cpu, Wanted::Cuda, Wanted::Auto);
        let cases = [
            (cpu, true, Some("0"), Choice::Cpu),
            (cuda, true, None, Choice::Cuda),
            (cuda, true, Some("3"), Choice::Cuda),
            (cuda, true, Some("GPU-8932f937,1"), Choice::Cuda),
            (auto, false, Some("0"), Choice::Cpu),
            (auto, false, None, Choice::Cpu),
            (auto, true, None, Choice::CudaIfAny),
            (auto, true, Some("1"), Choice::Cuda),
            (auto, true, Some(""), Choice::Cpu),
            (auto, true, Some("-1"), Choice::Cpu),
            (auto, true, Some("NoDevFiles"), Choice::Cpu),
        ];
        for (wanted, built, visible, expected) in cases {
            let chosen = choose(wanted, built, visible).expect("a choice");
            assert_eq!(chosen, expected, "{wanted:?}, {built}, {visible:?}");
        }
    }

    #[test]
    fn cuda_that_cannot_be_says_why() {
        for visible in [None, Some("0")] {
            let error = choose(Wanted::Cuda, false, visible).expect_err("no CUDA").to_string();
            assert!(error.contains("--features cuda"), "{error}");
        }
        let error = choose(Wanted::Cuda, true, Some("-1")).expect_err("no GPU").to_string();
        assert_eq!(error, "`device: cuda`: CUDA_VISIBLE_DEVICES=\"-1\" leaves no GPU");
    }

    #[test]
    fn the_names_are_those_of_the_config() {
        for (name, wanted) in [("cpu", Wanted::Cpu), ("cuda", Wanted::Cuda), ("auto", Wanted::Auto)]
        {
            assert_eq!(serde_json::from_value::<Wanted>(name.into()).expect("a name"), wanted);
        }
        assert!(serde_json::from_value::<Wanted>("gpu".into()).is_err());
    }
}
