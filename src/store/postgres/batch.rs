//! One transaction of a lane: what is done in it, and what will be told of it.
//!
//! It begins with all that has to be known, asked in one go: the rows of its sessions, locked in a
//! fixed order; then, as of after the locks, who of the actors is a member, and which `client_id`s
//! were used. Nothing is remembered from the batch before, for another node may have been here.
//! Sends then need no further question. They are written with the rows of sessions and members in
//! one statement, together with the commit; any other action writes what was gathered before it
//! and runs its own statements. The rules are those of the SQLite twin, in the same order: first
//! who may (session, member, owner), then what is inside.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::try_join4;
use protocol::event::{Nothing, RemovedParticipant};
use protocol::{
    Change, Event, ParticipantId, ParticipantRow, Session, SessionId, Timestamp, UserId,
};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use crate::store::fault::refuse;
use crate::store::kind;
use crate::store::postgres::column::{signed, time, unsigned, user};
use crate::store::postgres::gathered::{Gathered, KnownMember, KnownSession};
use crate::store::postgres::hot::Hot;
use crate::store::postgres::messages::Fresh;
use crate::store::{Action, Append, Appended, Error, Marked, Refusal, Result};

/// (session, user, id, at, seq, message_count)
pub const ADD_SQL: &str = "INSERT INTO members
         (session_id, user_id, id, created_at, is_owner, read_seq, read_count)
     VALUES ($1, $2, $3, $4, false, $5, $6)";
/// (session, user)
pub const REMOVE_SQL: &str = "DELETE FROM members WHERE session_id = $1 AND user_id = $2";
/// (session, change)
pub const COUNT_SQL: &str = "UPDATE sessions SET member_count = member_count + $2::bigint
     WHERE session_id = $1";
/// (session, title)
pub const RENAME_SQL: &str = "UPDATE sessions SET title = $2 WHERE session_id = $1";
/// (session, at, seq)
pub const DELETE_SQL: &str = "UPDATE sessions SET deleted_at = $2, updated_at = $2, last_seq = $3
     WHERE session_id = $1";
/// (session, seq, at, kind, actor, message, user, participant, title)
pub const EVENT_SQL: &str = "INSERT INTO events
         (session_id, seq, at, kind, actor_id, message_seq, user_id, participant_id, title)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

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
    pub message_seq: Option<i64>,
    pub user: Option<Uuid>,
    pub participant: Option<Uuid>,
    pub title: Option<&'a str>,
}

/// What is to be done.
pub enum Work {
    Append(Append),
    /// A read mark to be raised.
    Mark {
        session: SessionId,
        user: UserId,
        seq: u64,
    },
}

impl Work {
    /// Of its contents.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Append(append) => append.action.bytes(),
            Self::Mark { .. } => 0,
        }
    }
}

/// What came of some work, in its order.
pub enum Done {
    Append(Result<Appended>),
    Mark(Result<Marked>),
}

/// Does some work in one transaction. An error has undone all of it.
pub async fn run(
    client: &Client,
    hot: &Hot,
    epoch: &str,
    work: &[Work],
) -> Result<(Vec<Arc<Event>>, Vec<Done>)> {
    let mut batch = Batch::begin(client, hot, epoch, work).await?;
    let mut done = Vec::with_capacity(work.len());
    for one in work {
        done.push(match one {
            Work::Append(append) => Done::Append(unless_failed(batch.append(append).await)?),
            Work::Mark { session, user, seq } => {
                Done::Mark(unless_failed(batch.mark(*session, *user, *seq).await)?)
            }
        });
    }
    Ok((batch.commit().await?, done))
}

/// A refusal is an outcome; after any other error the transaction can't go on.
fn unless_failed<T>(outcome: Result<T>) -> Result<Result<T>> {
    match outcome {
        Err(error @ Error::Refused(_)) => Ok(Err(error)),
        other => other.map(Ok),
    }
}

/// The open transaction.
pub struct Batch<'a> {
    client: &'a Client,
    hot: &'a Hot,
    epoch: &'a str,
    sessions: HashMap<SessionId, KnownSession>,
    members: HashMap<(SessionId, UserId), KnownMember>,
    /// The seq of the message that has it.
    pub client_ids: HashMap<(SessionId, UserId, &'a str), u64>,
    pub fresh: Fresh<'a>,
    pub events: Vec<Arc<Event>>,
}

