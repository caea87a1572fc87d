//! A user's task: the labelled pictures of its classes, as images of the size that a generator reads.
//!
//! It comes from a folder of class folders or from a bundle, whose golden images are the pictures that
//! its generator saw; so classes can be added and removed without the others' pictures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use burn::tensor::{Device, Tensor, TensorData};
use ht_bundle::{Bundle, SupportImage};
use ht_episodes::{ClassFolders, ImageShape, Picture, SupportSet, class_folders, normalize_pixel};
use ht_files::{bounded, sha256};

use crate::commands::left_out::say_left_out;

/// Names of the folder with pictures that have no label.
const UNLABELLED: [&str; 2] = ["unlabelled", "unlabeled"];
/// More pictures are no few-shot task.
const MAX_PICTURES: usize = 5000;
/// A picture's file is read whole.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// One picture of a task.
#[derive(Clone, Debug)]
pub(super) struct TaskImage {
    /// Its bytes in C, H, W order.
    pub(super) pixels: Vec<u8>,
    /// Index of its label; none for an unlabelled one.
    pub(super) label: Option<usize>,
    /// Its file, below the folder of the task.
    file: String,
    /// SHA-256 of the file.
    sha256: String,
}

/// The pictures of a task.
#[derive(Clone, Debug)]
pub(super) struct Task {
    /// Names of the classes.
    pub(super) labels: Vec<String>,
    /// Class by class, then the unlabelled ones.
    pub(super) images: Vec<TaskImage>,
    shape: ImageShape,
}

/// The files of a task, before it is known how they are to be read.
#[derive(Clone, Debug)]
pub(super) struct TaskFiles {
    root: PathBuf,
    classes: Vec<(String, Vec<PathBuf>)>,
    unlabelled: Vec<PathBuf>,
}

impl TaskFiles {
    /// Looks for class folders and, beside them, a folder `unlabelled`.
    pub(super) fn find(root: &Path) -> Result<Self> {
        let ClassFolders {
            mut classes,
            left_out,
        } = class_folders(root)?;
        say_left_out(&left_out, "directly in the folder of their class");
        let is_unlabelled = |(name, _): &(String, _)| UNLABELLED.contains(&name.as_str());
        let unlabelled = classes.extract_if(.., |class| is_unlabelled(class));
        let unlabelled: Vec<PathBuf> = unlabelled.flat_map(|(_, files)| files).collect();
        let n_pictures =
            unlabelled.len() + classes.iter().map(|(_, files)| files.len()).sum::<usize>();
        if n_pictures > MAX_PICTURES {
            bail!(
                "{} holds {n_pictures} pictures, expected at most {MAX_PICTURES}",
                root.display()
            );
        }
        if classes.len() < 2 {
            bail!(
                "{} has {} class folder{} with PNG or JPEG pictures, expected at least 2",
                root.display(),
                classes.len(),
                if classes.len() == 1 { "" } else { "s" }
            );
        }
        Ok(Self {
            root: root.to_owned(),
            classes,
            unlabelled,
        })
    }

    /// The first picture of each class, to find out what kind of pictures they are.
    pub(super) fn first_pictures(&self) -> Result<Vec<Picture>> {
        let firsts = self.classes.iter().filter_map(|(_, files)| files.first());
        firsts.map(|file| Ok(Picture::read(file)?)).collect()
    }

    /// Reads all pictures.
    pub(super) fn read(&self, shape: ImageShape, invert: bool) -> Result<Task> {
        let mut images = Vec::new();
        let labelled = (self.classes.iter().enumerate())
            .flat_map(|(label, (_, files))| files.iter().map(move |file| (Some(label), file)));
        let unlabelled = self.unlabelled.iter().map(|file| (None, file));
        for (label, file) in labelled.chain(unlabelled) {
            images.push(TaskImage::read(file, &self.root, label, shape, invert)?);
        }
        Ok(Task {
            labels: self.classes.iter().map(|(name, _)| name.clone()).collect(),
            images,
            shape,
        })
    }
}

impl TaskImage {
    fn read(
        file: &Path,
        root: &Path,
        label: Option<usize>,
        shape: ImageShape,
        invert: bool,
    ) -> Result<Self> {
        let bytes = bounded::read(file, MAX_FILE_BYTES)?;
        let below = file.strip_prefix(root).unwrap_or(file);
        Ok(Self {
            pixels: Picture::decode(&bytes, file)?.fit(shape, invert),
            label,
            file: below.to_string_lossy().replace('\\', "/"),
            sha256: sha256(&bytes),
        })
    }
}

