//! What people do with their own accounts: register, log in, renew, change the password.
//!
//! A token's moment of issue is taken before its account is read: whatever changes the account
//! after that moment ends the token, also one that was being made at that time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, MutexGuard, PoisonError};

use protocol::model::FoundUser;
use protocol::rest::{ChangePassword, FreshToken, Login, NewToken, Register, SignedIn};
use protocol::{Timestamp, User, UserId, UserKind};

use super::password::Memory;
use super::throttle::caller_of;
use super::{Auth, Caller, Error, Result, Suspect, Throttles, Who, password, rules};
use crate::store::{Account, NewAccount, NewPassword, Revocation};

/// Accounts remembered for their own users.
const PROFILES_MAX: usize = 4_096;

/// How a password compared.
enum Compared {
    Same { new_hash: Option<String> },
    Different,
}

impl Auth {
    /// Whether a registration from there may be tried at all; for before the body is read.
    pub fn may_register(&self, from: IpAddr) -> Result<()> {
        self.throttles.registrations.check(&caller_of(from), self.now())
    }

    /// Whether a login from there may be tried at all; for before the body is read.
    pub fn may_login(&self, from: IpAddr) -> Result<()> {
        self.throttles.failures_per_address.check(&caller_of(from), self.now())
    }

    /// Whether that user may try a password from there; for before the body is read.
    pub fn may_change_password(&self, from: IpAddr, caller: &Caller) -> Result<()> {
        let suspect = (Who::Account(caller.user), caller_of(from));
        self.throttles.check_failures(&suspect, self.now())
    }

    /// Whether that user may look up another; for before the query is read.
    pub fn may_find_user(&self, from: IpAddr, caller: &Caller) -> Result<()> {
        self.throttles.lookups_per_address.check(&caller_of(from), self.now())?;
        self.throttles.lookups.check(&caller.user, self.now())
    }

    /// A new account and its first token. Errors: `RateLimited`, `MissingField`, `InvalidName`,
    /// `InvalidEmail`, `InvalidPassword`, `PasswordTooCommon`, `RegistrationClosed`, `EmailTaken`.
    pub async fn register(&self, from: IpAddr, body: Register<'_>) -> Result<SignedIn> {
        self.may_register(from)?;
        let name = rules::name(rules::text(&body.name, Error::InvalidName)?)?;
        let email = rules::email(rules::text(&body.email, Error::InvalidEmail)?)?;
        let word = rules::password(rules::text(&body.password, Error::InvalidPassword)?)?;
        if self.registration_open {
            // Counts from here on: each costs a hash, or tells that an email is taken.
            self.throttles.registrations.take(&caller_of(from), self.now())?;
        }
        let hash = self.hash_new(word, self.registration_open).await?;
        let Some(hash) = hash else { return Err(Error::RegistrationClosed) };
        let issued = self.now();
        let new = NewAccount {
            id: UserId::new(),
            name: name.to_owned(),
            email: email.to_owned(),
            kind: UserKind::Human,
            password_hash: Some(hash),
            at: issued,
        };
        let user = self.store.create_account(new).await?;
        Ok(SignedIn { token: self.sign(user.id, issued), user })
    }

    /// A token for an email and its password. Errors: `RateLimited`, `MissingField`,
    /// `InvalidEmail`, `InvalidPassword` (by type alone), `InvalidCredentials`.
    pub async fn login(&self, from: IpAddr, body: Login<'_>) -> Result<SignedIn> {
        self.may_login(from)?;
        let email = rules::email(rules::text(&body.email, Error::InvalidEmail)?)?;
        let word = rules::text(&body.password, Error::InvalidPassword)?;
        let issued = self.now();
        let account = self.store.account_by_email(email).await?;
        let who = match &account {
            Some(account) => Who::Account(account.user.id),
            None => Who::Email(email.to_lowercase()),
        };
        let usable = account.filter(|account| !account.disabled);
        let hash = usable.as_ref().and_then(|account| account.password_hash.clone());
        let compared = self.compare(from, who, word, hash).await?;
        match (compared, usable) {
            (Compared::Same { new_hash }, Some(account)) => {
                self.keep_new_hash(&account, new_hash).await;
                Ok(SignedIn { token: self.sign(account.user.id, issued), user: account.user })
            }
            _ => Err(Error::InvalidCredentials),
        }
    }

    /// A fresh token of our own for whoever has a valid one.
    pub async fn renew(&self, caller: &Caller) -> Result<FreshToken> {
        let issued = self.now();
        let account = self.account_of(caller).await?;
        let token = self.sign(account.user.id, issued);
        Ok(FreshToken { token, expires_in: self.token_ttl_seconds })
    }

    /// Another password; all tokens of before end, and a new one is given. Errors:
    /// `RateLimited`, `MissingField`, `InvalidCredentials`, `InvalidPassword`,
    /// `PasswordTooCommon`. Who has no password yet (a host application's user) can't set one.
    pub async fn change_password(
        &self,
        from: IpAddr,
        caller: &Caller,
        body: ChangePassword<'_>,
    ) -> Result<NewToken> {
        self.may_change_password(from, caller)?;
        let word = rules::text(&body.password, Error::InvalidPassword)?;
        let new_word = rules::text(&body.new_password, Error::InvalidPassword)?;
        let account = self.account_of(caller).await?;
        let present = account.password_hash;
        let compared = self.compare(from, Who::Account(caller.user), word, present.clone()).await?;
        if matches!(compared, Compared::Different) {
            return Err(Error::InvalidCredentials);
        }
        let new_word = rules::password(new_word)?;
        let issued = self.set_password(caller.user, new_word, present).await?;
        // Another change came first: the password that was given is not the present one any more.
        let issued = issued.ok_or(Error::InvalidCredentials)?;
        Ok(NewToken { token: self.sign(caller.user, issued) })
    }

