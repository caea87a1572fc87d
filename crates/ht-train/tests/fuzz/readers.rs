//! The readers: each one's name, files to start from, words of its format, and how it is called.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use burn::tensor::Device;
use ht_episodes::{Channels, ClassSplit, EpisodeList, ImageSet, ImageSource, Split, SplitConfig};
use ht_files::sha256;
use ht_train::{EpisodeRecords, Experiment, ExperimentConfig, MetricsLog, RunDir, load_learner};
use image::{DynamicImage, ImageFormat, RgbImage};
use zip::write::{SimpleFileOptions, ZipWriter};

/// One reader.
pub(crate) struct Reader {
    pub(crate) name: &'static str,
    pub(crate) words: &'static [&'static str],
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    /// Writes the bytes where they belong and reads them; whether they could be read.
    pub(crate) read: fn(&Path, &[u8]) -> bool,
}

const NPY_WORDS: &[&str] = &["'shape': (", "|b1", "|u1", "|O", "False", ", ", "\x00"];
const JSON_WORDS: &[&str] = &[
    "{",
    "[",
    "\"",
    ":",
    "null",
    "1e999",
    "-1",
    "\\u0000",
    "\"format\": 2",
];

pub(crate) const READERS: [Reader; 13] = [
    Reader {
        name: "npz",
        words: NPY_WORDS,
        seeds: || vec![zip(&[("images.npy", npy())])],
        read: |folder, bytes| omniglot_npz(folder, bytes),
    },
    Reader {
        name: "npz-array",
        words: NPY_WORDS,
        seeds: || vec![npy()],
        read: |folder, bytes| omniglot_npz(folder, &zip(&[("images.npy", bytes.to_vec())])),
    },
    Reader {
        name: "npy",
        words: NPY_WORDS,
        seeds: || vec![npy()],
        read: read_npy,
    },
    Reader {
        name: "zip",
        words: &["PK\x01\x02", "PK\x03\x04", "PK\x05\x06", "../"],
        seeds: || {
            vec![zip(&[
                ("s/A/c/1.png", picture(ImageFormat::Png)),
                ("s/A/d/1.png", picture(ImageFormat::Png)),
            ])]
        },
        read: |folder, bytes| omniglot(folder, "images_background_small1.zip", bytes),
    },
    Reader {
        name: "pickle",
        words: &[
            "(",
            "t",
            "]",
            "}",
            "\u{7d}q",
            "cnumpy\ndtype\n",
            "R",
            "b",
            ".",
        ],
        seeds: Vec::new,
        read: read_pickle,
    },
    Reader {
        name: "png",
        words: &["IHDR", "IDAT", "PLTE", "tRNS", "IEND"],
        seeds: || vec![picture(ImageFormat::Png)],
        read: |folder, bytes| read_picture(folder, "a.png", &with_crcs(bytes)),
    },
    Reader {
        name: "jpeg",
        words: &[],
        seeds: || vec![picture(ImageFormat::Jpeg)],
        read: |folder, bytes| read_picture(folder, "a.jpg", bytes),
    },
    Reader {
        name: "csv",
        words: &["\"", ",", "\n", "train", "class"],
        seeds: || vec![split_table().into_bytes()],
        read: read_csv,
    },
    Reader {
        name: "toml",
        words: &[
            "[", "]", "{", "=", "\"", "'''", ".", "nan", "inf", "-1", "1e400",
        ],
        seeds: || vec![SMOKE.as_bytes().to_vec()],
        read: |_, bytes| parse(bytes),
    },
    Reader {
        name: "manifest",
        words: JSON_WORDS,
        seeds: || vec![MANIFEST.to_vec()],
        read: read_manifest,
    },
    Reader {
        name: "safetensors",
        words: JSON_WORDS,
        seeds: || vec![PARAMETERS.to_vec()],
        read: read_parameters,
    },
    Reader {
        name: "metrics",
        words: JSON_WORDS,
        seeds: || vec![METRICS.to_vec()],
        read: read_metrics,
    },
    Reader {
        name: "lists",
        words: JSON_WORDS,
        seeds: lists,
        read: read_lists,
    },
];

const SMOKE: &str = include_str!("../../../../configs/smoke.toml");

macro_rules! run_file {
    ($name:literal) => {
        include_bytes!(concat!("../fixtures/format-2/", $name))
    };
}
const METRICS: &[u8] = run_file!("metrics.jsonl");
const MANIFEST: &[u8] = run_file!("checkpoints/step-00000002/manifest.json");
const PARAMETERS: &[u8] = run_file!("checkpoints/step-00000002/parameters.safetensors");

fn npy() -> Vec<u8> {
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 8, 8), }\n";
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend((0..2 * 3 * 8 * 8).map(|pixel| pixel as u8));
    bytes
}

fn zip(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        archive
            .start_file(*name, SimpleFileOptions::default())
            .expect("an entry");
        archive.write_all(bytes).expect("written");
    }
    archive.finish().expect("finished").into_inner()
}

fn picture(format: ImageFormat) -> Vec<u8> {
    let image = RgbImage::from_fn(20, 12, |x, y| {
        image::Rgb([(12 * x) as u8, (20 * y) as u8, 77])
    });
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(image)
        .write_to(&mut bytes, format)
        .expect("encoded");
    bytes.into_inner()
}

