//! The page: sections of text, tables and figures in one HTML file that asks for nothing else.

use std::fmt::Write as _;

use super::figure::Figure;

/// A part of a section.
#[derive(Clone, Debug)]
pub(super) enum Block {
    /// A paragraph.
    Text(String),
    /// A table: the head, then rows of as many cells.
    Table(Vec<String>, Vec<Vec<String>>),
    /// A drawing.
    Figure(Figure),
}

impl Block {
    /// A paragraph.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A table with a head.
    pub(super) fn table<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> Self {
        let head = head.map(str::to_owned).to_vec();
        Self::Table(head, rows.into_iter().map(|row| row.to_vec()).collect())
    }
}

/// A heading and what stands below it.
#[derive(Clone, Debug)]
pub(super) struct Section {
    /// The heading.
    pub(super) title: String,
    /// In order.
    pub(super) blocks: Vec<Block>,
}

impl Section {
    /// A section with its heading.
    pub(super) fn new(title: &str, blocks: Vec<Block>) -> Self {
        Self {
            title: title.to_owned(),
            blocks,
        }
    }

    /// Its drawings.
    pub(super) fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.blocks.iter().filter_map(|block| match block {
            Block::Figure(figure) => Some(figure),
            Block::Text(_) | Block::Table(..) => None,
        })
    }
}

/// What every page begins with, so that it is known again.
const START: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n\
                     <meta name=\"generator\" content=\"hypertransformer explain\">\n";

/// The policy keeps a browser from asking for anything outside the file.
const HEAD: &str = "<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">
<style>
:root { color-scheme: light; }
body { font: 16px/1.5 sans-serif; color: #1a1a1a; background: #fff; max-width: 1000px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
p { max-width: 48rem; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 0.9rem; }
th, td { padding: 0.2rem 0.8rem; text-align: left; border-bottom: 1px solid #ddd; font-variant-numeric: tabular-nums; }
figure { margin: 1.5rem 0; } figure svg { max-width: 100%; height: auto; }
figcaption { font-weight: bold; margin-bottom: 0.4rem; }
</style>
";

/// Whether a file is such a page.
pub(super) fn is_ours(bytes: &[u8]) -> bool {
    bytes.starts_with(START.as_bytes())
}

/// The whole file.
pub(super) fn html(title: &str, sections: &[Section]) -> String {
    let title = escaped(title);
    let mut page =
        format!("{START}<title>{title}</title>\n{HEAD}</head>\n<body>\n<h1>{title}</h1>\n");
    for section in sections {
        let _ = writeln!(page, "<h2>{}</h2>", escaped(&section.title));
        for block in &section.blocks {
            push(&mut page, block);
        }
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn push(page: &mut String, block: &Block) {
    let _ = match block {
        Block::Text(text) => writeln!(page, "<p>{}</p>", escaped(text)),
        Block::Table(head, rows) => {
            let line = |cells: &[String], tag: &str| {
                let cells = cells.iter();
                let cells = cells.map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell)));
                format!("<tr>{}</tr>\n", cells.collect::<String>())
            };
            let rows: String = rows.iter().map(|row| line(row, "td")).collect();
            writeln!(page, "<table>\n{}{rows}</table>", line(head, "th"))
        }
        Block::Figure(figure) => writeln!(
            page,
            "<figure>\n<figcaption>{} ({}.svg)</figcaption>\n{}</figure>",
            escaped(&figure.title),
            escaped(&figure.name),
            figure.svg
        ),
    };
}

/// Names of classes and runs come from outside.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_are_text() {
        let row = ["<script>x</script>".to_owned(), "a & b".to_owned()];
        let blocks = vec![
            Block::text("1 < 2"),
            Block::table(["one", "two"], vec![row]),
        ];
        let page = html("<b>run</b>", &[Section::new("a > b", blocks)]);
        for part in [
            "<title>&lt;b&gt;run&lt;/b&gt;</title>",
            "<h2>a &gt; b</h2>",
            "<p>1 &lt; 2</p>",
            "<td>&lt;script&gt;x&lt;/script&gt;</td><td>a &amp; b</td>",
        ] {
            assert!(page.contains(part), "{page} lacks {part}");
        }
        assert!(!page.contains("<script"));
        assert!(is_ours(page.as_bytes()) && !is_ours(b"<!doctype html>"));
    }
}
