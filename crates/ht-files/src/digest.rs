//! SHA-256 as text: what manifests, episode lists and results name files and parameters by.

use sha2::{Digest, Sha256};

/// SHA-256 in 64 hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    let mut sum = Sha256Sum::default();
    sum.update(bytes);
    sum.finish()
}

/// The same of bytes that come piece by piece.
#[derive(Clone, Debug, Default)]
pub struct Sha256Sum(Sha256);

impl Sha256Sum {
    /// Adds bytes.
    pub fn update(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.update(bytes);
    }

    /// The digits.
    pub fn finish(self) -> String {
        let digest = self.0.finalize();
        let digits = digest.iter().map(|byte| format!("{byte:02x}"));
        digits.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standards_example_at_once_and_in_pieces() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), expected);
        let mut sum = Sha256Sum::default();
        sum.update("a");
        sum.update(b"bc");
        assert_eq!(sum.finish(), expected);
    }
}
