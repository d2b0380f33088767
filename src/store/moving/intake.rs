//! The way in: what the records must be to come in, and what becomes of each session.
//!
//! A session is [`Fate::New`], and is written as its records come; or it is there, and they are
//! compared; or it is refused, with all that is still to come of it.

use std::collections::{BTreeSet, HashSet};

use async_trait::async_trait;
use protocol::UserId;

use super::rows::Totals;
use super::{
    COMMIT_ROWS, Counts, KNOWN_USERS_MAX, MovedChange, MovedMember, MovedSession, MovedUser,
    Record, Rows, Step, Tally, Target, Trouble,
};
use crate::store::rows::email_key;
use crate::store::{Error, Result};

/// What becomes of the session whose records come.
enum Fate {
    New,
    Present,
    Refused,
}

/// A session whose records come.
struct Current {
    session: MovedSession,
    fate: Fate,
    counts: Counts,
    last_seq: u64,
    totals: Totals,
    has_owner: bool,
}

pub struct Intake<R> {
    rows: R,
    in_transaction: bool,
    /// Records since the transaction began.
    written: u64,
    current: Option<Current>,
    known_users: HashSet<UserId>,
    tally: Tally,
    troubles: Vec<Trouble>,
}

impl<R: Rows> Intake<R> {
    pub fn new(rows: R) -> Self {
        Self {
            rows,
            in_transaction: false,
            written: 0,
            current: None,
            known_users: HashSet::new(),
            tally: Tally::default(),
            troubles: Vec::new(),
        }
    }

    async fn begin_transaction(&mut self) -> Result<()> {
        if !self.in_transaction {
            self.rows.step(Step::Begin).await?;
            (self.in_transaction, self.written) = (true, 0);
        }
        Ok(())
    }

    async fn commit(&mut self) -> Result<()> {
        if std::mem::take(&mut self.in_transaction) {
            self.rows.step(Step::Commit).await?;
        }
        Ok(())
    }

    /// Does something that may turn out to be impossible, which is then undone alone.
    async fn user(&mut self, user: MovedUser) -> Result<()> {
        self.begin_transaction().await?;
        let record = Record::User(user.clone());
        if self.rows.add_user(&user).await? {
            self.written += 1;
            self.tally.stored.add(&record);
            return Ok(());
        }
        let difference = match self.rows.account(user.id).await? {
            None => Some("another user has the same email"),
            Some(stored) if email_key(&stored.user.email) != email_key(&user.email) => {
                Some("the store has another email for this id")
            }
            Some(stored) if stored.user.kind != user.kind => {
                Some("the store has another kind of user for this id")
            }
            Some(_) => None,
        };
        match difference {
            None => self.tally.present.add(&record),
            Some(what) => {
                self.tally.refused.add(&record);
                self.troubles.push(format!("user {} ({}): {what}", user.id, user.email));
            }
        }
        Ok(())
    }

    /// The records of the last session have all come.
    async fn end_session(&mut self) -> Result<()> {
        let Some(current) = &self.current else { return Ok(()) };
        let missing = match () {
            () if current.last_seq != current.session.last_seq && !current.session.is_open => {
                Some(format!(
                    "its log ends at seq {} and should end at {}",
                    current.last_seq, current.session.last_seq
                ))
            }
            () if current.session.deleted_at.is_none() && !current.has_owner => {
                Some("its owner is not among its members".to_owned())
            }
            () => None,
        };
        if let Some(what) = missing {
            self.refuse(&what).await?;
        }
        let Some(current) = &self.current else { return Ok(()) };
        if matches!(current.fate, Fate::New) {
            let (id, mut totals) = (current.session.id, current.totals);
            if !current.session.is_open {
                totals.last_seq = current.session.last_seq;
                totals.updated_at = current.session.updated_at;
            }
            let finished = self.rows.finish_session(id, totals).await;
            if self.unless_refused(finished).await?.is_some() {
                self.rows.step(Step::Keep).await?;
            }
        }
        let Some(Current { fate, counts, .. }) = self.current.take() else { return Ok(()) };
        let column = match fate {
            Fate::New => &mut self.tally.stored,
            Fate::Present => &mut self.tally.present,
            Fate::Refused => &mut self.tally.refused,
        };
        *column = column.plus(counts);
        if matches!(fate, Fate::New) {
            self.written += counts.total();
        }
        if self.written >= COMMIT_ROWS {
            self.commit().await?;
        }
        Ok(())
    }