impl Task {
    /// The task of a bundle, from its golden images.
    pub(super) fn of_bundle(bundle: &Bundle) -> Result<Self> {
        let image = bundle.cnn.image;
        let shape = ImageShape {
            channels: image.channels,
            height: image.height,
            width: image.width,
        };
        let support = &bundle.manifest.support;
        if support.len() * shape.len() != bundle.golden.images.len() {
            bail!(
                "the bundle lists {} pictures and holds {}: it does not have all that its \
                 generator saw, so make it anew with generate",
                support.len(),
                bundle.golden.images.len() / shape.len()
            );
        }
        let labels = bundle.manifest.labels.clone();
        let index: BTreeMap<&String, usize> = (labels.iter().enumerate())
            .map(|(label, name)| (name, label))
            .collect();
        let pixels = bundle.golden.images.chunks(shape.len());
        let images = support
            .iter()
            .zip(pixels)
            .map(|(support, pixels)| TaskImage {
                pixels: pixels.to_vec(),
                label: (support.label.as_ref()).and_then(|label| index.get(label).copied()),
                file: support.file.clone(),
                sha256: support.sha256.clone(),
            });
        Ok(Self {
            images: images.collect(),
            labels: labels.clone(),
            shape,
        })
    }

    /// Labelled pictures of each class, on the mean.
    pub(super) fn images_per_class(&self) -> f64 {
        let labelled = self.images.iter().filter(|image| image.label.is_some());
        labelled.count() as f64 / self.labels.len() as f64
    }

    /// The same task with a further class.
    pub(super) fn with_class(
        mut self,
        name: &str,
        files: &[PathBuf],
        invert: bool,
    ) -> Result<Self> {
        if self.labels.iter().any(|label| label == name) {
            bail!("the bundle has a class {name} already: remove it first, or give --name");
        }
        let label = self.labels.len();
        self.labels.push(name.to_owned());
        let mut added = Vec::new();
        for file in files {
            let root = file.parent().unwrap_or(Path::new(""));
            let image = TaskImage::read(file, root, Some(label), self.shape, invert)?;
            let file = format!("{name}/{}", image.file);
            added.push(TaskImage { file, ..image });
        }
        // The unlabelled ones stay last.
        let at = self
            .images
            .iter()
            .filter(|image| image.label.is_some())
            .count();
        self.images.splice(at..at, added);
        Ok(self)
    }

    /// The same task without a class.
    pub(super) fn without_class(mut self, name: &str) -> Result<Self> {
        let Some(removed) = self.labels.iter().position(|label| label == name) else {
            let labels = self.labels.join(", ");
            bail!("the bundle has no class {name}, expected one of {labels}");
        };
        if self.labels.len() == 2 {
            bail!("the bundle has 2 classes, and none can be removed");
        }
        self.labels.remove(removed);
        self.images.retain(|image| image.label != Some(removed));
        for image in &mut self.images {
            image.label = image
                .label
                .map(|label| label - usize::from(label > removed));
        }
        Ok(self)
    }

    /// The same task without its unlabelled pictures.
    pub(super) fn labelled_only(mut self) -> Self {
        self.images.retain(|image| image.label.is_some());
        self
    }

    /// The same task without one picture.
    pub(super) fn without(&self, at: usize) -> Self {
        let mut task = self.clone();
        task.images.remove(at);
        task
    }

    /// Shape of the images.
    pub(super) fn shape(&self) -> ImageShape {
        self.shape
    }

    /// Labelled pictures of a class.
    pub(super) fn n_shots(&self, label: usize) -> usize {
        let images = self.images.iter();
        images.filter(|image| image.label == Some(label)).count()
    }

    /// Whether all pictures are the same, of which there are several.
    pub(super) fn is_all_alike(&self) -> bool {
        let is_same = |pair: &[TaskImage]| pair[0].pixels == pair[1].pixels;
        self.images.len() > 1 && self.images.windows(2).all(is_same)
    }

    /// All bytes, picture after picture.
    pub(super) fn pixels(&self) -> Vec<u8> {
        let images = self.images.iter();
        images.flat_map(|image| &image.pixels).copied().collect()
    }

