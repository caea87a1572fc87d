//! Frozen episodes: a file that fixes a test for ever, so that two works compare on the same tasks.
//!
//! ```text
//! {"format":1,"data_sha256":"..","split":"test","ways":5,"episodes":1000,"episodes_sha256":".."}
//! {"ways":5,"classes":[{"class":812,"number":31,"label":0,..},..],..}
//! ..
//! ```
//!
//! The digests are SHA-256: of the data over the shape, the names and all pixels as they are read,
//! of the episodes over their lines. A list is only ever used with the data that it was made of.

use std::path::Path;

use ht_files::{Sha256Sum, bounded, sha256};
use serde::{Deserialize, Serialize};

use crate::{EpisodeError, EpisodePlan, ImageSet, PlannedClass, Split};

/// A longer file is none.
const MAX_BYTES: u64 = 512 << 20;
const FORMAT: u32 = 1;

/// The first line of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    data_sha256: String,
    split: String,
    ways: usize,
    episodes: usize,
    episodes_sha256: String,
}

/// Some episodes of one data set.
#[derive(Clone, Debug, PartialEq)]
pub struct EpisodeList {
    split: String,
    plans: Vec<EpisodePlan>,
}

impl EpisodeList {
    /// Episodes whose classes are those of a split.
    pub fn new(split: &str, plans: Vec<EpisodePlan>) -> Self {
        Self {
            split: split.to_owned(),
            plans,
        }
    }

    /// Name of the split.
    pub fn split(&self) -> &str {
        &self.split
    }

    /// The episodes, in order.
    pub fn plans(&self) -> &[EpisodePlan] {
        &self.plans
    }

    /// SHA-256 over the episodes.
    pub fn digest(&self) -> String {
        sha256(self.lines().as_bytes())
    }

    fn lines(&self) -> String {
        self.plans.iter().fold(String::new(), |mut text, plan| {
            text.push_str(&serde_json::to_string(plan).unwrap_or_default());
            text.push('\n');
            text
        })
    }

    /// The file's text.
    ///
    /// # Errors
    /// Episodes that a list cannot hold: those whose images are changed in training.
    pub fn to_text(&self, images: &ImageSet) -> Result<String, EpisodeError> {
        let ways = self.plans.first().map_or(0, |plan| plan.ways);
        if let Some(fault) = self.plans.iter().find_map(|plan| plan.fault(images, ways)) {
            return Err(EpisodeError::BadList(fault));
        }
        Ok(self.text_of(images))
    }

    fn text_of(&self, images: &ImageSet) -> String {
        let lines = self.lines();
        let header = Header {
            format: FORMAT,
            data_sha256: images.digest(),
            split: self.split.clone(),
            ways: self.plans.first().map_or(0, |plan| plan.ways),
            episodes: self.plans.len(),
            episodes_sha256: sha256(lines.as_bytes()),
        };
        let header = serde_json::to_string(&header).unwrap_or_default();
        format!("{header}\n{lines}")
    }

    /// Reads a list for the data that it was made of.
    ///
    /// # Errors
    /// A damaged, too long or no regular file, a list of other data.
    pub fn read(path: &Path, images: &ImageSet) -> Result<Self, EpisodeError> {
        let bad = |cause: String| EpisodeError::unreadable(path, cause);
        let text = bounded::read_text(path, MAX_BYTES)?;
        let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
        let header: Header = serde_json::from_str(first)
            .map_err(|cause| bad(format!("line 1 is no header of an episode list: {cause}")))?;
        if header.format != FORMAT {
            return Err(bad(format!("format {}, expected {FORMAT}", header.format)));
        }
        // The digests say nothing of it.
        let splits = Split::ALL.map(Split::name);
        if !splits.contains(&header.split.as_str()) {
            let (found, expected) = (&header.split, splits.join(", "));
            return Err(bad(format!(
                "line 1: split is {found:.80}, expected one of {expected}"
            )));
        }
        let digest = images.digest();
        if header.data_sha256 != digest {
            return Err(bad(format!(
                "its episodes are of data with SHA-256 {}, but these have {digest}",
                header.data_sha256
            )));
        }
        if sha256(rest.as_bytes()) != header.episodes_sha256 {
            return Err(bad("the episodes do not match their SHA-256".to_owned()));
        }
        let plans: Vec<EpisodePlan> = (rest.lines().enumerate())
            .map(|(at, line)| {
                let plan: EpisodePlan = serde_json::from_str(line)
                    .map_err(|cause| bad(format!("line {}: {cause}", at + 2)))?;
                match plan.fault(images, header.ways) {
                    None => Ok(plan),
                    Some(fault) => Err(bad(format!("line {}: {fault}", at + 2))),
                }
            })
            .collect::<Result<_, _>>()?;
        if plans.len() != header.episodes || plans.is_empty() {
            let n_plans = plans.len();
            let expected = header.episodes.max(1);
            return Err(bad(format!("{n_plans} episodes, expected {expected}")));
        }
        Ok(Self {
            split: header.split,
            plans,
        })
    }
}

impl EpisodePlan {
    /// What keeps a plan from a file from being collated, if anything does.
    fn fault(&self, images: &ImageSet, ways: usize) -> Option<String> {
        if self.ways != ways {
            return Some(format!("{} ways, expected {ways}", self.ways));
        }
        if self.query().next().is_none() || self.support().next().is_none() {
            return Some("no query or no support image".to_owned());
        }
        if self.query().any(|image| image.label.is_none()) {
            return Some("a query image without a label".to_owned());
        }
        let is_square = images.shape().height == images.shape().width;
        let is_changed = |class: &PlannedClass| {
            class.augmentation.is_some() || class.quarter_turns > if is_square { 3 } else { 0 }
        };
        if self.classes.iter().any(is_changed)
            || !self.removed.is_empty()
            || !self.support_changes.is_empty()
            || !self.query_changes.is_empty()
        {
            return Some("changes or removed images, which a test does not have".to_owned());
        }
        self.support().chain(self.query()).find_map(|planned| {
            let (class, image) = (planned.class, planned.image);
            if class >= images.n_classes() || image >= images.n_images(class) {
                return Some(format!("no image {image} of class {class}"));
            }
            let label = planned.label.filter(|&label| label >= ways)?;
            Some(format!("label {label} of {ways} ways"))
        })
    }
}

