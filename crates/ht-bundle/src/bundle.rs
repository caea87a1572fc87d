//! A bundle in memory, and the folder that it becomes.
//!
//! ```text
//! cnn/
//!   weights.safetensors   every weight under its name
//!   golden.safetensors    images and the logits they must give
//!   cnn.htcnn             the device file of ht-runtime
//!   manifest.json         all else, with the SHA-256 of each file; written last
//! ```
//!
//! The folder is made under another name beside its place and renamed when everything in it has
//! reached the disk ([`durable`]), by one process at a time ([`FolderLock`]).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ht_files::{FolderLock, bounded, durable, sha256};

use crate::cnn::check_values;
use crate::document::{Document, FileDigest};
use crate::{BundleError, Cnn, Manifest, Precision, tensors};

/// The manifest's file.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The weights' file.
pub const WEIGHTS_FILE: &str = "weights.safetensors";
/// The golden images' file.
pub const GOLDEN_FILE: &str = "golden.safetensors";
/// The file of `ht-runtime`.
pub const DEVICE_FILE: &str = "cnn.htcnn";

const MAX_MANIFEST_BYTES: u64 = 1 << 20;
const MAX_FILE_BYTES: u64 = 64 << 20;

/// A generated CNN with all that is needed to use it and to prove that it is used rightly.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// Labels, preprocessing, temperature, where it comes from.
    pub manifest: Manifest,
    /// The weights.
    pub cnn: Cnn,
    /// Images and the logits they must give.
    pub golden: Golden,
}

/// Images and the logits that the generator's own CNN gave for them.
#[derive(Clone, Debug, PartialEq)]
pub struct Golden {
    /// `[B, C, H, W]`, preprocessed; at least one image.
    pub images: Vec<u8>,
    /// `[B, N]`.
    pub logits: Vec<f32>,
}

