//! Whether data is the same as before.

use std::fmt::{Display, Formatter};

/// A digest of data: equal data has equal digests on every machine, and other data, by mistake, practically never. Not a
/// protection against somebody who means harm.
///
/// It is FNV-1a in 128 bits over words of 64 bits, and the number of words.
///
/// ```
/// let digest = |values: &[u32]| contrastive_data::Digest::new().u32s(values).to_string();
/// assert_eq!(digest(&[1, 2]), digest(&[1, 2]));
/// assert_ne!(digest(&[1, 2]), digest(&[2, 1]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest {
    hash: u128,
    words: u64,
}

impl Default for Digest {
    fn default() -> Self {
        Self { hash: 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, words: 0 }
    }
}

impl Digest {
    /// Of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more number.
    pub fn u64(mut self, word: u64) -> Self {
        const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
        self.hash = (self.hash ^ u128::from(word)).wrapping_mul(PRIME);
        self.words += 1;
        self
    }

    /// With more numbers and how many there are.
    pub fn u64s(self, words: impl ExactSizeIterator<Item = u64>) -> Self {
        let count = words.len() as u64;
        words.fold(self.u64(count), Self::u64)
    }

    /// With more numbers and how many there are.
    pub fn u32s(self, values: &[u32]) -> Self {
        self.u64s(values.iter().map(|&value| value.into()))
    }

    /// With more numbers, bit for bit, and how many there are.
    pub fn f32s(self, values: impl ExactSizeIterator<Item = f32>) -> Self {
        self.u64s(values.map(|value| value.to_bits().into()))
    }

    /// With a text and its length.
    pub fn text(self, text: &str) -> Self {
        let words = text.as_bytes().chunks(8).map(|bytes| {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            u64::from_le_bytes(word)
        });
        self.u64(text.len() as u64).u64s(words)
    }

    /// With texts and how many there are.
    pub fn texts(self, texts: &[String]) -> Self {
        texts.iter().fold(self.u64(texts.len() as u64), |digest, text| digest.text(text))
    }
}

/// 32 hexadecimal digits.
impl Display for Digest {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { hash, .. } = self.u64(self.words);
        write!(f, "{hash:032x}")
    }
}
