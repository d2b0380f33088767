//! One open transaction of the writer: what is done in it, and what will be told of it.
//!
//! The rules of appends are here and in `append_message`: first who may (session, member, owner),
//! then what is inside. Every action runs its statements first and changes what is remembered
//! last, so that an action that fails midway leaves no trace.

use std::sync::Arc;

use protocol::event::{Nothing, RemovedParticipant};
use protocol::{
    Change, Event, ParticipantId, ParticipantRow, Session, SessionId, Timestamp, UserId,
};
use rusqlite::{OptionalExtension, params};

use crate::store::kind;
use crate::store::sqlite::column::signed;
use crate::store::sqlite::fault::refuse;
use crate::store::sqlite::hot::Hot;
use crate::store::sqlite::known::{Known, KnownSession};
use crate::store::sqlite::place;
use crate::store::{Action, Append, Appended, Marked, Refusal, Result};

/// Who does something in which session, and when. `session` is as it was before.
#[derive(Clone, Copy)]
pub struct Scene {
    pub id: SessionId,
    pub session: KnownSession,
    pub actor: UserId,
    pub at: Timestamp,
    /// The number that the event will have.
    pub seq: u64,
}

impl Scene {
    pub fn place(&self) -> i64 {
        place::at(self.session.num, self.seq)
    }

    pub fn event(&self, change: Change) -> Arc<Event> {
        Arc::new(Event { session_id: self.id, seq: self.seq, at: self.at, change })
    }

    fn owner_only(&self) -> Result<()> {
        if self.actor == self.session.owner { Ok(()) } else { refuse(Refusal::NotSessionOwner) }
    }
}

/// The columns of an event that only some kinds have.
#[derive(Default)]
pub struct EventColumns<'a> {
    pub message: Option<i64>,
    pub user: Option<UserId>,
    pub participant: Option<ParticipantId>,
    pub title: Option<&'a str>,
}

/// The open transaction.
pub struct Batch<'b, 'c> {
    pub hot: &'b mut Hot<'c>,
    pub known: &'b mut Known,
    pub epoch: &'b str,
    pub events: Vec<Arc<Event>>,
    /// Contents were overwritten: the WAL still has them.
    pub deleted: bool,
}

impl Batch<'_, '_> {
    /// Does what is asked, or refuses. After `Unavailable` the transaction is spoiled; any other
    /// error undid itself.
    pub fn append(&mut self, append: Append) -> Result<Appended> {
        let Append { session: id, actor, at, action } = append;
        let Some(session) = self.known.sessions.get(self.hot, id)?.copied() else {
            return refuse(Refusal::SessionNotFound);
        };
        if self.known.members.get(self.hot, session.num, actor)?.is_none() {
            return refuse(Refusal::NotAMember);
        }
        let seq = place::next(session.last_seq)?;
        let scene = Scene { id, session, actor, at, seq };
        let appended = match action {
            // One statement: SQLite undoes it alone.
            Action::Send { draft } => self.send(&scene, draft)?,
            other => self.in_savepoint(|batch| batch.act(&scene, other))?,
        };
        if let Appended::New(event) = &appended {
            self.events.push(Arc::clone(event));
        }
        Ok(appended)
    }

    /// Raises a read mark and gives it as it is then.
    pub fn mark(&mut self, id: SessionId, user: UserId, seq: u64) -> Result<Marked> {
        let Some(session) = self.known.sessions.get(self.hot, id)?.copied() else {
            return refuse(Refusal::SessionNotFound);
        };
        let Some(member) = self.known.members.get(self.hot, session.num, user)?.copied() else {
            return refuse(Refusal::NotAMember);
        };
        let seq = seq.min(session.last_seq);
        if seq <= member.read_seq {
            return Ok(Marked { seq: member.read_seq, has_grown: false });
        }
        let count = if seq == session.last_seq {
            session.message_count
        } else {
            self.messages_up_to(place::at(session.num, seq))?
        };
        self.known.members.mark(session.num, user, seq, count);
        Ok(Marked { seq, has_grown: true })
    }

    fn act(&mut self, scene: &Scene, action: Action) -> Result<Appended> {
        match action {
            Action::Send { draft } => self.send(scene, draft),
            Action::Edit { message, content } => self.edit(scene, message, content),
            Action::Delete { message } => self.delete(scene, message),
            Action::AddParticipant { id, user } => self.add_participant(scene, id, user),
            Action::RemoveParticipant { user } => self.remove_participant(scene, user),
            Action::Leave => self.leave(scene),
            Action::Rename { title } => self.rename(scene, title),
            Action::DeleteSession => self.delete_session(scene),
        }
    }

