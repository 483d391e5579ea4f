//! What a scalar means: plain ones by YAML 1.2's core schema and nothing else, all others are text.

use serde_json::Value;

/// A scalar as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// Its text, without quotes.
    pub text: String,
    /// Whether it was written without quotes, so that it may mean something else than text.
    pub plain: bool,
}

impl Scalar {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), plain: false }
    }

    /// Whether it is nothing: left out, `~` or `null`.
    pub fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null")
    }

    /// Whether it is text, quoted or not.
    pub fn is_text(&self) -> bool {
        self.to_value().is_string()
    }

    /// The value that it means. Whatever other tools may take for a number or a boolean (`yes`, `0755`, `1_000`,
    /// `0x1F`, `.inf`, `1e3`) is text here, and is refused where a number or boolean is expected.
    pub fn to_value(&self) -> Value {
        match self.text.as_str() {
            _ if !self.plain => Value::String(self.text.clone()),
            "" | "~" | "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            text => number(text).unwrap_or_else(|| Value::String(self.text.clone())),
        }
    }

    /// What to write instead, where this looks like a boolean to people or to other tools.
    pub(crate) fn boolean_meant(&self) -> Option<&'static str> {
        match self.text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" | "true" => Some("true"),
            "no" | "off" | "n" | "false" => Some("false"),
            _ => None,
        }
    }

    /// Whether this looks like a number to people or to other tools.
    pub(crate) fn number_meant(&self) -> bool {
        self.text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
    }

    /// Whether nothing but its quotes keep it from being a number.
    pub(crate) fn is_quoted_number(&self) -> bool {
        !self.plain && number(&self.text).is_some()
    }
}

fn number(text: &str) -> Option<Value> {
    // No number of a document is longer, and what is longer would lose digits in silence.
    const BYTES_MAX: usize = 18;
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let sound = text.len() <= BYTES_MAX && all_digits(whole) && (whole == "0" || !whole.starts_with('0'));
    match fraction {
        None if sound => text.parse::<i64>().ok().map(Value::from),
        Some(fraction) if sound && all_digits(fraction) => text.parse::<f64>().ok().map(Value::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plain(text: &str) -> Value {
        Scalar { text: text.into(), plain: true }.to_value()
    }

    #[test]
    fn plain_scalars_mean_what_the_core_schema_says() {
        for (text, value) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("null", json!(null)),
            ("true", json!(true)),
            ("false", json!(false)),
            ("0", json!(0)),
            ("-12", json!(-12)),
            ("1.30", json!(1.3)),
        ] {
            assert_eq!(plain(text), value, "{text:?}");
        }
    }

    #[test]
    fn what_other_tools_take_for_numbers_and_booleans_stays_text() {
        for text in [
            "yes",
            "No",
            "on",
            "OFF",
            "y",
            "n",
            "True",
            "NULL",
            "0755",
            "0o755",
            "0x1F",
            "1_000",
            ".inf",
            "-.inf",
            ".nan",
            "1e3",
            "+5",
            "1.",
            ".5",
            "99999999999999999999",
            "1:30",
            "2026-11-21",
            "00",
            "-",
            "1.2.3",
        ] {
            assert_eq!(plain(text), json!(text));
        }
    }
}
