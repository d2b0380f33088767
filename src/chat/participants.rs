//! Participants: the owner gives access and takes it; a participant leaves.

use std::sync::Arc;

use protocol::{ErrorCode, Event, Participant, ParticipantId, ParticipantRow, UserId};

use super::{Chat, Member, Result};
use crate::store::{Action, Page, participant_of};

impl Chat {
    /// Owner first, from behind the row `before`; an unknown `before` is `invalid_query`.
    pub async fn participants(
        &self,
        member: &Member,
        before: Option<ParticipantId>,
        limit: Option<usize>,
    ) -> Result<Page<ParticipantRow>> {
        let limit = limit.unwrap_or(protocol::limits::PAGE_ITEMS_MAX);
        let page = self.store.participants(member.session_id(), before, limit).await?;
        Ok(page.ok_or(ErrorCode::InvalidQuery)?)
    }

    pub async fn add_participant(&self, owner: &Member, user: UserId) -> Result<Participant> {
        let id = ParticipantId::new();
        let event = self.act(owner, Action::AddParticipant { id, user }).await?;
        participant_of(&event).ok_or_else(|| super::messages::unexpected(&event.change))
    }

    /// `user_not_found` where no account has the email.
    pub async fn add_participant_by_email(
        &self,
        owner: &Member,
        email: &str,
    ) -> Result<Participant> {
        let account = self.store.account_by_email(email.trim()).await?;
        let account = account.ok_or(ErrorCode::UserNotFound)?;
        self.add_participant(owner, account.user.id).await
    }

    pub async fn remove_participant(&self, owner: &Member, user: UserId) -> Result<Arc<Event>> {
        self.act(owner, Action::RemoveParticipant { user }).await
    }

    pub async fn leave(&self, member: &Member) -> Result<()> {
        self.act(member, Action::Leave).await.map(|_| ())
    }
}
