//! How a file is changed: bits, bytes, runs of bytes, numbers, words of its format, parts of others.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Numbers that readers miscount with.
const NUMBERS: [u64; 10] = [
    0,
    1,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
];

/// One of the corpus with one to eight changes.
pub(crate) fn changed(corpus: &[Vec<u8>], words: &[&str], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let pick = |rng: &mut ChaCha8Rng| &corpus[rng.random_range(0..corpus.len())];
    let mut bytes = pick(rng).clone();
    for _ in 0..1 << rng.random_range(0..4u32) {
        let at = rng.random_range(0..=bytes.len());
        let longest = 1 << rng.random_range(0..8u32);
        let len = rng.random_range(0..=(bytes.len() - at).min(longest));
        let run = at..at + len;
        match rng.random_range(0..9u32) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8u32),
            1 if at < bytes.len() => bytes[at] = rng.random_range(0..=255u8),
            2 => {
                bytes.drain(run);
            }
            3 => {
                let copy = bytes[run].repeat(1 << rng.random_range(0..6u32));
                bytes.splice(at..at, copy);
            }
            4 => bytes.truncate(at),
            5 => {
                let number = NUMBERS[rng.random_range(0..NUMBERS.len())];
                let width = 1 << rng.random_range(0..4u32);
                let number = if rng.random_range(0..2u32) == 0 {
                    number.to_le_bytes()[..width].to_vec()
                } else {
                    number.to_be_bytes()[8 - width..].to_vec()
                };
                let end = (at + width).min(bytes.len());
                bytes.splice(at..end, number);
            }
            6 if !words.is_empty() => {
                let word = words[rng.random_range(0..words.len())];
                bytes.splice(run, word.bytes());
            }
            7 => {
                let other = pick(rng);
                let start = rng.random_range(0..=other.len());
                let end = rng.random_range(start..=other.len());
                bytes.splice(run, other[start..end].iter().copied());
            }
            _ => {
                let number = NUMBERS[rng.random_range(0..NUMBERS.len())].to_string();
                bytes.splice(run, number.bytes());
            }
        }
    }
    // What takes long to read is no finding here: the limits on sizes have tests of their own.
    bytes.truncate(1 << 16);
    bytes
}