impl<'a> Batch<'a> {
    /// Begins a transaction, and asks for all that the work needs to know.
    pub async fn begin(
        client: &'a Client,
        hot: &'a Hot,
        epoch: &'a str,
        work: &'a [Work],
    ) -> Result<Self> {
        let asked = Asked::of(work);
        let (sessions, users): (Vec<Uuid>, Vec<Uuid>) = asked.members.into_iter().unzip();
        let ids: Vec<Uuid> = asked.sessions.into_iter().collect();
        let keys = &asked.keys;
        let key_sessions: Vec<Uuid> = keys.iter().map(|(session, ..)| session.0).collect();
        let senders: Vec<Uuid> = keys.iter().map(|(_, sender, _)| sender.0).collect();
        let names: Vec<&str> = keys.iter().map(|(_, _, name)| *name).collect();
        let key_parameters: [&(dyn ToSql + Sync); 3] = [&key_sessions, &senders, &names];
        let used = async {
            match keys.is_empty() {
                true => Ok(Vec::new()),
                false => client.query(&hot.client_ids, &key_parameters).await,
            }
        };
        let ((), locked, members, used) = try_join4(
            client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED"),
            client.query(&hot.lock, &[&ids]),
            client.query(&hot.members, &[&sessions, &users]),
            used,
        )
        .await?;
        let mut batch = Self {
            client,
            hot,
            epoch,
            sessions: locked.iter().map(read_session).collect::<Result<_>>()?,
            members: members.iter().map(read_member).collect::<Result<_>>()?,
            client_ids: HashMap::new(),
            fresh: Fresh::default(),
            events: Vec::with_capacity(work.len()),
        };
        for row in &used {
            let place: i64 = row.try_get(0)?;
            batch.client_ids.insert(keys[place as usize - 1], unsigned(row, 1)?);
        }
        Ok(batch)
    }

    /// Writes what was gathered and commits, in one go.
    pub async fn commit(mut self) -> Result<Vec<Arc<Event>>> {
        let commit = async { Ok(self.client.batch_execute("COMMIT").await?) };
        let gathered = Gathered::take(&mut self.sessions, &mut self.members, &mut self.fresh);
        match gathered {
            Some(gathered) => {
                let write = gathered.write(self.client, self.hot);
                futures_util::future::try_join(write, commit).await?;
            }
            None => commit.await?,
        }
        Ok(self.events)
    }

    /// Does what is asked, or refuses.
    pub async fn append(&mut self, append: &'a Append) -> Result<Appended> {
        let Append { session: id, actor, at, action } = append;
        let (id, actor, at) = (*id, *actor, *at);
        let Some(session) = self.sessions.get(&id).copied() else {
            return refuse(Refusal::SessionNotFound);
        };
        if !self.members.contains_key(&(id, actor)) {
            return refuse(Refusal::NotAMember);
        }
        let scene = Scene { id, session, actor, at, seq: session.last_seq + 1 };
        let appended = match action {
            Action::Send { draft } => self.send(&scene, draft).await?,
            other => self.act(&scene, other).await?,
        };
        if let Appended::New(event) = &appended {
            self.events.push(Arc::clone(event));
        }
        Ok(appended)
    }

    /// Raises a read mark and gives it as it is then.
    pub async fn mark(&mut self, id: SessionId, user: UserId, seq: u64) -> Result<Marked> {
        let Some(session) = self.sessions.get(&id).copied() else {
            return refuse(Refusal::SessionNotFound);
        };
        let Some(member) = self.members.get(&(id, user)).copied() else {
            return refuse(Refusal::NotAMember);
        };
        let seq = seq.min(session.last_seq);
        if seq <= member.mark.0 {
            return Ok(Marked { seq: member.mark.0, has_grown: false });
        }
        let count = if seq == session.last_seq {
            session.message_count
        } else {
            self.messages_up_to(id, seq).await?
        };
        self.set_mark(id, user, (seq, count));
        Ok(Marked { seq, has_grown: true })
    }

