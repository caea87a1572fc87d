//! Plain loops in the widest vectors of the processor, chosen by `pulp` at run time.
//!
//! A loop becomes one over vectors if it has no branches, reads what it captured by value or
//! through slices, and everything that it calls is `#[inline(always)]`.

#![expect(
    clippy::inline_always,
    reason = "a vector instruction set reaches only what is inlined into its entry"
)]

use pulp::{Arch, Simd, WithSimd};

/// Runs a pass over slices in the widest vectors that the processor has; results are the same
/// to the last bit.
///
/// It is `FnMut` because a call through `FnOnce` is a function of its own that no vector
/// instruction set reaches; for the same reason passes are `#[inline(always)]`.
pub fn vectorized(pass: impl FnMut()) {
    struct Pass<F>(F);
    impl<F: FnMut()> WithSimd for Pass<F> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(mut self, _: S) {
            (self.0)();
        }
    }
    Arch::new().dispatch(Pass(pass));
}
