//! Ids are UUIDs (new ones version 7, RFC 9562), a type for each noun, so that a user's id
//! can't stand where a session's belongs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            utoipa::ToSchema,
        )]
        #[serde(transparent)]
        #[schema(value_type = Uuid)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh version 7 id.
            #[must_use]
            #[allow(clippy::new_without_default)]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The 16 bytes that a store keeps.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// From the 16 bytes that a store keeps.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            /// The hyphenated form alone, in either case: 36 characters.
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                if text.len() != 36 {
                    return Err(NotAnId);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| NotAnId)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

/// The text is no UUID in its hyphenated form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnId;

id! {
    /// A person or an agent with an account.
    UserId
}
id! {
    /// A shared chat session.
    SessionId
}
id! {
    /// A message; its place in the order is its `seq`, not its id.
    MessageId
}
id! {
    /// The row that gives a user access to a session.
    ParticipantId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hyphenated_form_is_an_id() {
        let text = "0192f0c1-2345-7abc-8def-0123456789ab";
        assert_eq!(text.parse::<UserId>().map(|id| id.to_string()), Ok(text.to_owned()));
        assert!(text.to_uppercase().parse::<UserId>().is_ok());
        for bad in
            ["", "x", "0192f0c123457abc8def0123456789ab", "{0192f0c1-2345-7abc-8def-01234567}"]
        {
            assert_eq!(bad.parse::<UserId>(), Err(NotAnId), "{bad}");
        }
    }
}
