//! The way out: one walk through everything that a store has.

use std::collections::VecDeque;

use async_trait::async_trait;
use protocol::{ParticipantId, SessionId, Timestamp, UserId};

use super::{About, BATCH_BYTES, BATCH_ROWS, LOG_ROWS, MovedSession, Record, Rows, Source};
use crate::store::Result;

/// Where the walk is; what was passed last stands with it.
enum Stage {
    Users(Option<UserId>),
    RevokedTokens(u64),
    Sessions(Option<SessionId>),
    Log(SessionId, u64),
    Members(SessionId, Option<(Timestamp, ParticipantId)>),
    End,
}

pub struct Walk<R> {
    rows: R,
    about: About,
    stage: Stage,
    /// Sessions that were read and not passed yet.
    ahead: VecDeque<MovedSession>,
}

impl<R: Rows> Walk<R> {
    /// `rows` is in its transaction.
    pub fn new(rows: R, about: About) -> Self {
        Self { rows, about, stage: Stage::Users(None), ahead: VecDeque::new() }
    }

    async fn users(&mut self, after: Option<UserId>, batch: &mut Vec<Record>) -> Result<Stage> {
        let found = self.rows.users(after, BATCH_ROWS).await?;
        let last = found.last().map(|account| account.user.id);
        batch.extend(found.into_iter().map(|account| Record::User(account.into())));
        Ok(last.map_or(Stage::RevokedTokens(0), |last| Stage::Users(Some(last))))
    }

    async fn revoked(&mut self, after: u64, batch: &mut Vec<Record>) -> Result<Stage> {
        let found = self.rows.revoked_tokens(after, BATCH_ROWS).await?;
        let last = found.last().map(|(number, _)| *number);
        batch.extend(found.into_iter().map(|(_, token)| Record::RevokedToken(token)));
        Ok(last.map_or(Stage::Sessions(None), Stage::RevokedTokens))
    }

    async fn session(
        &mut self,
        after: Option<SessionId>,
        batch: &mut Vec<Record>,
    ) -> Result<Stage> {
        if self.ahead.is_empty() {
            self.ahead = self.rows.sessions(after, BATCH_ROWS).await?.into();
        }
        let Some(session) = self.ahead.pop_front() else { return Ok(Stage::End) };
        let stage = match session.deleted_at {
            None => Stage::Log(session.id, 0),
            Some(_) => Stage::Sessions(Some(session.id)),
        };
        batch.push(Record::Session(session));
        Ok(stage)
    }

    async fn log(
        &mut self,
        session: SessionId,
        after: u64,
        batch: &mut Vec<Record>,
    ) -> Result<Stage> {
        let found = self.rows.log(session, after, LOG_ROWS).await?;
        let is_more = found.len() == LOG_ROWS;
        let last = found.last().and_then(Record::seq).unwrap_or(after);
        batch.extend(found);
        Ok(if is_more { Stage::Log(session, last) } else { Stage::Members(session, None) })
    }

    async fn members(
        &mut self,
        session: SessionId,
        after: Option<(Timestamp, ParticipantId)>,
        batch: &mut Vec<Record>,
    ) -> Result<Stage> {
        let found = self.rows.members(session, after, BATCH_ROWS).await?;
        let is_more = found.len() == BATCH_ROWS;
        let last = found.last().map(|member| (member.created_at, member.id));
        batch.extend(found.into_iter().map(Record::Member));
        Ok(if is_more { Stage::Members(session, last) } else { Stage::Sessions(Some(session)) })
    }
}

#[async_trait]
impl<R: Rows> Source for Walk<R> {
    fn about(&self) -> &About {
        &self.about
    }

    async fn next(&mut self) -> Result<Vec<Record>> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < BATCH_ROWS && bytes < BATCH_BYTES {
            let before = batch.len();
            self.stage = match std::mem::replace(&mut self.stage, Stage::End) {
                Stage::Users(after) => self.users(after, &mut batch).await?,
                Stage::RevokedTokens(after) => self.revoked(after, &mut batch).await?,
                Stage::Sessions(after) => self.session(after, &mut batch).await?,
                Stage::Log(session, after) => self.log(session, after, &mut batch).await?,
                Stage::Members(session, after) => self.members(session, after, &mut batch).await?,
                Stage::End => break,
            };
            bytes += batch[before..].iter().map(Record::bytes).sum::<usize>();
        }
        Ok(batch)
    }
}