impl Bundle {
    /// Checks everything that [`Bundle::read`] would refuse.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(&self) -> Result<(), BundleError> {
        self.cnn.check()?;
        self.manifest.check(self.cnn.image, self.cnn.n_labels())?;
        let image_len = self.cnn.image.n_values();
        let n_images = self.golden.images.len() / image_len.max(1);
        if n_images == 0 || self.golden.images.len() != n_images * image_len {
            let found = self.golden.images.len();
            let cause = format!("{found} bytes, expected some images of {image_len}");
            return Err(BundleError::value("golden.images", cause));
        }
        let n_logits = n_images * self.cnn.n_labels();
        check_values("golden.logits".to_owned(), &self.golden.logits, n_logits)
    }

    /// Keeps other processes from writing a bundle's folder, for whoever reads a bundle to change it,
    /// and puts right what a stopped one has left.
    ///
    /// # Errors
    /// A folder that another process is writing, or whatever the system refuses.
    pub fn lock(folder: &Path) -> Result<FolderLock, BundleError> {
        let lock = FolderLock::take(folder)?;
        // What else is there is refused when it is read or written.
        if holds_else(folder).is_none() {
            durable::settle(lock.folder())?;
        }
        Ok(lock)
    }

    /// Whether a folder has a bundle's manifest.
    pub fn is_in(folder: &Path) -> bool {
        let manifest = bounded::read(&folder.join(MANIFEST_FILE), MAX_MANIFEST_BYTES);
        manifest.is_ok_and(|text| Document::parse(&text).is_ok())
    }

    /// Writes the bundle's folder, in the place of an earlier bundle if there is one.
    ///
    /// # Errors
    /// Values that make no bundle; a folder that exists and is no bundle, or that another process is
    /// writing; a disk that says no.
    pub fn write(&self, folder: &Path) -> Result<(), BundleError> {
        self.write_locked(&Self::lock(folder)?)
    }

    /// [`write`](Self::write)s the folder that this process has locked.
    ///
    /// # Errors
    /// As there.
    pub fn write_locked(&self, lock: &FolderLock) -> Result<(), BundleError> {
        self.check()?;
        let folder = lock.folder();
        if let Some(cause) = holds_else(folder) {
            let cause = format!("it exists and {cause}; name another folder");
            return Err(BundleError::file("write", folder, cause));
        }
        let failed = |cause: String| BundleError::file("write", folder, cause);
        // What an earlier write with this lock has left.
        durable::settle(folder)?;
        let partial = durable::partial(folder);
        durable::create_folder(&partial)?;

        let mut files = BTreeMap::new();
        for (name, bytes) in [
            (
                WEIGHTS_FILE,
                tensors::weights_file(&self.cnn).map_err(failed)?,
            ),
            (
                GOLDEN_FILE,
                tensors::golden_file(&self.cnn, &self.golden).map_err(failed)?,
            ),
            (DEVICE_FILE, self.device_file(Precision::Float32)?),
        ] {
            if bytes.len() as u64 > MAX_FILE_BYTES {
                let cause = format!(
                    "{name} would have {} bytes, at most 64 MB are read",
                    bytes.len()
                );
                return Err(failed(cause));
            }
            durable::write_file(&partial.join(name), &bytes)?;
            let digest = FileDigest {
                bytes: bytes.len(),
                sha256: sha256(&bytes),
            };
            files.insert(name.to_owned(), digest);
        }
        let document = Document::of(self, self.cost()?, files);
        let mut text =
            serde_json::to_string_pretty(&document).map_err(|cause| failed(cause.to_string()))?;
        text.push('\n');
        if text.len() as u64 > MAX_MANIFEST_BYTES {
            return Err(failed("its manifest would have more than 1 MB".to_owned()));
        }
        durable::write_file(&partial.join(MANIFEST_FILE), text.as_bytes())?;
        Ok(durable::commit_folder(&partial, folder)?)
    }

    /// Reads and checks a bundle's folder. One that a stopped process has moved aside for a new one
    /// takes its name again.
    ///
    /// # Errors
    /// A folder that is no bundle, was written by a newer version, is damaged (the file is named),
    /// or holds values that make no network.
    pub fn read(folder: &Path) -> Result<Self, BundleError> {
        if durable::is_moved_aside(folder) {
            drop(Self::lock(folder)?);
        }
        let manifest_path = folder.join(MANIFEST_FILE);
        let text = bounded::read(&manifest_path, MAX_MANIFEST_BYTES)?;
        let document =
            Document::parse(&text).map_err(|cause| BundleError::damaged(&manifest_path, cause))?;
        let files = [WEIGHTS_FILE, GOLDEN_FILE, DEVICE_FILE];
        if let Some(name) = document
            .files
            .keys()
            .find(|name| !files.contains(&name.as_str()))
        {
            let cause = format!("files: {name:.80} is no file of a bundle");
            return Err(BundleError::damaged(&manifest_path, cause));
        }
        let weights = read_checked(folder, WEIGHTS_FILE, &document)?;
        let golden = read_checked(folder, GOLDEN_FILE, &document)?;
        let device = read_checked(folder, DEVICE_FILE, &document)?;

        let cost = document.cost;
        let cnn = tensors::read_weights(&weights, &document.network, document.labels.len())
            .map_err(|cause| BundleError::damaged(&folder.join(WEIGHTS_FILE), cause))?;
        let golden = tensors::read_golden(&golden, &cnn)
            .map_err(|cause| BundleError::damaged(&folder.join(GOLDEN_FILE), cause))?;
        let bundle = Self {
            manifest: document.into_manifest(),
            cnn,
            golden,
        };
        let check = bundle.check().and_then(|()| bundle.cost());
        let found = check.map_err(|cause| BundleError::damaged(&manifest_path, cause))?;
        if found != cost {
            let cause = format!("cost: states {cost:?}, the network has {found:?}");
            return Err(BundleError::damaged(&manifest_path, cause));
        }
        if !bundle.makes(&device)? {
            let cause = format!("is not made of {WEIGHTS_FILE} and {MANIFEST_FILE}");
            return Err(BundleError::damaged(&folder.join(DEVICE_FILE), cause));
        }
        Ok(bundle)
    }
}

/// What would be lost if a bundle took a folder's place: anything but the files of a bundle.
fn holds_else(folder: &Path) -> Option<String> {
    if !folder.exists() {
        return None;
    }
    let Ok(entries) = fs::read_dir(folder) else {
        return Some("is no folder".to_owned());
    };
    let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    if names.is_empty() {
        return None;
    }
    if !Bundle::is_in(folder) {
        return Some("is no bundle".to_owned());
    }
    let own = [MANIFEST_FILE, WEIGHTS_FILE, GOLDEN_FILE, DEVICE_FILE];
    let other = names.iter().find(|name| own.iter().all(|own| name != own));
    other.map(|name| format!("has a file {}, which is none of a bundle", name.display()))
}

/// Reads a file that must have the digest of the manifest.
fn read_checked(folder: &Path, name: &str, document: &Document) -> Result<Vec<u8>, BundleError> {
    let path = folder.join(name);
    let expected = document.files.get(name).ok_or_else(|| {
        BundleError::damaged(&folder.join(MANIFEST_FILE), format!("files: no {name}"))
    })?;
    let bytes = bounded::read(&path, MAX_FILE_BYTES)?;
    if bytes.len() != expected.bytes || sha256(&bytes) != expected.sha256 {
        let cause = format!("does not match its size and SHA-256 in {MANIFEST_FILE}");
        return Err(BundleError::damaged(&path, cause));
    }
    Ok(bytes)
}
