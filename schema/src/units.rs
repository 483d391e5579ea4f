//! Durations and points in time as people write them in YAML; no clock is read here.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A span of time in whole seconds, written `30m`, `1h30m`, `7d`, at most 365 days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(u64);

/// The longest duration that a document may name; longer ones are typing errors.
pub const DURATION_SECONDS_MAX: u64 = 365 * 86_400;

impl Duration {
    /// A span of this many seconds.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds)
    }
    /// A span of this many minutes.
    pub const fn from_minutes(minutes: u64) -> Self {
        Self(minutes * 60)
    }
    /// The span in seconds.
    pub const fn seconds(self) -> u64 {
        self.0
    }
}

impl FromStr for Duration {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no duration; write it like 45s, 30m, 1h30m or 7d");
        let mut rest = text;
        let mut total: u64 = 0;
        let mut units = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)].into_iter();
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
            let unit = rest[digits..].chars().next().ok_or_else(wrong)?;
            let (_, factor) = units.find(|(letter, _)| *letter == unit).ok_or_else(wrong)?;
            total = number.checked_mul(factor).and_then(|s| total.checked_add(s)).ok_or_else(wrong)?;
            rest = &rest[digits + unit.len_utf8()..];
        }
        match total {
            _ if text.is_empty() => Err(wrong()),
            seconds if seconds > DURATION_SECONDS_MAX => Err(format!("{text:?} is more than 365d")),
            seconds => Ok(Self(seconds)),
        }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (letter, factor) in [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)] {
            if rest >= factor {
                write!(f, "{}{letter}", rest / factor)?;
                rest %= factor;
            }
        }
        Ok(())
    }
}

/// A point in time in whole seconds since 1970, written in RFC 3339 and UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest time: older than every reading.
    pub const MIN: Self = Self(0);
    /// From seconds since 1970; clamped to the years 1970 to 9999.
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        const LAST: i64 = 253_402_207_200;
        Self(if seconds < 0 {
            0
        } else if seconds > LAST {
            LAST
        } else {
            seconds
        })
    }
    /// Seconds since 1970.
    pub const fn unix_seconds(self) -> i64 {
        self.0
    }
    /// This long after.
    pub const fn plus(self, span: Duration) -> Self {
        Self::from_unix_seconds(self.0.saturating_add(span.0 as i64))
    }
    /// How long after `earlier` this is; zero when it is before.
    pub const fn since(self, earlier: Self) -> Duration {
        let seconds = self.0.saturating_sub(earlier.0);
        Duration(if seconds < 0 { 0 } else { seconds as u64 })
    }
}

impl FromStr for Timestamp {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parsed: jiff::Timestamp =
            text.parse().map_err(|_| format!("{text:?} is no time; write it like 2026-11-21T22:00:00Z"))?;
        // Outside of what is kept, another time than the one that was written would be meant.
        match Self::from_unix_seconds(parsed.as_second()) {
            kept if kept.0 == parsed.as_second() => Ok(kept),
            _ => Err(format!("{text:?} is not in the years 1970 to 9999")),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => write!(f, "@{}", self.0),
        }
    }
}

/// Serde and JSON Schema for a type that is a string in documents: `FromStr`, `Display` and a pattern.
macro_rules! string_scalar {
    ($name:ident, $pattern:expr, $example:expr) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "examples": [$example] })
            }
        }
    };
}
pub(crate) use string_scalar;

string_scalar!(Duration, "^(?=.)([0-9]{1,9}d)?([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?$", "30m");
string_scalar!(
    Timestamp,
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]+)?)?(Z|z|[+-][0-9]{2}:?[0-9]{2})$",
    "2026-11-21T22:00:00Z"
);