    fn add_participant(
        &mut self,
        scene: &Scene,
        id: ParticipantId,
        user: UserId,
    ) -> Result<Appended> {
        scene.owner_only()?;
        let found = self
            .hot
            .connection
            .prepare_cached("SELECT email, name FROM users WHERE id = ?1")?
            .query_row([user.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((email, name)) = found else { return refuse(Refusal::UserNotFound) };
        let Scene { session, seq, at, .. } = *scene;
        if self.known.members.get(self.hot, session.num, user)?.is_some() {
            return refuse(Refusal::AlreadyParticipant);
        }
        self.hot
            .connection
            .prepare_cached(
                "INSERT INTO members (session, user_id, id, created_at, is_owner, read_seq,
                     read_count)
                 VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6)",
            )?
            .execute(params![
                session.num,
                user.as_bytes(),
                id.as_bytes(),
                at.0,
                signed(seq),
                signed(session.message_count),
            ])?;
        self.count_members(scene, 1)?;
        let columns =
            EventColumns { user: Some(user), participant: Some(id), ..Default::default() };
        self.insert_event(scene, kind::PARTICIPANT_ADDED, &columns)?;
        let row =
            ParticipantRow { id, user_id: user, email, name, is_owner: false, created_at: at };
        Ok(self.happened(scene, Change::ParticipantAdded(row)))
    }

    fn remove_participant(&mut self, scene: &Scene, user: UserId) -> Result<Appended> {
        scene.owner_only()?;
        let is_member = self.known.members.get(self.hot, scene.session.num, user)?.is_some();
        if user == scene.session.owner || !is_member {
            return refuse(Refusal::ParticipantNotFound);
        }
        self.take_access(scene, user)
    }

    fn leave(&mut self, scene: &Scene) -> Result<Appended> {
        if scene.actor == scene.session.owner {
            return refuse(Refusal::OwnerCannotLeave);
        }
        self.take_access(scene, scene.actor)
    }

    fn take_access(&mut self, scene: &Scene, user: UserId) -> Result<Appended> {
        self.hot
            .connection
            .prepare_cached("DELETE FROM members WHERE session = ?1 AND user_id = ?2")?
            .execute(params![scene.session.num, user.as_bytes()])?;
        self.count_members(scene, -1)?;
        let columns = EventColumns { user: Some(user), ..Default::default() };
        self.insert_event(scene, kind::PARTICIPANT_REMOVED, &columns)?;
        self.known.members.forget(scene.session.num, user);
        let removed = RemovedParticipant { user_id: user };
        Ok(self.happened(scene, Change::ParticipantRemoved(removed)))
    }

    fn rename(&mut self, scene: &Scene, title: String) -> Result<Appended> {
        scene.owner_only()?;
        self.hot
            .connection
            .prepare_cached("UPDATE sessions SET title = ?2 WHERE num = ?1")?
            .execute(params![scene.session.num, title])?;
        let columns = EventColumns { title: Some(&title), ..Default::default() };
        self.insert_event(scene, kind::SESSION_UPDATED, &columns)?;
        let session = Session {
            id: scene.id,
            user_id: scene.session.owner,
            title,
            created_at: scene.session.created_at,
            updated_at: scene.at,
            last_seq: scene.seq,
            epoch: self.epoch.to_owned(),
            is_owner: None,
        };
        Ok(self.happened(scene, Change::SessionUpdated(session)))
    }

    fn delete_session(&mut self, scene: &Scene) -> Result<Appended> {
        scene.owner_only()?;
        self.hot
            .connection
            .prepare_cached(
                "UPDATE sessions SET deleted_at = ?2, updated_at = ?2, last_seq = ?3
                 WHERE num = ?1",
            )?
            .execute(params![scene.session.num, scene.at.0, signed(scene.seq)])?;
        self.insert_event(scene, kind::SESSION_DELETED, &EventColumns::default())?;
        let appended = self.happened(scene, Change::SessionDeleted(Nothing {}));
        self.known.sessions.forget(scene.id);
        Ok(appended)
    }

    fn count_members(&mut self, scene: &Scene, change: i64) -> Result<()> {
        self.hot
            .connection
            .prepare_cached("UPDATE sessions SET member_count = member_count + ?2 WHERE num = ?1")?
            .execute(params![scene.session.num, change])?;
        Ok(())
    }

    /// The last step of every action but sending: the session goes on.
    pub fn happened(&mut self, scene: &Scene, change: Change) -> Appended {
        self.known.sessions.advance(scene.id, scene.seq, scene.at);
        Appended::New(scene.event(change))
    }

    pub fn insert_event(
        &mut self,
        scene: &Scene,
        kind: i64,
        columns: &EventColumns<'_>,
    ) -> Result<()> {
        self.hot
            .connection
            .prepare_cached(
                "INSERT INTO events (place, at, kind, actor_id, message, user_id,
                     participant_id, title)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                scene.place(),
                scene.at.0,
                kind,
                scene.actor.as_bytes(),
                columns.message,
                columns.user.as_ref().map(UserId::as_bytes),
                columns.participant.as_ref().map(ParticipantId::as_bytes),
                columns.title,
            ])?;
        Ok(())
    }

    /// Runs several statements so that an error undoes them together, and them alone.
    pub fn in_savepoint<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let connection = self.hot.connection;
        connection.prepare_cached("SAVEPOINT one")?.execute([])?;
        let outcome = work(self);
        if outcome.is_err() && !connection.is_autocommit() {
            connection.prepare_cached("ROLLBACK TO one")?.execute([])?;
        }
        if !connection.is_autocommit() {
            connection.prepare_cached("RELEASE one")?.execute([])?;
        }
        outcome
    }
}
