//! Sessions: create, list, rename, delete, and how far a member has read.

use protocol::limits::{PAGE_ITEMS_MAX, TITLE_CHARS_MAX};
use protocol::model::ListedSession;
use protocol::{Change, ErrorCode, Session, SessionId, Timestamp};

use super::{Actor, Chat, Member, Result};
use crate::store::{Action, Appended, Page};

impl Chat {
    pub async fn create_session(&self, actor: Actor, title: String) -> Result<Session> {
        let id = SessionId::new();
        let session = self.store.create_session(id, actor.user, title, Timestamp::now()).await?;
        self.activity.member(id, actor.user, true);
        if let Some(nodes) = &self.nodes {
            nodes.added(id, actor.user);
        }
        Ok(session)
    }

    /// Newest first, from behind `before`; an unknown `before` is `invalid_query`.
    pub async fn sessions(
        &self,
        actor: Actor,
        before: Option<SessionId>,
        limit: Option<usize>,
    ) -> Result<Page<ListedSession>> {
        let limit = limit.unwrap_or(PAGE_ITEMS_MAX);
        let page = self.store.sessions_of(actor.user, before, limit).await?;
        let page = page.ok_or(ErrorCode::InvalidQuery)?;
        let items = page.items.into_iter().map(|listed| ListedSession {
            session: listed.session,
            unread_count: listed.unread_count,
            last_message: listed.last_message,
        });
        Ok(Page { items: items.collect(), more: page.more })
    }

    pub async fn rename(&self, owner: &Member, title: String) -> Result<Session> {
        let event = self.act(owner.as_owner()?, Action::Rename { title }).await?;
        match &event.change {
            Change::SessionUpdated(session) => {
                Ok(Session { is_owner: Some(true), ..session.clone() })
            }
            other => Err(super::messages::unexpected(other)),
        }
    }

    pub async fn delete_session(&self, owner: &Member) -> Result<()> {
        let owner = owner.as_owner()?;
        let members = match self.hub.has_listeners() || self.nodes.is_some() {
            true => self.store.member_ids(owner.session_id()).await?,
            false => Vec::new(),
        };
        self.act(owner, Action::DeleteSession).await?;
        if let Some(nodes) = &self.nodes {
            nodes.gone(owner.session_id(), &members);
        }
        self.activity.deleted(owner.session_id(), members);
        Ok(())
    }

    /// Raises the member's read mark, and tells that it has grown; `position_unknown` beyond the
    /// head.
    pub async fn read(&self, member: &Member, seq: u64) -> Result<u64> {
        let (session_id, user_id) = (member.session_id(), member.actor().user);
        let head = member.head().max(self.hub.ring(session_id).map_or(0, |ring| ring.head()));
        if seq > head {
            let now = self.member(member.actor(), session_id).await?;
            if seq > now.head() {
                return Err(ErrorCode::PositionUnknown.into());
            }
        }
        let mark = self.store.set_read_mark(session_id, user_id, seq).await?;
        if mark.has_grown {
            let seq = mark.seq;
            self.tell_read(session_id, user_id, seq);
            if let Some(nodes) = &self.nodes {
                nodes.read(session_id, user_id, seq);
            }
        }
        Ok(mark.seq)
    }

    /// Says that a follower types, or does no more: a signal, lost where nobody follows. Whoever
    /// is no follower of that session here is not heard.
    pub fn typing(&self, actor: Actor, session: SessionId, is_typing: bool) {
        self.hub.set_typing(session, actor.user, is_typing);
    }

    /// Appends something that can't be a repeat.
    pub(super) async fn act(
        &self,
        member: &Member,
        action: Action,
    ) -> Result<std::sync::Arc<protocol::Event>> {
        match self.append(member, action).await? {
            Appended::New(event) => Ok(event),
            Appended::Repeat(_) => {
                Err(crate::store::Error::Other("only a send can be a repeat".into()).into())
            }
        }
    }
}

/// A title within its bounds, trimmed.
pub fn check_title(title: &str) -> std::result::Result<String, ErrorCode> {
    let title = title.trim();
    let chars = title.chars().count();
    if chars == 0 || chars > TITLE_CHARS_MAX || title.chars().any(char::is_control) {
        return Err(ErrorCode::InvalidTitle);
    }
    Ok(title.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_has_1_to_200_characters_after_trimming() {
        assert_eq!(check_title("  a b ").as_deref(), Ok("a b"));
        assert!(check_title(&"ü".repeat(200)).is_ok());
        for bad in ["", "  ", "a\nb", "a\u{7f}", "\u{0}", "a\u{85}b", &"x".repeat(201)] {
            assert_eq!(check_title(bad), Err(ErrorCode::InvalidTitle), "{bad:?}");
        }
    }
}
