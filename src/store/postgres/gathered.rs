//! What a batch has changed and not written yet: the rows of sessions, read marks, messages.

use std::collections::HashMap;

use protocol::{SessionId, Timestamp, UserId};
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::store::Result;
use crate::store::postgres::column::signed;
use crate::store::postgres::hot::Hot;
use crate::store::postgres::messages::Fresh;

/// A live session, as it is at this point of the transaction.
#[derive(Clone, Copy, Debug)]
pub struct KnownSession {
    pub owner: UserId,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub last_seq: u64,
    /// Messages ever created.
    pub message_count: u64,
    pub last_live_seq: u64,
    pub changed: bool,
}

/// A member's read mark: the seq, and the messages ever created up to it.
#[derive(Clone, Copy, Debug)]
pub struct KnownMember {
    pub mark: (u64, u64),
    pub changed: bool,
}

/// Rows that are to be written, a vector a column.
pub struct Gathered<'a> {
    fresh: Fresh<'a>,
    session: Vec<Uuid>,
    updated_at: Vec<i64>,
    last_seq: Vec<i64>,
    message_count: Vec<i64>,
    last_live_seq: Vec<i64>,
    member_session: Vec<Uuid>,
    member: Vec<Uuid>,
    read_seq: Vec<i64>,
    read_count: Vec<i64>,
}

impl<'a> Gathered<'a> {
    /// What has changed since the last time; none when nothing has.
    pub fn take(
        sessions: &mut HashMap<SessionId, KnownSession>,
        members: &mut HashMap<(SessionId, UserId), KnownMember>,
        fresh: &mut Fresh<'a>,
    ) -> Option<Self> {
        let changed: Vec<_> = sessions
            .iter_mut()
            .filter_map(|(id, session)| {
                std::mem::take(&mut session.changed).then_some((id.0, *session))
            })
            .collect();
        let marked: Vec<_> = members
            .iter_mut()
            .filter_map(|(&(session, user), member)| {
                std::mem::take(&mut member.changed).then_some((session.0, user.0, member.mark))
            })
            .collect();
        if changed.is_empty() && marked.is_empty() {
            return None;
        }
        Some(Self {
            fresh: std::mem::take(fresh),
            session: changed.iter().map(|(id, _)| *id).collect(),
            updated_at: changed.iter().map(|(_, session)| session.updated_at.0).collect(),
            last_seq: changed.iter().map(|(_, session)| signed(session.last_seq)).collect(),
            message_count: changed.iter().map(|(_, s)| signed(s.message_count)).collect(),
            last_live_seq: changed.iter().map(|(_, s)| signed(s.last_live_seq)).collect(),
            member_session: marked.iter().map(|(session, ..)| *session).collect(),
            member: marked.iter().map(|(_, user, _)| *user).collect(),
            read_seq: marked.iter().map(|(.., mark)| signed(mark.0)).collect(),
            read_count: marked.iter().map(|(.., mark)| signed(mark.1)).collect(),
        })
    }

    pub async fn write(self, client: &Client, hot: &Hot) -> Result<()> {
        let Fresh { session, seq, ordinal, is_ai, created_at, id, .. } = &self.fresh;
        let Fresh { sender, client_id, request_hash, file_url, content, .. } = &self.fresh;
        let Self { member_session, member, read_seq, read_count, .. } = &self;
        let Self { updated_at, last_seq, message_count, last_live_seq, .. } = &self;
        let parameters: [&(dyn ToSql + Sync); 20] = [
            session,
            seq,
            ordinal,
            is_ai,
            created_at,
            id,
            sender,
            client_id,
            request_hash,
            file_url,
            content,
            member_session,
            member,
            read_seq,
            read_count,
            &self.session,
            updated_at,
            last_seq,
            message_count,
            last_live_seq,
        ];
        client.execute(&hot.write, &parameters).await?;
        Ok(())
    }
}
