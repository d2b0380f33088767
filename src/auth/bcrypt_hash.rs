//! Password hashes of bcrypt, with which accounts may come from elsewhere.
//!
//! They are verified on the same threads as ours, and a login that succeeds puts ours in their
//! place. bcrypt looks at the first 72 bytes of a password alone; what was typed at that login
//! counts as a whole from then on.
//!
//! A comparison of bcrypt takes another time than one of ours, which would tell an account that
//! came so from an email that is nobody's. So from the first such hash that this process meets, a
//! comparison that fails costs one of each, whatever there was to compare with.

use std::sync::atomic::{AtomicU32, Ordering};

use bcrypt::HashParts;

/// A cost above this is never paid: it doubles the time with each, and this is about a second.
pub const COST_MAX: u32 = 14;
const COST_MIN: u32 = 4;
/// The prefixes of the variants that compute the same.
const PREFIXES: [&str; 3] = ["$2a$", "$2b$", "$2y$"];
/// Of a hash that is compared with for nothing.
const NOBODYS_SALT: [u8; 16] = *b"nobody has this!";

/// The largest cost of those that were met, 0 as long as there was none.
static COST_MET: AtomicU32 = AtomicU32::new(0);

/// Whether it says that it is one.
pub(super) fn is_one(hash: &str) -> bool {
    PREFIXES.iter().any(|prefix| hash.starts_with(prefix))
}

/// What is wrong with it, if anything.
pub(super) fn check(hash: &str) -> Result<(), &'static str> {
    match hash.parse::<HashParts>() {
        Err(_) => Err("the password hash is none of bcrypt, though it begins as one"),
        Ok(parts) if !(COST_MIN..=COST_MAX).contains(&parts.get_cost()) => {
            Err("the password hash of bcrypt has a cost that is not between 4 and 14")
        }
        Ok(_) => Ok(()),
    }
}

/// Whether it is the password of that hash. None: that is no hash that can be compared with.
pub(super) fn compare(password: &str, hash: &str) -> Option<bool> {
    check(hash).ok()?;
    let cost = hash.parse::<HashParts>().ok()?.get_cost();
    COST_MET.fetch_max(cost, Ordering::Relaxed);
    // It compares in constant time.
    bcrypt::verify(password, hash).ok()
}

/// As much work as a comparison, if there has been one.
pub(super) fn spend(password: &str) {
    let cost = COST_MET.load(Ordering::Relaxed);
    if cost > 0 {
        let _ = bcrypt::hash_with_salt(password, cost, NOBODYS_SALT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_variants_are_verified() {
        let parts = bcrypt::hash_with_salt("correct horse", 4, [7; 16]).expect("a hash");
        for version in [bcrypt::Version::TwoA, bcrypt::Version::TwoB, bcrypt::Version::TwoY] {
            let hash = parts.format_for_version(version);
            assert!(is_one(&hash), "{hash}");
            assert_eq!(check(&hash), Ok(()));
            assert_eq!(compare("correct horse", &hash), Some(true), "{hash}");
            assert_eq!(compare("wrong horse", &hash), Some(false), "{hash}");
        }
        // Made by the original's own library.
        let known = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";
        assert_eq!(check(known), Ok(()));
    }

    #[test]
    fn seventy_two_bytes_count_and_a_cost_that_is_too_high_is_never_paid() {
        let long = "x".repeat(72);
        let hash = bcrypt::hash(&long, 4).expect("a hash");
        assert_eq!(compare(&format!("{long}y"), &hash), Some(true));
        assert_eq!(compare(&long[1..], &hash), Some(false));
        for absurd in [hash.replace("$04$", "$31$"), hash.replace("$04$", "$15$")] {
            assert!(check(&absurd).is_err());
            assert_eq!(compare(&long, &absurd), None);
        }
        for broken in ["$2b$", "$2b$10$short", "$2a$xx$N9qo8uLOickgx2ZMRZoMye"] {
            assert!(is_one(broken) && check(broken).is_err(), "{broken}");
        }
        assert!(!is_one("$2x$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"));
    }
}