    /// The caller's own account. It never changes, so it is read once and remembered.
    pub async fn profile(&self, caller: &Caller) -> Result<Arc<User>> {
        if let Some(user) = self.profiles().get(&caller.user) {
            return Ok(user.clone());
        }
        let user = Arc::new(self.account_of(caller).await?.user);
        let mut profiles = self.profiles();
        if profiles.len() >= PROFILES_MAX {
            profiles.clear();
        }
        profiles.insert(caller.user, user.clone());
        Ok(user)
    }

    fn profiles(&self) -> MutexGuard<'_, HashMap<UserId, Arc<User>>> {
        self.profiles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The user with exactly that email, if there is one.
    pub async fn find_user(
        &self,
        from: IpAddr,
        caller: &Caller,
        email: &str,
    ) -> Result<Vec<FoundUser>> {
        self.may_find_user(from, caller)?;
        self.throttles.lookups_per_address.take(&caller_of(from), self.now())?;
        self.throttles.lookups.take(&caller.user, self.now())?;
        let email = rules::email(email)?;
        let found = self.store.account_by_email(email).await?.map(|account| account.user);
        let shown = |user: User| FoundUser { id: user.id, name: user.name, email: user.email };
        Ok(found.map(shown).into_iter().collect())
    }

    /// Hashes a new password that fits the rules; none if it is not `wanted` after all.
    pub(super) async fn hash_new(&self, word: &str, wanted: bool) -> Result<Option<String>> {
        let word = word.to_owned();
        let job = move |memory: &mut Memory| match rules::is_common(&word) {
            true => Err(Error::PasswordTooCommon),
            false => Ok(wanted.then(|| password::hash(&word, memory))),
        };
        self.hashing.run(job).await?
    }

    /// Sets a password and ends all tokens issued until then. Gives the moment from which on
    /// tokens are good; none where there is no such account, or its hash is not the one that was to
    /// be replaced.
    pub(super) async fn set_password(
        &self,
        user: UserId,
        word: &str,
        instead_of: Option<String>,
    ) -> Result<Option<Timestamp>> {
        let hash = self.hash_new(word, true).await?.expect("a hash is wanted");
        let valid_from = after(self.now());
        let new = NewPassword { hash, valid_from_ms: Some(valid_from), instead_of };
        let outcome = self.store.set_password(user, new).await;
        if matches!(outcome, Ok(false)) {
            return Ok(None);
        }
        // Also where it is not known what came of it.
        self.has_revoked(Revocation::User { user, issued_before_ms: valid_from });
        outcome?;
        // A login with the old password may have begun while this was committing. It took its
        // moment before now, so this ends its token too.
        let valid_from = after(self.now());
        let revocation = Revocation::User { user, issued_before_ms: valid_from };
        self.revoke(revocation).await?;
        Ok(Some(Timestamp(valid_from * 1_000)))
    }

    /// Compares a password with a hash, on the threads that do, and counts a failure. It counts
    /// while it is compared, so that many at once are no way around the throttle.
    async fn compare(
        &self,
        from: IpAddr,
        who: Who,
        word: &str,
        hash: Option<String>,
    ) -> Result<Compared> {
        let suspect = (who, caller_of(from));
        let throttles = self.throttles.clone();
        throttles.check_failures(&suspect, self.now())?;
        if !rules::is_hashable(word) {
            throttles.take_failure(&suspect, self.now())?;
            return Ok(Compared::Different);
        }
        let word = word.to_owned();
        let clock = Arc::clone(&self.clock);
        let job = move |memory: &mut Memory| {
            let now = clock();
            throttles.take_failure(&suspect, now)?;
            if !password::verify(&word, hash.as_deref(), memory) {
                return Ok(Compared::Different);
            }
            throttles.give_back_failure(&suspect, now);
            let outdated = hash.is_some_and(|hash| password::is_outdated(&hash));
            Ok(Compared::Same { new_hash: outdated.then(|| password::hash(&word, memory)) })
        };
        self.hashing.run(job).await?
    }

    /// Keeps the same password under today's parameters, unless it was changed meanwhile. That
    /// it fails is no reason to refuse a login: the next one tries again.
    async fn keep_new_hash(&self, account: &Account, new_hash: Option<String>) {
        let Some(new_hash) = new_hash else { return };
        let (user, instead_of) = (account.user.id, account.password_hash.clone());
        let new = NewPassword { hash: new_hash, valid_from_ms: None, instead_of };
        if let Err(error) = self.store.set_password(user, new).await {
            tracing::warn!(%error, %user, "a password hash could not be renewed");
        }
    }
}

/// The first millisecond of which nothing has passed yet.
fn after(now: Timestamp) -> i64 {
    now.as_ms() + 1
}

impl Throttles {
    fn check_failures(&self, suspect: &Suspect, now: Timestamp) -> Result<()> {
        self.failures_per_address.check(&suspect.1, now)?;
        self.failures.check(suspect, now)
    }

    fn take_failure(&self, suspect: &Suspect, now: Timestamp) -> Result<()> {
        self.failures_per_address.check(&suspect.1, now)?;
        self.failures.take(suspect, now)?;
        let taken = self.failures_per_address.take(&suspect.1, now);
        taken.inspect_err(|_| self.failures.give_back(suspect, now))
    }

    fn give_back_failure(&self, suspect: &Suspect, now: Timestamp) {
        self.failures.give_back(suspect, now);
        self.failures_per_address.give_back(&suspect.1, now);
    }
}