    async fn session(&mut self, session: MovedSession) -> Result<()> {
        self.begin_transaction().await?;
        let mut counts = Counts::default();
        counts.add(&Record::Session(session.clone()));
        // A deleted one keeps its number without what had the others.
        let last_seq = if session.deleted_at.is_some() { session.last_seq } else { 0 };
        let totals = Totals { updated_at: session.created_at, ..Totals::default() };
        let (fate, has_owner) = (Fate::New, false);
        let id = session.id;
        let owner = session.user_id;
        let current = Current { session, fate, counts, last_seq, totals, has_owner };
        let session = current.session.clone();
        self.current = Some(current);
        self.rows.step(Step::Mark).await?;
        if let Some(user) = self.unknown_user(&BTreeSet::from([owner])).await? {
            return self.refuse(&format!("its owner {user} is not in the store")).await;
        }
        let added = self.rows.add_session(&session).await;
        match self.unless_refused(added).await? {
            Some(true) | None => return Ok(()),
            Some(false) => {}
        }
        self.rows.step(Step::Undo).await?;
        self.put_fate(Fate::Present);
        let stored = self.rows.session(id).await?;
        let difference = match stored {
            Some(stored) if stored.user_id != owner => "the store has another owner for this id",
            Some(stored) if stored.created_at != session.created_at => {
                "the store has another time of creation for this id"
            }
            Some(stored) => match (stored.deleted_at, session.deleted_at) {
                (Some(_), None) => "it was deleted in the store",
                (None, Some(_)) => "it was deleted where it comes from, and the store has it",
                _ if stored.last_seq < session.last_seq => {
                    "its log goes on where the one in the store ends"
                }
                _ => return Ok(()),
            },
            None => "the store refuses its id",
        };
        self.refuse(difference).await
    }

    fn put_fate(&mut self, fate: Fate) {
        if let Some(current) = &mut self.current {
            current.fate = fate;
        }
    }

    /// Nothing of the session comes in.
    async fn refuse(&mut self, what: &str) -> Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let before = std::mem::replace(&mut current.fate, Fate::Refused);
        if matches!(before, Fate::Refused) {
            return Ok(());
        }
        self.troubles.push(format!("session {}: {what}", current.session.id));
        if matches!(before, Fate::New) {
            self.rows.step(Step::Undo).await?;
        }
        Ok(())
    }

    /// What the store says of rows refuses their session; that it can't be reached ends it all.
    async fn unless_refused<T>(&mut self, outcome: Result<T>) -> Result<Option<T>> {
        match outcome {
            Ok(done) => Ok(Some(done)),
            Err(error @ Error::Unavailable(_)) => Err(error),
            Err(error) => {
                self.refuse(&format!("the store does not take it: {error}")).await?;
                Ok(None)
            }
        }
    }

    /// One of these users who is not in the store.
    async fn unknown_user(&mut self, users: &BTreeSet<UserId>) -> Result<Option<UserId>> {
        let unknown: Vec<UserId> =
            users.iter().filter(|user| !self.known_users.contains(user)).copied().collect();
        if unknown.is_empty() {
            return Ok(None);
        }
        let missing = self.rows.missing_user(&unknown).await?;
        if missing.is_none() {
            if self.known_users.len() + unknown.len() > KNOWN_USERS_MAX {
                self.known_users.clear();
            }
            self.known_users.extend(unknown);
        }
        Ok(missing)
    }

    /// Some records of the session's log or of its members, all of one kind.
    async fn records(&mut self, records: Vec<Record>) -> Result<()> {
        let Some(current) = &mut self.current else {
            let counts = records.iter().fold(Counts::default(), counted);
            self.tally.refused = self.tally.refused.plus(counts);
            let text = format!("{} records belong to no session", records.len());
            self.troubles.push(text);
            return Ok(());
        };
        current.counts = records.iter().fold(current.counts, counted);
        if matches!(current.fate, Fate::Refused) {
            return Ok(());
        }
        if let Some(what) = form(current, &records) {
            return self.refuse(&what).await;
        }
        let users: BTreeSet<UserId> = records.iter().flat_map(users_of).collect();
        if let Some(user) = self.unknown_user(&users).await? {
            return self.refuse(&format!("user {user} is not in the store")).await;
        }
        let Some(Current { session, fate, totals, .. }) = &self.current else { return Ok(()) };
        let (id, ordinal) = (session.id, totals.messages);
        match fate {
            Fate::Present => return self.compare(&records).await,
            Fate::Refused => return Ok(()),
            Fate::New => {}
        }
        let added = match records.first() {
            Some(Record::Member(_)) => {
                let members: Vec<MovedMember> = records.iter().filter_map(member_of).collect();
                self.rows.add_members(id, &members).await
            }
            _ => self.rows.add_log(id, ordinal, &records).await,
        };
        if self.unless_refused(added).await?.is_some()
            && let Some(current) = &mut self.current
        {
            note(&mut current.totals, &records);
        }
        Ok(())
    }

    /// What is there already must be the same. Members are not compared: they come and go.
    async fn compare(&mut self, records: &[Record]) -> Result<()> {
        let Some(Current { session, .. }) = &self.current else { return Ok(()) };
        let Some(first) = records.first().and_then(Record::seq) else { return Ok(()) };
        let stored = self.rows.log(session.id, first - 1, records.len()).await?;
        if stored.len() < records.len() {
            return self.refuse("its log goes on where the one in the store ends").await;
        }
        let differs = records.iter().zip(&stored).find(|(record, stored)| record != stored);
        match differs.and_then(|(record, _)| record.seq()) {
            None => Ok(()),
            Some(seq) => {
                self.refuse(&format!("the store has other contents at seq {seq}; it keeps them"))
                    .await
            }
        }
    }
}

