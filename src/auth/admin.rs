//! What the operator does, through the command line: the rules of `rules` hold, the throttles
//! and a closed registration don't.

use std::time::Duration;

use protocol::{Timestamp, User, UserId, UserKind};
use uuid::Uuid;

use super::verify::digest_of;
use super::{Auth, Error, Result, TOKEN_BYTES_MAX, rules};
use crate::store::{Account, NewAccount, Revocation};

/// An account to be made by the operator.
#[derive(Clone)]
pub struct NewUser<'a> {
    pub name: &'a str,
    /// None for an agent: one that nobody has.
    pub email: Option<&'a str>,
    pub kind: UserKind,
    /// None for an agent: it has tokens only.
    pub password: Option<&'a str>,
}

/// What to revoke.
#[derive(Clone, Copy)]
pub enum Revoke<'a> {
    /// One token, by its `jti`.
    Id(Uuid),
    /// One token, by its text. It must be valid.
    Token(&'a str),
    /// All tokens that a user has now.
    User(UserId),
}

impl Auth {
    /// Makes an account. Errors: those of the rules, `EmailTaken`.
    pub async fn create_user(&self, new: NewUser<'_>) -> Result<User> {
        let id = UserId::new();
        let name = rules::name(new.name)?.to_owned();
        let email = match new.email {
            Some(email) => rules::email(email)?.to_owned(),
            // RFC 2606: no mail can ever go there.
            None => format!("{id}@agents.invalid"),
        };
        let password_hash = match new.password {
            Some(word) => self.hash_new(rules::password(word)?, true).await?,
            None => None,
        };
        let account = NewAccount { id, name, email, kind: new.kind, password_hash, at: self.now() };
        Ok(self.store.create_account(account).await?)
    }

    /// The account with that id or email. Errors: `UserNotFound`.
    pub async fn find_account(&self, who: &str) -> Result<Account> {
        let found = match who.parse::<UserId>() {
            Ok(id) => self.store.account(id).await?,
            Err(_) => self.store.account_by_email(who).await?,
        };
        found.ok_or(Error::UserNotFound)
    }

    /// Accounts in the order of ids, above `after`.
    pub async fn accounts(&self, after: Option<UserId>, limit: usize) -> Result<Vec<Account>> {
        Ok(self.store.accounts(after, limit).await?)
    }

    /// Disables an account: its tokens end, its connections close, nobody logs in.
    pub async fn disable(&self, user: UserId) -> Result<()> {
        found(self.put_disabled(user, true, self.now()).await?)
    }

    /// Enables an account. Its old tokens stay ended.
    pub async fn enable(&self, user: UserId) -> Result<()> {
        found(self.put_disabled(user, false, self.now()).await?)
    }

    /// Sets a password; all tokens of the user end. Errors: those of the rules, `UserNotFound`.
    pub async fn reset_password(&self, user: UserId, word: &str) -> Result<()> {
        let set = self.set_password(user, rules::password(word)?, None).await?;
        set.map(drop).ok_or(Error::UserNotFound)
    }

    /// A token for a user, with another life than the configured one if given. Errors:
    /// `UserNotFound`, `Unauthorized` when disabled.
    pub async fn issue_token(
        &self,
        user: UserId,
        ttl: Option<Duration>,
    ) -> Result<(String, Timestamp)> {
        let issued = self.now();
        let account = self.store.account(user).await?.ok_or(Error::UserNotFound)?;
        if account.disabled {
            return Err(super::Cause::Disabled.into());
        }
        let ttl_seconds = ttl.map_or(self.token_ttl_seconds, |ttl| ttl.as_secs());
        let token = self.tokens.sign(user, issued, ttl_seconds);
        let seconds = issued.0.div_euclid(1_000_000).saturating_add_unsigned(ttl_seconds);
        Ok((token, Timestamp(seconds.saturating_mul(1_000_000))))
    }

    /// Ends tokens before their time. Errors: `Unauthorized` for a text that is no valid token,
    /// `UserNotFound`.
    pub async fn revoke_token(&self, what: Revoke<'_>) -> Result<Revocation> {
        let revocation = match what {
            Revoke::Id(id) => Revocation::Token { id },
            Revoke::Token(token) if token.len() > TOKEN_BYTES_MAX => {
                return Err(super::Cause::TooLong.into());
            }
            Revoke::Token(token) => {
                let claims = self.tokens.read(token, &digest_of(token.as_bytes()))?;
                let id = claims.stamp.id.expect("every token that was read has an id");
                Revocation::Token { id }
            }
            Revoke::User(user) => {
                found(self.store.account(user).await?.is_some())?;
                Revocation::User { user, issued_before_ms: self.now().as_ms() + 1 }
            }
        };
        self.revoke(revocation).await?;
        Ok(revocation)
    }
}

fn found(found: bool) -> Result<()> {
    if found { Ok(()) } else { Err(Error::UserNotFound) }
}
