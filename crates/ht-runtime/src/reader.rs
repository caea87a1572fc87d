//! Little-endian values from untrusted bytes: every read is checked and says where it failed.

use crate::Error;

/// A place in a device file.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// 32-bit floats where they lie in the file, without alignment.
#[derive(Clone, Copy)]
pub(crate) struct Floats<'a>(&'a [[u8; 4]]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..len).ok_or(Error::Truncated {
            at: self.bytes.len(),
        })?;
        self.at += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let at = self.bytes.len();
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| Error::Truncated { at })
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_le_bytes)
    }

    /// A number that must be finite.
    pub(crate) fn f32(&mut self) -> Result<f32, Error> {
        let at = self.at;
        let value = self.array().map(f32::from_le_bytes)?;
        if value.is_finite() {
            Ok(value)
        } else {
            Err(Error::NotFinite { at })
        }
    }

    /// A 16-bit size within 1 and a limit.
    pub(crate) fn size(&mut self, field: &'static str, limit: usize) -> Result<usize, Error> {
        let at = self.at;
        let value = usize::from(self.u16()?);
        if (1..=limit).contains(&value) {
            Ok(value)
        } else {
            Err(Error::Value { field, at })
        }
    }

    /// A byte within two limits.
    pub(crate) fn small(
        &mut self,
        field: &'static str,
        (least, most): (u8, u8),
    ) -> Result<u8, Error> {
        let at = self.at;
        let value = self.u8()?;
        if (least..=most).contains(&value) {
            Ok(value)
        } else {
            Err(Error::Value { field, at })
        }
    }

    /// Floats, all of which must be finite.
    pub(crate) fn floats(&mut self, len: usize) -> Result<Floats<'a>, Error> {
        let at = self.at;
        let n_bytes = len.checked_mul(4).ok_or(Error::TooLarge {
            what: "weights of a layer",
        })?;
        let (floats, _) = self.take(n_bytes)?.as_chunks();
        let finite = |bytes: &[u8; 4]| f32::from_le_bytes(*bytes).is_finite();
        match floats.iter().position(|bytes| !finite(bytes)) {
            None => Ok(Floats(floats)),
            Some(index) => Err(Error::NotFinite { at: at + 4 * index }),
        }
    }
}

impl Floats<'_> {
    pub(crate) fn get(&self, index: usize) -> f32 {
        f32::from_le_bytes(self.0[index])
    }

    pub(crate) fn copy_to(&self, target: &mut [f32]) {
        for (target, bytes) in target.iter_mut().zip(self.0) {
            *target = f32::from_le_bytes(*bytes);
        }
    }
}
