//! The log of revocations: what ends tokens before their time, on every node.
//!
//! Whoever revokes appends to the store's log. Each node follows that log by number, about once
//! a second and at once after a revocation of its own, forgets the remembered tokens and tells
//! whoever holds connections.

use std::time::Duration;

use protocol::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Auth, Caller, Result};
use crate::store::Revocation;

/// Between two looks at the log.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Auth {
    /// Follows the log from behind `after` until told to stop: `on` hears of each revocation once,
    /// after the tokens it ends were forgotten. `after` is the head of before anyone is served.
    pub async fn follow_revocations(
        &self,
        mut after: u64,
        on: impl Fn(Revocation) + Send,
        stop: CancellationToken,
    ) {
        let mut failing = false;
        while !stop.is_cancelled() {
            match self.look(&mut after, &on).await {
                Ok(()) => failing = false,
                Err(error) => {
                    // What was revoked meanwhile is unknown, so nothing remembered is good.
                    self.remembered.clear();
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "the log of revocations can't be read");
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.revoked.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn look(&self, after: &mut u64, on: &(impl Fn(Revocation) + Send)) -> Result<()> {
        loop {
            let revocations = self.store.revocations(*after).await?;
            if revocations.is_empty() {
                return Ok(());
            }
            for (number, revocation) in revocations {
                self.remembered.forget(revocation);
                on(revocation);
                *after = number;
            }
        }
    }

    /// How often something was revoked, as far as this node knows. Read before a token is looked
    /// at, it serves [`Self::confirm`].
    #[must_use]
    pub fn revocations_known(&self) -> u64 {
        self.remembered.generation()
    }

    /// For a caller who came when so many revocations were known, and has taken a place where
    /// further ones are heard: whether one came in between and was for that caller.
    pub async fn confirm(&self, caller: &Caller, known: u64) -> Result<()> {
        if self.revocations_known() != known {
            self.account_of(caller).await?;
        }
        Ok(())
    }

    /// Ends tokens, here at once and elsewhere soon.
    pub(super) async fn revoke(&self, revocation: Revocation) -> Result<()> {
        let outcome = self.store.revoke(revocation, self.now()).await;
        self.has_revoked(revocation);
        Ok(outcome?)
    }

    /// A revocation is in the log, or may be.
    pub(super) fn has_revoked(&self, revocation: Revocation) {
        self.remembered.forget(revocation);
        self.revoked.notify_one();
    }

    /// Disables or enables an account. Disabling ends all its tokens.
    pub(super) async fn put_disabled(
        &self,
        user: protocol::UserId,
        disabled: bool,
        at: Timestamp,
    ) -> Result<bool> {
        let outcome = self.store.set_disabled(user, disabled, at).await;
        if disabled {
            self.has_revoked(Revocation::User { user, issued_before_ms: i64::MAX });
        }
        Ok(outcome?)
    }
}
