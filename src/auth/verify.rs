//! From a token to its caller.

use aws_lc_rs::digest::{SHA256, digest};
use protocol::limits::NAME_CHARS_MAX;
use protocol::{Timestamp, UserId, UserKind};

use super::remembered::Digest;
use super::token::{Claims, TOKEN_BYTES_MAX};
use super::{Auth, Caller, Cause, Error, Result, TokenStamp, rules};
use crate::store::{self, Account, NewAccount, Refusal};

impl Auth {
    /// Whose token it is. Errors: `Unauthorized`, `Unavailable`, `Internal`. The first time it
    /// reads the store; after that it costs a hash and a lookup until the token ends.
    pub async fn authenticate(&self, token: &str) -> Result<Caller> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(refused(Cause::TooLong));
        }
        let digest = digest_of(token.as_bytes());
        if let Some(caller) = self.remembered.get(&digest, self.now()) {
            return Ok(caller);
        }
        let outcome = self.verify(token, digest).await;
        if let Err(Error::Unauthorized(cause)) = &outcome {
            tracing::debug!(%cause, "a token was refused");
        }
        outcome
    }

    async fn verify(&self, token: &str, digest: Digest) -> Result<Caller> {
        let generation = self.remembered.generation();
        let claims = self.tokens.read(token, &digest)?;
        let stamp = claims.stamp;
        let account = match self.store.account(claims.user).await? {
            Some(account) => account,
            None => self.welcome(claims).await?,
        };
        self.check(&account, &stamp).await?;
        let caller = Caller { user: account.user.id, kind: account.user.kind, token: stamp };
        self.remembered.insert(digest, caller, generation);
        Ok(caller)
    }

    /// The account as the store has it now, if the caller's token still opens it. For what must
    /// not rest on a remembered answer.
    pub(super) async fn account_of(&self, caller: &Caller) -> Result<Account> {
        self.account_by_stamp(caller.user, &caller.token).await
    }

    pub(super) async fn account_by_stamp(
        &self,
        user: UserId,
        stamp: &TokenStamp,
    ) -> Result<Account> {
        let account = self.store.account(user).await?.ok_or(Cause::UnknownUser)?;
        self.check(&account, stamp).await?;
        Ok(account)
    }

    async fn check(&self, account: &Account, stamp: &TokenStamp) -> Result<()> {
        if account.disabled {
            return Err(Cause::Disabled.into());
        }
        if stamp.issued_ms < account.tokens_valid_from_ms {
            return Err(Cause::UserRevoked.into());
        }
        match stamp.id {
            Some(id) if self.store.is_token_revoked(id).await? => Err(Cause::TokenRevoked.into()),
            _ => Ok(()),
        }
    }

    /// Makes the account of a host application's user who comes for the first time. Several may
    /// try at once; one makes it and all find it.
    async fn welcome(&self, claims: Claims) -> Result<Account> {
        let email = claims.email.as_deref().and_then(|email| rules::email(email).ok());
        let Some(email) = email else { return Err(Cause::UnknownUser.into()) };
        let new = NewAccount {
            id: claims.user,
            name: name_of(claims.name.as_deref(), email),
            email: email.to_owned(),
            kind: UserKind::Human,
            password_hash: None,
            at: self.now(),
        };
        match self.store.create_account(new).await {
            Ok(user) => tracing::info!(user = %user.id, "a host application's user is new here"),
            Err(store::Error::Refused(Refusal::UserExists | Refusal::EmailTaken)) => {}
            Err(error) => return Err(error.into()),
        }
        // Taken by another user's account: never linked. By the same user's a moment ago: found.
        self.store.account(claims.user).await?.ok_or(Cause::EmailOfAnother.into())
    }

    /// A token of ours for the user, whose account was read after `issued`.
    pub(super) fn sign(&self, user: UserId, issued: Timestamp) -> String {
        self.tokens.sign(user, issued, self.token_ttl_seconds)
    }
}

pub(super) fn digest_of(bytes: &[u8]) -> Digest {
    digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn refused(cause: Cause) -> Error {
    tracing::debug!(%cause, "a token was refused");
    cause.into()
}

/// The claimed name cut to the limit, or what stands before the email's @.
fn name_of(claimed: Option<&str>, email: &str) -> String {
    let cut = |text: &str| text.trim().chars().take(NAME_CHARS_MAX).collect::<String>();
    let local = email.split('@').next().unwrap_or(email);
    let name = cut(claimed.unwrap_or_default());
    rules::name(&name).map_or_else(|_| cut(local), str::to_owned)
}