/// A changed picture whose sums are right again, so that more than the sums is read.
fn with_crcs(png: &[u8]) -> Vec<u8> {
    let crc = |bytes: &[u8]| {
        !bytes.iter().fold(!0u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| {
                (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
            })
        })
    };
    let mut bytes = png.to_vec();
    let mut at = 8;
    while let Some(length) = bytes.get(at..at + 4) {
        let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
        let end = at.saturating_add(8).saturating_add(length);
        let Some(sum) = bytes.get(at + 4..end).map(crc) else {
            break;
        };
        if let Some(place) = bytes.get_mut(end..end + 4) {
            place.copy_from_slice(&sum.to_be_bytes());
        }
        at = end + 4;
    }
    bytes
}

fn write(path: &Path, bytes: &[u8]) {
    let parent = path.parent().expect("a folder");
    fs::create_dir_all(parent).expect("made");
    fs::write(path, bytes).expect("written");
}

fn omniglot(folder: &Path, name: &str, bytes: &[u8]) -> bool {
    write(&folder.join(name), bytes);
    ImageSource::Omniglot { image_size: 12 }
        .load(Some(folder))
        .is_ok()
}

/// One file of the pair changes.
fn omniglot_npz(folder: &Path, bytes: &[u8]) -> bool {
    write(
        &folder.join("images_evaluation.npz"),
        &zip(&[("images.npy", npy())]),
    );
    omniglot(folder, "images_background.npz", bytes)
}

fn read_npy(folder: &Path, bytes: &[u8]) -> bool {
    write(&folder.join("set.npy"), bytes);
    let source = ImageSource::NpyCache {
        name: "set".to_owned(),
        image_size: 12,
        channels: Channels::Grey,
    };
    source.load(Some(folder)).is_ok()
}

fn read_pickle(folder: &Path, bytes: &[u8]) -> bool {
    for part in ["train", "val", "test"] {
        write(&folder.join(format!("FC100_{part}.pickle")), bytes);
    }
    ImageSource::Fc100 { image_size: 12 }
        .load(Some(folder))
        .is_ok()
}

fn read_picture(folder: &Path, name: &str, bytes: &[u8]) -> bool {
    write(&folder.join("class").join(name), bytes);
    let source = ImageSource::Folder {
        image_size: 12,
        channels: Channels::Colour,
    };
    source.load(Some(folder)).is_ok()
}

fn glyphs() -> Experiment {
    let config = ExperimentConfig::parse(SMOKE, "smoke.toml", &[]).expect("a config");
    Experiment::resolve(config, None).expect("possible")
}

thread_local! {
    static GLYPHS: Experiment = glyphs();
}

fn with_images<T>(work: impl FnOnce(&ImageSet) -> T) -> T {
    GLYPHS.with(|experiment| work(experiment.train_sampler.images()))
}

fn split_table() -> String {
    let parts = ["train", "validation", "test"].into_iter().cycle();
    let rows = with_images(|images| {
        let names = (0..12).map(|class| images.class_name(class).to_owned());
        names
            .zip(parts)
            .map(|(name, part)| format!("{name},{part}\n"))
            .collect::<Vec<String>>()
            .concat()
    });
    format!("class,split\n{rows}")
}

fn read_csv(folder: &Path, bytes: &[u8]) -> bool {
    let path = folder.join("split.csv");
    write(&path, bytes);
    with_images(|images| ClassSplit::new(&SplitConfig::File { path }, images).is_ok())
}

fn parse(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    ExperimentConfig::parse(&text, "fuzz.toml", &[]).is_ok()
}

fn read_manifest(folder: &Path, bytes: &[u8]) -> bool {
    let original: serde_json::Value = serde_json::from_slice(MANIFEST).expect("JSON");
    let changed = serde_json::from_slice::<serde_json::Value>(bytes);
    // Another config can ask for a model of any size, which is no matter of reading.
    if changed.is_ok_and(|changed| changed["config"] != original["config"]) {
        return false;
    }
    write(&folder.join("manifest.json"), bytes);
    write(&folder.join("parameters.safetensors"), PARAMETERS);
    load_learner(folder, &Device::flex()).is_ok()
}

fn read_parameters(folder: &Path, bytes: &[u8]) -> bool {
    let mut manifest: serde_json::Value = serde_json::from_slice(MANIFEST).expect("JSON");
    manifest["parameters_sha256"] = sha256(bytes).into();
    write(
        &folder.join("manifest.json"),
        manifest.to_string().as_bytes(),
    );
    write(&folder.join("parameters.safetensors"), bytes);
    load_learner(folder, &Device::flex()).is_ok()
}

fn read_metrics(folder: &Path, bytes: &[u8]) -> bool {
    let path = folder.join("metrics.jsonl");
    write(&path, bytes);
    write(&folder.join("result.json"), bytes);
    write(&folder.join("run.json"), bytes);
    let _ = (RunDir::report(folder), RunDir::info(folder));
    MetricsLog::open(&path, 100).is_ok()
}

fn lists() -> Vec<Vec<u8>> {
    let records = "{\"method\":\"maml\",\"norm_statistics\":\"support\",\"split\":\"test\",\
                   \"data_sha256\":\"d\",\"episodes_sha256\":\"e\",\"parameters_sha256\":\"p\"}\n\
                   {\"episode\":0,\"accuracy\":0.5}\n";
    let episodes = GLYPHS.with(|experiment| {
        let fixed = experiment.fixed_episodes(Split::Test, 2);
        fixed.list.to_text(fixed.images).expect("a list")
    });
    vec![records.as_bytes().to_vec(), episodes.into_bytes()]
}

fn read_lists(folder: &Path, bytes: &[u8]) -> bool {
    let path = folder.join("list.jsonl");
    write(&path, bytes);
    let is_list = with_images(|images| EpisodeList::read(&path, images).is_ok());
    is_list || EpisodeRecords::read(&path).is_ok()
}
