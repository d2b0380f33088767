//! Accounts and tokens in memory, for the tests of `auth`; they can be told to fail.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use protocol::{
    Message, MessageId, ParticipantId, ParticipantRow, Session, SessionId, Timestamp, User, UserId,
};
use uuid::Uuid;

use crate::store::{
    Access, Account, Append, Error, Health, Listed, LogPage, Marked, MessageRange, NewAccount,
    NewPassword, Page, Pending, Permit, Refusal, Result, Revocation, Store, Ticket,
};

#[derive(Default)]
pub struct Memory {
    accounts: Mutex<HashMap<UserId, Account>>,
    revocations: Mutex<Vec<Revocation>>,
    tickets: Mutex<HashMap<[u8; 32], Ticket>>,
    pub fails: AtomicBool,
    /// How often an account was read.
    pub reads: AtomicUsize,
}

impl Memory {
    fn up(&self) -> Result<()> {
        match self.fails.load(Ordering::SeqCst) {
            true => Err(Error::Unavailable("planted".to_owned())),
            false => Ok(()),
        }
    }

    fn change(&self, user: UserId, change: impl FnOnce(&mut Account)) -> bool {
        self.accounts.lock().expect("whole").get_mut(&user).map(change).is_some()
    }

    pub fn put_hash(&self, user: UserId, hash: String) {
        self.change(user, |account| account.password_hash = Some(hash));
    }
}

#[async_trait]
impl Store for Memory {
    async fn create_account(&self, new: NewAccount) -> Result<User> {
        self.up()?;
        let mut accounts = self.accounts.lock().expect("whole");
        if accounts.contains_key(&new.id) {
            return Err(Error::Refused(Refusal::UserExists));
        }
        let email = new.email.to_lowercase();
        if accounts.values().any(|account| account.user.email.to_lowercase() == email) {
            return Err(Error::Refused(Refusal::EmailTaken));
        }
        let NewAccount { id, name, email, kind, password_hash, at } = new;
        let user = User { id, name, email, kind, created_at: at };
        let account =
            Account { user: user.clone(), password_hash, disabled: false, tokens_valid_from_ms: 0 };
        accounts.insert(id, account);
        Ok(user)
    }

    async fn account(&self, user: UserId) -> Result<Option<Account>> {
        self.up()?;
        self.reads.fetch_add(1, Ordering::SeqCst);
        let account = self.accounts.lock().expect("whole").get(&user).cloned();
        // Lets others in between the read and what is made of it.
        tokio::task::yield_now().await;
        Ok(account)
    }

    async fn account_by_email(&self, email: &str) -> Result<Option<Account>> {
        self.up()?;
        let email = email.to_lowercase();
        let accounts = self.accounts.lock().expect("whole");
        Ok(accounts.values().find(|one| one.user.email.to_lowercase() == email).cloned())
    }

    async fn accounts(&self, _: Option<UserId>, _: usize) -> Result<Vec<Account>> {
        Ok(self.accounts.lock().expect("whole").values().cloned().collect())
    }

    async fn set_password(&self, user: UserId, new: NewPassword) -> Result<bool> {
        self.up()?;
        let NewPassword { hash, valid_from_ms, instead_of } = new;
        let present = self.account(user).await?.and_then(|account| account.password_hash);
        if instead_of.is_some() && instead_of != present {
            return Ok(false);
        }
        if let Some(issued_before_ms) = valid_from_ms {
            self.revoke(Revocation::User { user, issued_before_ms }, Timestamp(0)).await?;
        }
        Ok(self.change(user, |account| account.password_hash = Some(hash)))
    }

    async fn set_disabled(&self, user: UserId, disabled: bool, at: Timestamp) -> Result<bool> {
        let issued_before_ms = at.as_ms() + 1;
        self.revoke(Revocation::User { user, issued_before_ms }, at).await?;
        Ok(self.change(user, |account| account.disabled = disabled))
    }

    async fn revoke(&self, revocation: Revocation, _: Timestamp) -> Result<()> {
        self.up()?;
        if let Revocation::User { user, issued_before_ms } = revocation {
            self.change(user, |account| account.tokens_valid_from_ms = issued_before_ms);
        }
        self.revocations.lock().expect("whole").push(revocation);
        Ok(())
    }

    async fn is_token_revoked(&self, id: Uuid) -> Result<bool> {
        Ok(self.revocations.lock().expect("whole").contains(&Revocation::Token { id }))
    }

    async fn revocations(&self, after: u64) -> Result<Vec<(u64, Revocation)>> {
        self.up()?;
        let all = self.revocations.lock().expect("whole");
        let numbered = (1..).zip(all.iter().copied());
        Ok(numbered.filter(|(number, _)| *number > after).collect())
    }

    async fn revocation_head(&self) -> Result<u64> {
        self.up()?;
        Ok(self.revocations.lock().expect("whole").len() as u64)
    }

    async fn put_ticket(&self, ticket: Ticket, _: Timestamp) -> Result<()> {
        self.tickets.lock().expect("whole").insert(ticket.hash, ticket);
        Ok(())
    }

    async fn take_ticket(&self, hash: [u8; 32], now: Timestamp) -> Result<Option<Ticket>> {
        let ticket = self.tickets.lock().expect("whole").remove(&hash);
        Ok(ticket.filter(|ticket| ticket.expires > now))
    }

    // Nothing below concerns accounts.

    async fn create_session(
        &self,
        _: SessionId,
        _: UserId,
        _: String,
        _: Timestamp,
    ) -> Result<Session> {
        unreachable!()
    }
    async fn access(&self, _: SessionId, _: UserId) -> Result<Option<Access>> {
        unreachable!()
    }
    async fn sessions_of(
        &self,
        _: UserId,
        _: Option<SessionId>,
        _: usize,
    ) -> Result<Option<Page<Listed>>> {
        unreachable!()
    }
    async fn participants(
        &self,
        _: SessionId,
        _: Option<ParticipantId>,
        _: usize,
    ) -> Result<Option<Page<ParticipantRow>>> {
        unreachable!()
    }
    async fn member_count(&self, _: SessionId) -> Result<u64> {
        unreachable!()
    }
    async fn member_ids(&self, _: SessionId) -> Result<Vec<UserId>> {
        unreachable!()
    }
    async fn set_read_mark(&self, _: SessionId, _: UserId, _: u64) -> Result<Marked> {
        unreachable!()
    }
    async fn admit(&self, _: usize) -> Permit {
        unreachable!()
    }
    fn append(&self, _: Append, _: Permit) -> Pending {
        unreachable!()
    }
    async fn log(&self, _: SessionId, _: u64, _: usize) -> Result<Option<LogPage>> {
        unreachable!()
    }
    async fn heads(&self, _: &[SessionId]) -> Result<Vec<(SessionId, u64)>> {
        unreachable!()
    }
    async fn messages(
        &self,
        _: SessionId,
        _: Option<UserId>,
        _: MessageRange,
        _: usize,
    ) -> Result<Page<Message>> {
        unreachable!()
    }
    async fn message(&self, _: SessionId, _: MessageId) -> Result<Option<Message>> {
        unreachable!()
    }
    async fn epoch(&self) -> Result<String> {
        unreachable!()
    }
    async fn renew_epoch(&self) -> Result<String> {
        unreachable!()
    }
    async fn health(&self) -> Health {
        unreachable!()
    }
    async fn close(&self) {}
}
