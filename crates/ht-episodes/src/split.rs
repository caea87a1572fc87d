//! Which classes are for training, which for choosing the model, which for the final test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::source::open_table;
use crate::{EpisodeError, ImageSet, python_shuffle, random};

/// One of the three disjoint parts of a data set's classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// Classes that the generator learns from.
    Train,
    /// Classes that choose the best checkpoint.
    Validation,
    /// Classes that are looked at once, for the figure to report.
    Test,
}

impl Split {
    /// All parts, in order.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// Its name in files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// How the classes are divided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SplitConfig {
    /// A seeded shuffle; what is neither validation nor test is for training.
    Seed {
        /// Seed of the shuffle.
        seed: u64,
        /// Classes for validation.
        validation: usize,
        /// Classes for the test.
        test: usize,
    },
    /// The released code's split: the classes, permuted by Python's shuffle, counted off in
    /// order; what is left is in no split.
    ///
    /// The permutation acts on the order in which the set lists its classes. Which order that
    /// was for the released data is not known beyond the permutation itself.
    ReleasedCode {
        /// Seed of [`python_shuffle`]; 0 leaves the order as it is.
        seed: u64,
        /// Classes for training, the first ones.
        train: usize,
        /// Classes for validation, the next ones.
        validation: usize,
        /// Classes for the test, the ones after.
        test: usize,
    },
    /// As the data set's own files divide the classes: mini-imagenet, tiered-imagenet,
    /// cifar-fs and fc100 do. Braces, for without them unknown keys would pass.
    Official {},
    /// A CSV file with the columns `class` and `split` (train, validation or test);
    /// classes that it does not name are left out.
    File {
        /// The file, relative to the working directory.
        path: PathBuf,
    },
}

/// Disjoint lists of classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassSplit {
    parts: [Vec<usize>; 3],
}

impl ClassSplit {
    /// Divides the classes of a set as a configuration says.
    ///
    /// # Errors
    /// More validation and test classes than there are, an unreadable file, a class that
    /// the set does not have or that stands in two splits.
    pub fn new(config: &SplitConfig, images: &ImageSet) -> Result<Self, EpisodeError> {
        match config {
            SplitConfig::Seed {
                seed,
                validation,
                test,
            } => {
                // Shuffled by name, not by position: the same set in another layout on disk
                // has the same split.
                let mut classes: Vec<usize> = (0..images.n_classes()).collect();
                classes.sort_by_key(|&class| images.class_name(class));
                Self::by_seed(*seed, *validation, *test, classes)
            }
            SplitConfig::ReleasedCode {
                seed,
                train,
                validation,
                test,
            } => Self::released_code(*seed, [*train, *validation, *test], images.n_classes()),
            SplitConfig::Official {} => Self::official(images),
            SplitConfig::File { path } => Self::from_file(path, images),
        }
    }

    fn official(images: &ImageSet) -> Result<Self, EpisodeError> {
        let mut parts = [vec![], vec![], vec![]];
        for class in 0..images.n_classes() {
            let split = images.official_split(class).ok_or_else(|| {
                EpisodeError::BadSplit(format!(
                    "class {} has no official split; mini-imagenet, tiered-imagenet, cifar-fs \
                     and fc100 have one, for others take split.by = \"seed\" or \"file\"",
                    images.class_name(class)
                ))
            })?;
            parts[split as usize].push(class);
        }
        Ok(Self { parts })
    }

    fn by_seed(
        seed: u64,
        validation: usize,
        test: usize,
        mut classes: Vec<usize>,
    ) -> Result<Self, EpisodeError> {
        let n_classes = classes.len();
        if validation.saturating_add(test) >= n_classes {
            return Err(EpisodeError::BadSplit(format!(
                "split.validation {validation} + split.test {test} leave no training class \
                 of the {n_classes} classes"
            )));
        }
        classes.shuffle(&mut random::stream(seed, "split", 0, 0));
        let rest = classes.split_off(validation + test);
        let test = classes.split_off(validation);
        Ok(Self {
            parts: [rest, classes, test],
        })
    }

    fn released_code(
        seed: u64,
        counts: [usize; 3],
        n_classes: usize,
    ) -> Result<Self, EpisodeError> {
        let needed = counts
            .iter()
            .fold(0, |sum: usize, &count| sum.saturating_add(count));
        if needed > n_classes {
            let [train, validation, test] = counts;
            return Err(EpisodeError::BadSplit(format!(
                "split.train {train} + split.validation {validation} + split.test {test} are more \
                 than the {n_classes} classes"
            )));
        }
        // New class i is old class order[i].
        let order = match seed {
            0 => (0..n_classes).collect(),
            _ => python_shuffle(seed, n_classes),
        };
        let mut rest = order.into_iter();
        Ok(Self {
            parts: counts.map(|count| rest.by_ref().take(count).collect()),
        })
    }

