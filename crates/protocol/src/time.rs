//! Times: microseconds since 1970 inside, RFC 3339 in UTC with six digits outside.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment, in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The wall clock's present moment.
    #[must_use]
    pub fn now() -> Self {
        Self(jiff::Timestamp::now().as_microsecond())
    }

    /// Whole milliseconds since the Unix epoch.
    #[must_use]
    pub fn as_ms(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// `2026-01-31T23:59:59.000001Z`: always 27 bytes for the years 0 to 9999.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let moment = jiff::Timestamp::from_microsecond(self.0).unwrap_or_default();
        format!("{moment:.6}")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!(
            "{:.6}",
            jiff::Timestamp::from_microsecond(self.0).unwrap_or_default()
        ))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let moment: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
        Ok(Self(moment.as_microsecond()))
    }
}

impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("RFC 3339 in UTC with microseconds"))
            .into()
    }
}

impl utoipa::ToSchema for Timestamp {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_always_and_back_again() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_700_000_000_000_001, "2023-11-14T22:13:20.000001Z"),
            (1_700_000_000_100_000, "2023-11-14T22:13:20.100000Z"),
        ] {
            assert_eq!(Timestamp(micros).to_rfc3339(), text);
            let json = serde_json::to_string(&Timestamp(micros)).expect("a string");
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(
                serde_json::from_str::<Timestamp>(&json).expect("a time"),
                Timestamp(micros)
            );
        }
    }
}
