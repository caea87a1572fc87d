//! Python's seeded shuffle, bit for bit: the classes of the released code's splits are the
//! result of one, so they cannot be told without it.

use rand_mt::Mt;

/// What `random.seed(seed); random.shuffle(classes)` of Python 3 makes of `0..n`.
///
/// # Shapes
/// Returns a permutation of `0..n`; `n` below 2³².
pub fn python_shuffle(seed: u64, n: usize) -> Vec<usize> {
    let mut generator = seeded(seed);
    let mut shuffled: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        shuffled.swap(last, below(&mut generator, last + 1));
    }
    shuffled
}

/// Python seeds with the 32-bit words of the number, lowest first, without leading zeros.
fn seeded(seed: u64) -> Mt {
    let (low, high) = (seed as u32, (seed >> 32) as u32);
    if high == 0 {
        Mt::new_with_key([low])
    } else {
        Mt::new_with_key([low, high])
    }
}

/// A number below `bound`: as many random bits as `bound` has, again until it is small enough.
fn below(generator: &mut Mt, bound: usize) -> usize {
    let spare_bits = u32::try_from(bound)
        .expect("Python draws more than one word from 2^32 on")
        .leading_zeros();
    loop {
        let number = (generator.next_u32() >> spare_bits) as usize;
        if number < bound {
            return number;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shuffles_as_python_does() {
        // Written down from CPython 3.
        assert_eq!(python_shuffle(2022, 10), [3, 1, 5, 0, 6, 2, 9, 7, 4, 8]);
        assert_eq!(python_shuffle(1, 7), [3, 6, 5, 2, 0, 4, 1]);
        assert_eq!(python_shuffle((1 << 40) + 5, 6), [1, 0, 3, 2, 5, 4]);
        assert!(python_shuffle(2022, 0).is_empty());
    }

    proptest! {
        #[test]
        fn nothing_is_lost(seed: u64, n in 0..300usize) {
            let mut sorted = python_shuffle(seed, n);
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..n).collect::<Vec<_>>());
        }
    }
}
