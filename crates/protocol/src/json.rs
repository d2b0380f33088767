//! Strict reading of what clients send.
//!
//! [`read`] takes one JSON object in UTF-8 and refuses duplicate keys at any depth; unknown
//! fields are ignored. [`Field`] tells an absent field (or `null`) from one of a wrong type, so
//! that `{"content": 5}` is answered as an invalid content and not as broken JSON.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::ErrorCode;

/// Reads one JSON object. Errors are [`ErrorCode::InvalidJson`], whatever is wrong.
pub fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ErrorCode> {
    let first = bytes.iter().find(|b| !matches!(b, b' ' | b'\t' | b'\n' | b'\r'));
    if first != Some(&b'{') {
        return Err(ErrorCode::InvalidJson);
    }
    serde_json::from_slice::<UniqueKeys>(bytes).map_err(|_| ErrorCode::InvalidJson)?;
    serde_json::from_slice(bytes).map_err(|_| ErrorCode::InvalidJson)
}

/// A value of a request that may be absent or of a wrong type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Field<T> {
    #[default]
    Absent,
    Wrong,
    Is(T),
}

impl<T> Field<T> {
    /// The value of an optional field; `wrong` if it has another type.
    pub fn optional(self, wrong: ErrorCode) -> Result<Option<T>, ErrorCode> {
        match self {
            Self::Absent => Ok(None),
            Self::Wrong => Err(wrong),
            Self::Is(value) => Ok(Some(value)),
        }
    }

    /// The value of a required field; [`ErrorCode::MissingField`] if it is not there.
    pub fn required(self, wrong: ErrorCode) -> Result<T, ErrorCode> {
        self.optional(wrong)?.ok_or(ErrorCode::MissingField)
    }
}

/// Text that borrows from the request where it has no escapes.
pub type Text<'a> = Field<Cow<'a, str>>;

/// What a field can be read from.
pub trait Scalar<'de>: Sized {
    fn from_text(_: Cow<'de, str>) -> Option<Self> {
        None
    }
    fn from_bool(_: bool) -> Option<Self> {
        None
    }
    fn from_u64(_: u64) -> Option<Self> {
        None
    }
}

impl<'de: 'a, 'a> Scalar<'de> for Cow<'a, str> {
    fn from_text(text: Cow<'de, str>) -> Option<Self> {
        Some(text)
    }
}

impl Scalar<'_> for bool {
    fn from_bool(value: bool) -> Option<Self> {
        Some(value)
    }
}

impl Scalar<'_> for u64 {
    fn from_u64(value: u64) -> Option<Self> {
        Some(value)
    }
}

struct FieldVisitor<T>(PhantomData<T>);

impl<T> FieldVisitor<T> {
    fn field(value: Option<T>) -> Field<T> {
        value.map_or(Field::Wrong, Field::Is)
    }
}

impl<'de, T: Scalar<'de>> Visitor<'de> for FieldVisitor<T> {
    type Value = Field<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Field<T>, E> {
        Ok(Self::field(T::from_text(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Field<T>, E> {
        Ok(Self::field(T::from_text(Cow::Owned(text.to_owned()))))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Field<T>, E> {
        Ok(Self::field(T::from_bool(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Field<T>, E> {
        Ok(Self::field(T::from_u64(value)))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Field<T>, E> {
        Ok(Field::Wrong)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Field<T>, E> {
        Ok(Field::Wrong)
    }

    fn visit_unit<E>(self) -> Result<Field<T>, E> {
        Ok(Field::Absent)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Field<T>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::Wrong)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field<T>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::Wrong)
    }
}

impl<'de, T: Scalar<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor(PhantomData))
    }
}

/// Walks a JSON value and fails at the first object that has a key twice.
struct UniqueKeys;

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueKeys)
    }
}

impl<'de> Visitor<'de> for UniqueKeys {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<Self>()?.is_some() {}
        Ok(Self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut seen = Keys::default();
        while let Some(Key(key)) = map.next_key()? {
            if !seen.insert(key) {
                return Err(A::Error::custom("a key is given twice"));
            }
            map.next_value::<Self>()?;
        }
        Ok(Self)
    }
}

/// The keys of one object: a list while they are few, as they nearly always are.
#[derive(Default)]
struct Keys<'de> {
    few: Vec<Cow<'de, str>>,
    many: std::collections::HashSet<Cow<'de, str>>,
}

impl<'de> Keys<'de> {
    const FEW: usize = 16;

    fn insert(&mut self, key: Cow<'de, str>) -> bool {
        if self.few.contains(&key) {
            return false;
        }
        if self.few.len() < Self::FEW {
            self.few.push(key);
            return true;
        }
        self.many.insert(key)
    }
}

struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, Debug)]
    struct Body<'a> {
        #[serde(borrow, default)]
        content: Text<'a>,
        #[serde(default)]
        seq: Field<u64>,
    }

    #[test]
    fn absent_null_wrong_and_present_are_told_apart() {
        let body: Body = read(br#" {"content": "a", "seq": -1, "other": [1]}"#).expect("an object");
        assert_eq!(body.content, Field::Is(Cow::Borrowed("a")));
        assert_eq!(body.seq, Field::Wrong);
        let body: Body = read(br#"{"content": null}"#).expect("an object");
        assert_eq!((body.content, body.seq), (Field::Absent, Field::Absent));
        let body: Body = read(br#"{"content": {"a": 1}, "seq": 1e3}"#).expect("an object");
        assert_eq!((body.content, body.seq), (Field::Wrong, Field::Wrong));
    }

    #[test]
    fn what_is_no_plain_object_is_invalid_json() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(500), "]".repeat(500));
        let many = (0..40).map(|i| format!("\"k{i}\":1,")).collect::<String>();
        let twice_among_many = format!("{{{many}\"k39\":2}}");
        for bad in [
            "",
            "[]",
            "\"a\"",
            "null",
            "{",
            "{}{}",
            r#"{"a":1,"a":2}"#,
            r#"{"x":{"a":1,"a":1}}"#,
            r#"{"content":"\ud800"}"#,
            r#"{"seq":1e999}"#,
            &deep,
            &twice_among_many,
        ] {
            assert_eq!(read::<Body>(bad.as_bytes()).expect_err(bad), ErrorCode::InvalidJson);
        }
        assert!(read::<Body>(b"{\"content\":\"\xff\"}").is_err());
    }
}