impl ImageSet {
    /// SHA-256 over the shape, the names and all pixels.
    pub fn digest(&self) -> String {
        let shape = self.shape();
        let mut sum = Sha256Sum::default();
        sum.update(format!(
            "{} {} {}\n",
            shape.channels, shape.height, shape.width
        ));
        for class in 0..self.n_classes() {
            let n_images = self.n_images(class);
            sum.update(format!("{} {n_images}\n", self.class_name(class)));
            (0..n_images).for_each(|image| sum.update(self.image(class, image)));
        }
        sum.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::*;
    use crate::{ClassRotation, ClassSplit, EpisodeSampler, EpisodeSpec, ImageSource, SplitConfig};

    fn sampler(seed: u64) -> EpisodeSampler {
        let source =
            format!("source = 'glyphs'\nclasses = 15\nsamples = 6\nimage_size = 8\nseed = {seed}");
        let source: ImageSource = toml::from_str(&source).expect("valid");
        let images = Arc::new(source.load(None).expect("drawn"));
        let split = SplitConfig::Seed {
            seed: 0,
            validation: 5,
            test: 5,
        };
        let split = ClassSplit::new(&split, &images).expect("enough classes");
        let size = EpisodeSpec::new(3, 1, 2);
        EpisodeSampler::new(images, split, size, ClassRotation::None).expect("possible")
    }

    #[test]
    fn a_list_is_read_as_it_was_written_and_only_with_its_data() {
        let sampler = sampler(1);
        let images = sampler.images();
        let plans = (0..4).map(|index| sampler.plan(7, Split::Test, index));
        let list = EpisodeList::new("test", plans.collect());
        let text = list.to_text(images).expect("possible");
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("list.jsonl");
        let read = |text: &str| {
            fs::write(&path, text).expect("written");
            EpisodeList::read(&path, images).map_err(|error| error.to_string())
        };
        assert_eq!(read(&text), Ok(list));
        let fails = |text: &str, expected: &str| {
            let error = read(text).expect_err(expected);
            assert!(
                error.contains(expected) && error.contains("list.jsonl"),
                "{error}"
            );
        };
        fails(
            &text.replace("\"label\":1", "\"label\":2"),
            "do not match their SHA-256",
        );
        fails(
            &text.replace("\"format\":1", "\"format\":9"),
            "format 9, expected 1",
        );
        fails(
            &text.replace("\"split\":\"test\"", "\"split\":\"text\""),
            "split is text, expected one of train, validation, test",
        );
        fails("", "no header");
        let folder_is_none = EpisodeList::read(folder.path(), images).expect_err("a folder");
        let error = folder_is_none.to_string();
        assert!(error.contains("not a regular file"), "{error}");
        let file = fs::File::create(&path).expect("made");
        file.set_len(MAX_BYTES + 1).expect("a sparse file");
        let too_long = EpisodeList::read(&path, images).expect_err("too long");
        let error = too_long.to_string();
        assert!(error.contains("expected at most 536870912"), "{error}");
        let other = sampler_digest(2);
        fails(
            &text.replace(&images.digest(), &other),
            "of data with SHA-256",
        );

        // A list whose digests are right, but whose episodes are impossible.
        let forged = |change: fn(&mut EpisodePlan)| {
            let mut plan = sampler.plan(7, Split::Test, 0);
            change(&mut plan);
            let list = EpisodeList::new("test", vec![plan]);
            // It would not be written either.
            let error = list.to_text(images).expect_err("impossible");
            assert!(error.to_string().starts_with("episode list: "), "{error}");
            list.text_of(images)
        };
        fails(&forged(|plan| plan.classes[0].class = 99), "no image");
        fails(&forged(|plan| plan.classes[0].query[0] = 99), "no image 99");
        fails(
            &forged(|plan| plan.classes[0].label = Some(3)),
            "label 3 of 3 ways",
        );
        fails(
            &forged(|plan| plan.classes.clear()),
            "no query or no support image",
        );
        let unsupported = |plan: &mut EpisodePlan| {
            plan.classes
                .iter_mut()
                .for_each(|class| class.support.clear());
        };
        fails(&forged(unsupported), "no query or no support image");
        fails(
            &forged(|plan| plan.classes[0].label = None),
            "a query image without a label",
        );
        fails(
            &forged(|plan| plan.classes[0].quarter_turns = 4),
            "changes or removed",
        );
        fails(
            &forged(|plan| plan.removed = vec![true]),
            "changes or removed",
        );
    }

    fn sampler_digest(seed: u64) -> String {
        sampler(seed).images().digest()
    }

    #[test]
    fn digests_do_not_change() {
        // Written down once: they guard the glyphs and the sampler.
        let sampler = sampler(1);
        let plans = (0..4).map(|index| sampler.plan(7, Split::Test, index));
        let list = EpisodeList::new("test", plans.collect());
        let digests =
            [sampler.images().digest(), list.digest()].map(|digest| digest[..16].to_owned());
        assert_eq!(digests, ["5efe8550afefff83", "09a5e84e5e84293c"]);
    }
}