    fn from_file(path: &Path, images: &ImageSet) -> Result<Self, EpisodeError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Row {
            class: String,
            split: Split,
        }
        let by_name: BTreeMap<&str, usize> = (0..images.n_classes())
            .map(|class| (images.class_name(class), class))
            .collect();
        let mut reader = open_table(path)?;
        let mut parts = [vec![], vec![], vec![]];
        let mut seen = vec![false; images.n_classes()];
        for row in reader.deserialize() {
            let row: Row = row.map_err(|cause| EpisodeError::unreadable(path, cause))?;
            let bad = |cause: &str| {
                let class: String = row.class.chars().take(100).collect();
                EpisodeError::BadSplit(format!("{}: class {class} {cause}", path.display()))
            };
            let class = *by_name
                .get(row.class.as_str())
                .ok_or_else(|| bad("is not in the data set"))?;
            if std::mem::replace(&mut seen[class], true) {
                return Err(bad("is named twice, expected once: splits share no class"));
            }
            parts[row.split as usize].push(class);
        }
        Ok(Self { parts })
    }

    /// Classes of one part.
    pub fn classes(&self, split: Split) -> &[usize] {
        &self.parts[split as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::{ImageClass, ImageShape};

    fn images(n_classes: usize) -> ImageSet {
        let shape = ImageShape {
            channels: 1,
            height: 1,
            width: 1,
        };
        let class = |index| ImageClass {
            name: format!("c{index}"),
            pixels: vec![0],
            official: None,
        };
        ImageSet::new(shape, (0..n_classes).map(class).collect()).expect("one image per class")
    }

    fn file_split(text: &str) -> Result<ClassSplit, String> {
        let mut file = tempfile::NamedTempFile::new().expect("temporary file");
        file.write_all(text.as_bytes()).expect("written");
        let path = file.path().to_owned();
        ClassSplit::new(&SplitConfig::File { path }, &images(4)).map_err(|e| e.to_string())
    }

    #[test]
    fn seeded_parts_are_disjoint_and_complete() {
        let split = ClassSplit::by_seed(3, 20, 30, (0..100).collect()).expect("enough classes");
        let mut all: Vec<usize> = Split::ALL
            .iter()
            .flat_map(|part| split.classes(*part).to_vec())
            .collect();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        assert_eq!(split.classes(Split::Validation).len(), 20);
        assert_eq!(split.classes(Split::Test).len(), 30);
        let other = ClassSplit::by_seed(4, 20, 30, (0..100).collect());
        assert_ne!(split, other.expect("enough classes"));
    }

    #[test]
    fn the_order_of_classes_on_disk_does_not_matter() {
        let shape = images(1).shape();
        let set = |names: [&str; 5]| {
            let class = |name: &str| ImageClass {
                name: name.to_owned(),
                pixels: vec![0],
                official: None,
            };
            ImageSet::new(shape, names.map(class).to_vec()).expect("one image per class")
        };
        let config = SplitConfig::Seed {
            seed: 1,
            validation: 1,
            test: 2,
        };
        let test_names = |images: &ImageSet| {
            let split = ClassSplit::new(&config, images).expect("enough classes");
            let names = split.classes(Split::Test).iter();
            names
                .map(|&class| images.class_name(class).to_owned())
                .collect::<Vec<_>>()
        };
        let sorted = set(["a", "b", "c", "d", "e"]);
        let shuffled = set(["d", "a", "e", "c", "b"]);
        assert_eq!(test_names(&sorted), test_names(&shuffled));
    }

    #[test]
    fn the_released_split_counts_off_a_permutation() {
        let split = |seed, train| {
            let config = SplitConfig::ReleasedCode {
                seed,
                train,
                validation: 2,
                test: 3,
            };
            ClassSplit::new(&config, &images(10)).map_err(|e| e.to_string())
        };
        // The permutation is 3 1 5 0 6 2 9 7 4 8; the last class is in no split.
        let permuted = split(2022, 4).expect("enough classes");
        assert_eq!(permuted.classes(Split::Train), [3, 1, 5, 0]);
        assert_eq!(permuted.classes(Split::Validation), [6, 2]);
        assert_eq!(permuted.classes(Split::Test), [9, 7, 4]);
        let as_they_are = split(0, 4).expect("enough classes");
        assert_eq!(as_they_are.classes(Split::Test), [6, 7, 8]);
        let error = split(2022, 6).expect_err("11 of 10 classes");
        assert!(error.contains("are more than the 10 classes"), "{error}");
    }

    #[test]
    fn an_official_split_needs_one_for_every_class() {
        let by_official = |official: [Option<Split>; 3]| {
            let class = |(number, official)| ImageClass {
                name: format!("c{number}"),
                pixels: vec![0],
                official,
            };
            let classes = official.into_iter().enumerate().map(class).collect();
            let set = ImageSet::new(images(1).shape(), classes);
            ClassSplit::new(
                &SplitConfig::Official {},
                &set.expect("one image per class"),
            )
        };
        let (test, train) = (Some(Split::Test), Some(Split::Train));
        let split = by_official([test, train, test]).expect("all have one");
        assert_eq!(Split::ALL.map(|part| split.classes(part).len()), [1, 0, 2]);
        assert_eq!(split.classes(Split::Test), [0, 2]);
        let error = by_official([test, None, train]).expect_err("one has none");
        assert!(error.to_string().contains("cifar-fs"), "{error}");
    }

    #[test]
    fn a_file_divides_by_name() {
        let split = file_split("class,split\nc2,train\nc0,test\nc1,validation\n").expect("valid");
        assert_eq!(split.classes(Split::Train), [2]);
        assert_eq!(split.classes(Split::Validation), [1]);
        assert_eq!(split.classes(Split::Test), [0]);
    }

    #[test]
    fn bad_files_are_named() {
        let twice = file_split("class,split\nc2,train\nc2,test\n").expect_err("shared class");
        assert!(twice.contains("c2 is named twice"), "{twice}");
        let unknown = file_split("class,split\nzz,train\n").expect_err("unknown class");
        assert!(unknown.contains("zz is not in the data set"), "{unknown}");
        let word = file_split("class,split\nc1,dev\n").expect_err("unknown split");
        assert!(word.contains("dev"), "{word}");
    }

    #[test]
    fn too_many_held_out_classes() {
        let error =
            ClassSplit::by_seed(0, 50, 50, (0..100).collect()).expect_err("no training class");
        assert!(error.to_string().contains("leave no training class"));
    }
}