    /// What the bundle says of the pictures.
    pub(super) fn support_images(&self) -> Vec<SupportImage> {
        let image = |image: &TaskImage| SupportImage {
            file: image.file.clone(),
            label: image.label.map(|label| self.labels[label].clone()),
            sha256: image.sha256.clone(),
        };
        self.images.iter().map(image).collect()
    }

    /// The support set of one episode, for a generator of N labels.
    pub(super) fn support_set(&self, ways: usize, device: &Device) -> SupportSet {
        let n_images = self.images.len();
        let labels = self
            .images
            .iter()
            .map(|image| image.label.unwrap_or(ways) as i32);
        let labels = TensorData::new(labels.collect(), [1, n_images]);
        let n_labels = self.labels.len();
        let absent: Vec<bool> = (0..ways).map(|label| label >= n_labels).collect();
        let absent = (n_labels < ways)
            .then(|| Tensor::from_data(TensorData::new(absent, [1, ways]), device));
        SupportSet {
            absent,
            ..SupportSet::new(
                images(&self.pixels(), self.shape, device),
                Tensor::from_data(labels, device),
            )
        }
    }
}

/// Bytes as the images of one episode.
///
/// # Shapes
/// - returns: `[1, B, C, H, W]`, pixels in [-1, 1)
pub(super) fn images(bytes: &[u8], shape: ImageShape, device: &Device) -> Tensor<5> {
    let values: Vec<f32> = bytes.iter().copied().map(normalize_pixel).collect();
    let n_images = bytes.len() / shape.len();
    let shape = [1, n_images, shape.channels, shape.height, shape.width];
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SHAPE: ImageShape = ImageShape {
        channels: 1,
        height: 8,
        width: 8,
    };

    /// A folder of two classes with two pictures each.
    fn task() -> tempfile::TempDir {
        let folder = tempfile::TempDir::new().expect("a folder");
        for name in ["ash/1.png", "ash/2.png", "birch/1.png", "birch/2.png"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            let picture = image::GrayImage::from_pixel(8, 8, image::Luma([name.len() as u8]));
            picture.save(path).expect("written");
        }
        folder
    }

    #[test]
    fn what_is_decoded_is_what_the_digest_is_of() {
        let folder = task();
        let task = TaskFiles::find(folder.path()).expect("two classes");
        let task = task.read(SHAPE, false).expect("pictures");
        let image = &task.images[2];
        assert_eq!(image.file, "birch/1.png");
        let bytes = fs::read(folder.path().join(&image.file)).expect("read");
        assert_eq!(image.sha256, sha256(&bytes));
        let picture = Picture::decode(&bytes, Path::new("it")).expect("a picture");
        assert_eq!(image.pixels, picture.fit(SHAPE, false));
    }

    #[test]
    fn a_picture_of_any_length_is_refused() {
        let folder = task();
        let path = folder.path().join("birch/2.png");
        let file = fs::File::create(path).expect("made");
        file.set_len(MAX_FILE_BYTES + 1).expect("a sparse file");
        let task = TaskFiles::find(folder.path()).expect("two classes");
        let error = task.read(SHAPE, false).expect_err("too long").to_string();
        assert!(
            error.contains("birch/2.png") && error.contains("expected at most 67108864"),
            "{error}"
        );
    }

    #[test]
    #[cfg(unix)]
    fn a_pipe_is_refused() {
        let folder = task();
        let path = folder.path().join("birch/3.png");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("mkfifo").success());
        let task = TaskFiles::find(folder.path()).expect("two classes");
        let error = task.read(SHAPE, false).expect_err("a pipe").to_string();
        assert!(
            error.contains("birch/3.png") && error.contains("not a regular file"),
            "{error}"
        );
    }

    #[test]
    fn a_class_folder_without_pictures_is_named() {
        let folder = task();
        let inner = folder.path().join("cedar/2024");
        fs::create_dir_all(&inner).expect("made");
        fs::copy(folder.path().join("ash/1.png"), inner.join("1.png")).expect("copied");
        let error = TaskFiles::find(folder.path()).expect_err("no picture");
        let error = error.to_string();
        assert!(
            error.contains("cedar: no picture, expected PNG or JPEG") && error.contains("2024"),
            "{error}"
        );
    }
}
