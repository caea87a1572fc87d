//! Ctrl-C and SIGTERM: the first one asks for an orderly end, the second one gets any.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Exit codes are 128 plus the number of the signal.
const SIGNALS: [(i32, u8); 2] = [(SIGINT, 130), (SIGTERM, 143)];

/// Whether, and by which signal, the process was asked to stop.
pub(crate) struct StopSignal {
    is_asked: Arc<AtomicBool>,
    exit_code: Arc<AtomicUsize>,
}

impl StopSignal {
    /// Listens from now on.
    pub(crate) fn listen() -> Result<Self> {
        let is_asked = Arc::new(AtomicBool::new(false));
        let exit_code = Arc::new(AtomicUsize::new(0));
        for (signal, code) in SIGNALS {
            // In this order: the first signal finds the flag unset and sets it.
            flag::register_conditional_shutdown(signal, code.into(), Arc::clone(&is_asked))
                .and_then(|_| flag::register_usize(signal, Arc::clone(&exit_code), code.into()))
                .and_then(|_| flag::register(signal, Arc::clone(&is_asked)))
                .context("cannot listen for signals")?;
        }
        Ok(Self {
            is_asked,
            exit_code,
        })
    }

    /// What the training loop looks at after each step.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.is_asked
    }

    /// The exit code that stands for the signal.
    pub(crate) fn exit_code(&self) -> u8 {
        self.exit_code.load(Ordering::Relaxed) as u8
    }
}
