//! Keys of a config by their dotted paths: what `--set` changes, and in what two configs differ.

use toml::{Table, Value};

/// One `--set key=value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    pub(super) key: String,
    pub(super) value: Value,
}

impl std::str::FromStr for Override {
    type Err = String;

    /// The value is TOML; what is not TOML is taken as a string.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| format!("{text:?} has no '=', expected key=value"))?;
        let (key, value) = (key.trim().to_owned(), value.trim());
        let mut parsed = format!("value = {value}").parse::<Table>();
        let n_values = parsed.as_ref().map_or(1, Table::len);
        let of_toml = parsed.as_mut().ok().and_then(|table| table.remove("value"));
        if n_values > 1 || (of_toml.is_none() && value.contains('\n')) {
            return Err(format!(
                "{text:?} holds more than a value, expected another --set for each key"
            ));
        }
        let value = of_toml.unwrap_or_else(|| Value::String(value.to_owned()));
        Ok(Self { key, value })
    }
}

/// Dotted paths of all values that are no tables.
pub(super) fn leaf_keys(table: &Table) -> Vec<String> {
    table
        .iter()
        .flat_map(|(key, value)| match value {
            Value::Table(inner) => leaf_keys(inner)
                .into_iter()
                .map(|rest| format!("{key}.{rest}"))
                .collect(),
            _ => vec![key.clone()],
        })
        .collect()
}

/// The value of a key.
pub(super) fn get<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((first, rest)) => get(table.get(first)?.as_table()?, rest),
    }
}

/// Gives a key a value, in sections that may be new.
pub(super) fn set(table: &mut Table, key: &str, value: Value) -> Result<(), String> {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
            Ok(())
        }
        Some((first, rest)) => {
            let inner = table
                .entry(first)
                .or_insert_with(|| Value::Table(Table::new()))
                .as_table_mut()
                .ok_or_else(|| format!("{first} is a value, expected a section"))?;
            set(inner, rest, value)
        }
    }
}

/// The known key that looks most like a wrong one.
pub(super) fn nearest<'a>(key: &str, known: &'a [String]) -> &'a str {
    known
        .iter()
        .max_by(|a, b| strsim::jaro_winkler(key, a).total_cmp(&strsim::jaro_winkler(key, b)))
        .map_or("", String::as_str)
}
