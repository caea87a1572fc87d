//! Pictures that a command was given and does not read: whoever gave them should hear of it.

use std::path::PathBuf;

use crate::progress::say;

/// Files and folders that a note names at most.
const MAX_SHOWN: usize = 3;

/// Names what is left out, if anything is, and where pictures are `expected`.
pub(super) fn say_left_out(left_out: &[PathBuf], expected: &str) {
    if let Some(note) = note(left_out, expected) {
        say(&note);
    }
}

fn note(left_out: &[PathBuf], expected: &str) -> Option<String> {
    let shown = left_out.iter().take(MAX_SHOWN);
    let shown: Vec<String> = shown.map(|path| path.display().to_string()).collect();
    let n_more = left_out.len() - shown.len();
    let more = match n_more {
        0 => String::new(),
        _ => format!(" and {n_more} more"),
    };
    let shown = shown.join(", ");
    (!left_out.is_empty())
        .then(|| format!("note: left out: {shown}{more}; expected PNG or JPEG pictures {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_names_the_first_and_counts_the_others() {
        let paths: Vec<PathBuf> = ["a.webp", "b.heic", "c.gif", "d.bmp", "e.tif"]
            .map(PathBuf::from)
            .to_vec();
        let expected = "in the folder";
        assert_eq!(note(&[], expected), None);
        assert_eq!(
            note(&paths[..1], expected).expect("a note"),
            "note: left out: a.webp; expected PNG or JPEG pictures in the folder"
        );
        assert_eq!(
            note(&paths, expected).expect("a note"),
            "note: left out: a.webp, b.heic, c.gif and 2 more; expected PNG or JPEG pictures in \
             the folder"
        );
    }
}