/// What is wrong with the next records of a session, if anything; moves its position on.
fn form(current: &mut Current, records: &[Record]) -> Option<String> {
    if current.session.deleted_at.is_some() {
        return Some("it was deleted, and something follows".to_owned());
    }
    for record in records {
        if let Some(seq) = record.seq() {
            if seq != current.last_seq + 1 {
                return Some(format!("seq {seq} follows {}", current.last_seq));
            }
            current.last_seq = seq;
        }
        let refers_to = match record {
            Record::Event(event) => match event.change {
                MovedChange::MessageUpdated { message_seq }
                | MovedChange::MessageDeleted { message_seq } => Some(message_seq),
                _ => None,
            },
            _ => None,
        };
        if refers_to.is_some_and(|seq| seq >= current.last_seq) {
            return Some(format!("seq {} speaks of a later message", current.last_seq));
        }
        if let Record::Message(message) = record
            && message.client_id.is_some() != message.request_hash.is_some()
        {
            return Some(format!("seq {}: client_id without request_hash", message.seq));
        }
        if let Record::Member(member) = record {
            if member.read_seq > current.last_seq {
                return Some(format!("the read mark of {} is beyond the log", member.user_id));
            }
            let is_owner =
                member.user_id == current.session.user_id && member.id.0 == current.session.id.0;
            if member.is_owner != is_owner {
                return Some(format!("{} is and is not its owner", member.user_id));
            }
            current.has_owner |= is_owner;
        }
    }
    None
}

fn counted(mut counts: Counts, record: &Record) -> Counts {
    counts.add(record);
    counts
}

fn member_of(record: &Record) -> Option<MovedMember> {
    match record {
        Record::Member(member) => Some(member.clone()),
        _ => None,
    }
}

/// Whom a record speaks of.
fn users_of(record: &Record) -> Vec<UserId> {
    match record {
        Record::Message(message) => vec![message.sender_id],
        Record::Member(member) => vec![member.user_id],
        Record::Event(event) => match event.change {
            MovedChange::ParticipantAdded { user_id, .. }
            | MovedChange::ParticipantRemoved { user_id } => vec![event.actor_id, user_id],
            _ => vec![event.actor_id],
        },
        Record::User(_) | Record::RevokedToken(_) | Record::Session(_) => Vec::new(),
    }
}

fn note(totals: &mut Totals, records: &[Record]) {
    for record in records {
        match record {
            Record::Message(message) => {
                totals.messages += 1;
                (totals.last_seq, totals.updated_at) = (message.seq, message.created_at);
                if message.content.is_some() {
                    totals.last_live_seq = message.seq;
                }
            }
            Record::Event(event) => {
                (totals.last_seq, totals.updated_at) = (event.seq, event.at);
            }
            Record::Member(_) => totals.members += 1,
            _ => {}
        }
    }
}

/// Whether two records go into the store together.
fn go_together(a: &Record, b: &Record) -> bool {
    let is_member = |record: &Record| matches!(record, Record::Member(_));
    is_member(a) == is_member(b)
}

#[async_trait]
impl<R: Rows> Target for Intake<R> {
    async fn begin(&mut self, epoch: Option<&str>) -> Result<Counts> {
        let counts = self.rows.counts().await?;
        if let Some(epoch) = epoch
            && (counts.users, counts.sessions) == (0, 0)
        {
            self.rows.step(Step::Begin).await?;
            self.rows.set_epoch(epoch).await?;
            self.rows.step(Step::Commit).await?;
        }
        Ok(counts)
    }

    async fn put(&mut self, records: Vec<Record>) -> Result<Vec<Trouble>> {
        let mut together: Vec<Record> = Vec::new();
        for record in records {
            let is_of_a_session =
                matches!(record, Record::Message(_) | Record::Event(_) | Record::Member(_));
            if together.last().is_some_and(|last| !is_of_a_session || !go_together(last, &record)) {
                self.records(std::mem::take(&mut together)).await?;
            }
            match record {
                Record::User(user) => {
                    self.end_session().await?;
                    self.user(user).await?;
                }
                Record::RevokedToken(token) => {
                    self.end_session().await?;
                    self.begin_transaction().await?;
                    let is_new = self.rows.add_revoked(&token).await?;
                    self.written += 1;
                    let record = Record::RevokedToken(token);
                    if is_new { &mut self.tally.stored } else { &mut self.tally.present }
                        .add(&record);
                }
                Record::Session(session) => {
                    self.end_session().await?;
                    self.session(session).await?;
                }
                record => together.push(record),
            }
        }
        if !together.is_empty() {
            self.records(together).await?;
        }
        if self.written >= COMMIT_ROWS && self.current.is_none() {
            self.commit().await?;
        }
        Ok(std::mem::take(&mut self.troubles))
    }

    async fn end(&mut self, is_whole: bool) -> Result<(Vec<Trouble>, Counts)> {
        if !is_whole {
            self.refuse("the end of it is missing").await?;
        }
        self.end_session().await?;
        self.commit().await?;
        let counts = self.rows.counts().await?;
        self.rows.close().await?;
        Ok((std::mem::take(&mut self.troubles), counts))
    }

    fn tally(&self) -> Tally {
        self.tally
    }
}