    async fn act(&mut self, scene: &Scene, action: &'a Action) -> Result<Appended> {
        self.flush().await?;
        match action {
            Action::Send { draft } => self.send(scene, draft).await,
            Action::Edit { message, content } => self.edit(scene, *message, content).await,
            Action::Delete { message } => self.delete(scene, *message).await,
            Action::AddParticipant { id, user } => self.add_participant(scene, *id, *user).await,
            Action::RemoveParticipant { user } => self.remove_participant(scene, *user).await,
            Action::Leave => self.leave(scene).await,
            Action::Rename { title } => self.rename(scene, title).await,
            Action::DeleteSession => self.delete_session(scene).await,
        }
    }

    async fn add_participant(
        &mut self,
        scene: &Scene,
        id: ParticipantId,
        user: UserId,
    ) -> Result<Appended> {
        scene.owner_only()?;
        let found = self.row("SELECT email, name FROM users WHERE id = $1", &[&user.0]).await?;
        let Some(found) = found else { return refuse(Refusal::UserNotFound) };
        let (email, name) = (found.try_get(0)?, found.try_get(1)?);
        if self.members.contains_key(&(scene.id, user)) {
            return refuse(Refusal::AlreadyParticipant);
        }
        let mark = (scene.seq, scene.session.message_count);
        let (seq, count) = (signed(mark.0), signed(mark.1));
        self.execute(ADD_SQL, &[&scene.id.0, &user.0, &id.0, &scene.at.0, &seq, &count]).await?;
        self.execute(COUNT_SQL, &[&scene.id.0, &1_i64]).await?;
        let (columns_user, participant) = (Some(user.0), Some(id.0));
        let columns = EventColumns { user: columns_user, participant, ..Default::default() };
        self.insert_event(scene, kind::PARTICIPANT_ADDED, &columns).await?;
        self.members.insert((scene.id, user), KnownMember { mark, changed: false });
        let (is_owner, created_at) = (false, scene.at);
        let row = ParticipantRow { id, user_id: user, email, name, is_owner, created_at };
        Ok(self.happened(scene, Change::ParticipantAdded(row)))
    }

    async fn remove_participant(&mut self, scene: &Scene, user: UserId) -> Result<Appended> {
        scene.owner_only()?;
        if user == scene.session.owner || !self.members.contains_key(&(scene.id, user)) {
            return refuse(Refusal::ParticipantNotFound);
        }
        self.take_access(scene, user).await
    }

    async fn leave(&mut self, scene: &Scene) -> Result<Appended> {
        if scene.actor == scene.session.owner {
            return refuse(Refusal::OwnerCannotLeave);
        }
        self.take_access(scene, scene.actor).await
    }

    async fn take_access(&mut self, scene: &Scene, user: UserId) -> Result<Appended> {
        self.execute(REMOVE_SQL, &[&scene.id.0, &user.0]).await?;
        self.execute(COUNT_SQL, &[&scene.id.0, &-1_i64]).await?;
        let columns = EventColumns { user: Some(user.0), ..Default::default() };
        self.insert_event(scene, kind::PARTICIPANT_REMOVED, &columns).await?;
        self.members.remove(&(scene.id, user));
        let removed = RemovedParticipant { user_id: user };
        Ok(self.happened(scene, Change::ParticipantRemoved(removed)))
    }

    async fn rename(&mut self, scene: &Scene, title: &str) -> Result<Appended> {
        scene.owner_only()?;
        self.execute(RENAME_SQL, &[&scene.id.0, &title]).await?;
        let columns = EventColumns { title: Some(title), ..Default::default() };
        self.insert_event(scene, kind::SESSION_UPDATED, &columns).await?;
        let session = Session {
            id: scene.id,
            user_id: scene.session.owner,
            title: title.to_owned(),
            created_at: scene.session.created_at,
            updated_at: scene.at,
            last_seq: scene.seq,
            epoch: self.epoch.to_owned(),
            is_owner: None,
        };
        Ok(self.happened(scene, Change::SessionUpdated(session)))
    }

