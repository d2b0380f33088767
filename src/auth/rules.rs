//! What a name, an email and a password must look like, before anything is done with them.
//!
//! Lengths come first, so that nothing long is ever hashed, compared or stored.

use protocol::ErrorCode;
use protocol::json::Text;
use protocol::limits::{EMAIL_BYTES_MAX, NAME_CHARS_MAX, PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN};
use zxcvbn::matching::patterns::MatchPattern;

use super::{Error, Result};

/// A password is too common when it is among so many first ones of a list of words.
const COMMON_RANK_MAX: usize = 5_000;
/// No word of the lists is longer, in characters; looking at more would only cost time.
const COMMON_CHARS_MAX: usize = 24;

/// A required field's text; `wrong` if it is of another type.
pub(super) fn text<'a>(field: &'a Text<'_>, wrong: Error) -> Result<&'a str> {
    match field {
        Text::Is(text) => Ok(text),
        Text::Wrong => Err(wrong),
        Text::Absent => Err(Error::MissingField),
    }
}

/// Trimmed: 1 to 100 characters, no control characters.
pub(super) fn name(text: &str) -> Result<&str> {
    let name = text.trim();
    // Bytes first: counting characters of half a megabyte is work.
    let fits = name.len() <= 4 * NAME_CHARS_MAX && name.chars().count() <= NAME_CHARS_MAX;
    if name.is_empty() || !fits || name.chars().any(char::is_control) {
        return Err(Error::InvalidName);
    }
    Ok(name)
}

/// Something, one @, something; 254 bytes at most; no white space, no control characters.
pub(super) fn email(text: &str) -> Result<&str> {
    let parts = text.split_once('@').filter(|_| text.len() <= EMAIL_BYTES_MAX);
    let Some((local, domain)) = parts else { return Err(Error::InvalidEmail) };
    let odd = |c: char| c.is_whitespace() || c.is_control();
    if local.is_empty() || domain.is_empty() || domain.contains('@') || text.contains(odd) {
        return Err(Error::InvalidEmail);
    }
    Ok(text)
}

/// Whether it may be an account's email.
#[must_use]
pub fn is_email(text: &str) -> bool {
    email(text).is_ok()
}

/// Whether it may be a user's name, as it is kept.
#[must_use]
pub fn is_name(text: &str) -> bool {
    name(text) == Ok(text)
}

/// 8 to 128 characters, any.
pub(super) fn password(text: &str) -> Result<&str> {
    if text.len() < PASSWORD_CHARS_MIN || !is_hashable(text) {
        return Err(Error::InvalidPassword);
    }
    if text.chars().count() < PASSWORD_CHARS_MIN {
        return Err(Error::InvalidPassword);
    }
    Ok(text)
}

/// Whether a password is short enough to be anybody's.
pub(super) fn is_hashable(password: &str) -> bool {
    password.len() <= 4 * PASSWORD_CHARS_MAX && password.chars().count() <= PASSWORD_CHARS_MAX
}

/// Whether the whole password is one word near the top of the lists of `zxcvbn` (which keeps a
/// word in that list alone where it ranks best, so names and words count too), in any case, also
/// with digits for letters or backwards. Repeated digits count as well: `zxcvbn` calls them a
/// repetition before it looks for them in its list. Takes less than a millisecond, but belongs
/// on the threads that hash.
pub(super) fn is_common(password: &str) -> bool {
    if password.chars().count() > COMMON_CHARS_MAX {
        return false;
    }
    let estimate = zxcvbn::zxcvbn(&password.to_lowercase(), &[]);
    let [only] = estimate.sequence() else { return false };
    match &only.pattern {
        MatchPattern::Dictionary(word) => word.rank <= COMMON_RANK_MAX,
        MatchPattern::Repeat(repeat) => {
            repeat.base_guesses <= COMMON_RANK_MAX as u64
                && repeat.base_token.bytes().all(|byte| byte.is_ascii_digit())
        }
        _ => false,
    }
}

impl From<Error> for ErrorCode {
    fn from(error: Error) -> Self {
        error.code()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(name("  Ada Lovelace \n"), Ok("Ada Lovelace"));
        assert!(name(&"é".repeat(100)).is_ok());
        for bad in ["", "  ", "a\u{0}b", "a\nb", &"é".repeat(101), &"a".repeat(500_000)] {
            assert_eq!(name(bad), Err(Error::InvalidName));
        }
    }

    #[test]
    fn an_email_is_something_at_something() {
        for good in ["a@b", "A.B+c@Example.com", "ü@dömäin.example"] {
            assert_eq!(email(good), Ok(good));
        }
        assert!(email(&format!("{}@b", "a".repeat(252))).is_ok());
        let long = format!("{}@b", "a".repeat(253));
        for bad in ["", "a", "@b", "a@", "a@b@c", "a b@c", "a@b\u{7f}", " a@b", "a@b\n", &long] {
            assert_eq!(email(bad), Err(Error::InvalidEmail), "{bad}");
        }
    }

    #[test]
    fn a_password_has_8_to_128_characters() {
        for good in ["12345678", &"é".repeat(8), &"é".repeat(128), "with spaces\n"] {
            assert!(password(good).is_ok());
        }
        for bad in ["", "1234567", &"é".repeat(7), &"é".repeat(129), &"a".repeat(500_000)] {
            assert_eq!(password(bad), Err(Error::InvalidPassword));
        }
    }

    #[test]
    fn the_most_common_passwords_are_known() {
        for common in [
            "password",
            "PASSWORD",
            "Password1",
            "12345678",
            "123456789",
            "11111111",
            "qwertyuiop",
            "iloveyou",
            "jennifer",
            "password123",
            "letmein1",
            "abcd1234",
            "passw0rd",
            "qwerty123",
        ] {
            assert!(is_common(common), "{common}");
        }
        let long = "password".repeat(16);
        for rare in ["correct horse battery staple", "Tr0ub4dor&3", "password!x", "vbN7.tq2", &long]
        {
            assert!(!is_common(rare), "{rare}");
        }
    }
}