    async fn delete_session(&mut self, scene: &Scene) -> Result<Appended> {
        scene.owner_only()?;
        self.execute(DELETE_SQL, &[&scene.id.0, &scene.at.0, &signed(scene.seq)]).await?;
        self.insert_event(scene, kind::SESSION_DELETED, &EventColumns::default()).await?;
        self.sessions.remove(&scene.id);
        Ok(Appended::New(scene.event(Change::SessionDeleted(Nothing {}))))
    }

    /// The last step of every action but sending: the session goes on.
    pub fn happened(&mut self, scene: &Scene, change: Change) -> Appended {
        self.advance(scene);
        Appended::New(scene.event(change))
    }

    /// Notes an event of the session: its number and time are the session's last ones now.
    pub fn advance(&mut self, scene: &Scene) -> &mut KnownSession {
        let session = self.sessions.get_mut(&scene.id).expect("an event's session was locked");
        session.last_seq = scene.seq;
        session.updated_at = scene.at;
        session.changed = true;
        session
    }

    /// Sets the read mark of a member who was asked for.
    pub fn set_mark(&mut self, session: SessionId, user: UserId, mark: (u64, u64)) {
        self.members.insert((session, user), KnownMember { mark, changed: true });
    }

    pub async fn insert_event(
        &mut self,
        scene: &Scene,
        kind: i64,
        columns: &EventColumns<'_>,
    ) -> Result<()> {
        let EventColumns { message_seq, user, participant, title } = columns;
        let (session, seq, kind) = (&scene.id.0, signed(scene.seq), kind as i16);
        let (at, actor) = (&scene.at.0, &scene.actor.0);
        self.execute(
            EVENT_SQL,
            &[session, &seq, at, &kind, actor, message_seq, user, participant, title],
        )
        .await
    }

    /// Writes what was gathered so far: what follows looks at it.
    pub async fn flush(&mut self) -> Result<()> {
        let gathered = Gathered::take(&mut self.sessions, &mut self.members, &mut self.fresh);
        match gathered {
            Some(gathered) => gathered.write(self.client, self.hot).await,
            None => Ok(()),
        }
    }

    pub async fn row(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Option<Row>> {
        let statement = self.hot.other(self.client, sql).await?;
        Ok(self.client.query_opt(&statement, parameters).await?)
    }

    pub async fn execute(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<()> {
        let statement = self.hot.other(self.client, sql).await?;
        self.client.execute(&statement, parameters).await?;
        Ok(())
    }
}

fn read_session(row: &Row) -> Result<(SessionId, KnownSession)> {
    let created_at = time(row, 2)?;
    let session = KnownSession {
        owner: user(row, 1)?,
        created_at,
        updated_at: created_at,
        last_seq: unsigned(row, 3)?,
        message_count: unsigned(row, 4)?,
        last_live_seq: unsigned(row, 5)?,
        changed: false,
    };
    Ok((SessionId(row.try_get(0)?), session))
}

fn read_member(row: &Row) -> Result<((SessionId, UserId), KnownMember)> {
    let mark = (unsigned(row, 2)?, unsigned(row, 3)?);
    Ok(((SessionId(row.try_get(0)?), user(row, 1)?), KnownMember { mark, changed: false }))
}

/// What some work needs to know, each once.
#[derive(Default)]
struct Asked<'a> {
    sessions: BTreeSet<Uuid>,
    members: HashSet<(Uuid, Uuid)>,
    keys: Vec<(SessionId, UserId, &'a str)>,
}

impl<'a> Asked<'a> {
    fn of(work: &'a [Work]) -> Self {
        let mut asked = Self::default();
        for one in work {
            let (session, user) = match one {
                Work::Append(append) => (append.session, append.actor),
                Work::Mark { session, user, .. } => (*session, *user),
            };
            asked.sessions.insert(session.0);
            asked.members.insert((session.0, user.0));
            match one {
                Work::Append(Append { action: Action::Send { draft }, .. }) => {
                    let key = draft.client_id.as_deref().map(|name| (session, user, name));
                    asked.keys.extend(key);
                }
                Work::Append(Append { action: Action::AddParticipant { user, .. }, .. })
                | Work::Append(Append { action: Action::RemoveParticipant { user }, .. }) => {
                    asked.members.insert((session.0, user.0));
                }
                _ => {}
            }
        }
        asked
    }
}
