//! What a node makes of what the others say.
//!
//! Any note may be lost, come twice, late or in another order, and none is believed further than
//! it is a hint or a signal. Events that continue a session's ring go into it as those of a local
//! commit do, in their order (`early`); where some are missing, `fill` reads the store. What can't
//! be understood is dropped. Whoever falls silent is forgotten with all that it told.

use std::sync::Arc;

use protocol::frame::ServerFrame;
use protocol::{Event, SessionId, UserId};
use tokio_util::sync::CancellationToken;

use super::note::{Note, USERS_OF_NOTE_MAX};
use super::{Chat, Nodes, frame_of};
use crate::bus::{Ears, Heard, NodeId, Topic};

impl Chat {
    /// Hears what the other nodes tell, until `stop`.
    pub(super) async fn hear_nodes(&self, ears: Option<Ears>, stop: &CancellationToken) {
        let (Some(nodes), Some(mut ears)) = (&self.nodes, ears) else { return };
        while let Some(Some(heard)) = stop.run_until_cancelled(ears.recv()).await {
            match heard {
                Heard::Up => {
                    nodes.is_unsure();
                    self.ask_who(nodes);
                    self.catch_up(self.hub.heads()).await;
                }
                Heard::Lost => {
                    nodes.is_unsure();
                    self.catch_up(self.hub.heads()).await;
                }
                Heard::Listening(topics) => {
                    let ring = |topic| match topic {
                        Topic::Session(session) => self.hub.ring(session),
                        Topic::All | Topic::User(_) => None,
                    };
                    let rings = topics.into_iter().filter_map(ring);
                    self.catch_up(rings.map(|ring| (ring.session(), ring.head())).collect()).await;
                }
                Heard::Notes { from, notes, room: _room } => {
                    if nodes.is_back(from) {
                        self.ask_who(nodes);
                    }
                    for note in notes.iter().filter_map(|text| Note::read(text)) {
                        self.hear(nodes, from, note);
                    }
                }
            }
        }
    }

    /// Looks whether these logs reach further than that.
    async fn catch_up(&self, known: Vec<(SessionId, u64)>) {
        if let Err(error) = self.check(known).await {
            // The slow check of all heads comes back to it.
            tracing::debug!(%error, "heads are not checked");
        }
    }

    /// Asks who is there elsewhere, in all sessions that are followed here.
    fn ask_who(&self, nodes: &Nodes) {
        for (session, _) in self.hub.heads() {
            nodes.put(Note::Who(session));
        }
    }

    fn hear(&self, nodes: &Nodes, from: NodeId, note: Note) {
        match note {
            Note::Head(session, head) => self.hear_head(nodes, session, head),
            Note::Events(events) => self.hear_events(events),
            Note::Online(session, user, online) => {
                if let Some(ring) = self.hub.ring(session) {
                    ring.set_elsewhere(from, &[user], online);
                }
            }
            Note::Here(session, users) => {
                if let Some(ring) = self.hub.ring(session) {
                    ring.set_elsewhere(from, &users, true);
                }
            }
            Note::Who(session) => {
                let here = self.hub.ring(session).map(|ring| ring.here()).unwrap_or_default();
                for part in here.chunks(USERS_OF_NOTE_MAX) {
                    nodes.put(Note::Here(session, part.to_vec()));
                }
            }
            Note::Typing(session, user, is_typing) => {
                if let Some(ring) = self.hub.ring(session) {
                    ring.set_typing_elsewhere(user, is_typing);
                }
            }
            Note::Read(session, user, seq) if nodes.has_topics() => {
                self.hub.signal(session, &read_frame(session, user, seq), None);
            }
            Note::Read(session, user, seq) => self.tell_read(session, user, seq),
            Note::OwnRead(session, user, seq) => {
                self.hub.tell_user(user, &read_frame(session, user, seq), Some(session));
            }
            Note::Member(session, user, added) => {
                if !self.hub.listening(&[user]).is_empty() {
                    self.activity.member(session, user, added);
                }
            }
            Note::News(session, head) => {
                if self.hub.has_listeners() {
                    self.activity.reaches(session, head);
                }
            }
            Note::Gone(session, members) => {
                let listening = self.hub.listening(&members);
                if !listening.is_empty() {
                    self.activity.deleted(session, listening);
                }
            }
            Note::Listens(listens) => nodes.node_listens(from, listens),
            Note::Alive => {}
        }
    }

    fn hear_head(&self, nodes: &Nodes, session: SessionId, head: u64) {
        if !nodes.has_topics() && self.hub.has_listeners() {
            self.activity.reaches(session, head);
        }
        if let Some(ring) = self.hub.ring(session)
            && ring.head() < head
        {
            self.fills.ask(session, head);
        }
    }

    fn hear_events(&self, events: Vec<Event>) {
        let Some(session) = events.first().map(|event| event.session_id) else { return };
        let is_one_log = events.iter().all(|event| event.session_id == session && event.seq > 0);
        let is_in_order = events.windows(2).all(|pair| pair[0].seq < pair[1].seq);
        if !is_one_log || !is_in_order {
            return;
        }
        if let Some(ring) = self.hub.ring(session)
            && self.arrive(&ring, events.into_iter().map(Arc::new).collect())
        {
            ring.wake();
        }
    }

    /// Tells the session, and the user's own devices, how far the user has read.
    pub(super) fn tell_read(&self, session_id: SessionId, user_id: UserId, seq: u64) {
        let frame = read_frame(session_id, user_id, seq);
        self.hub.signal(session_id, &frame, None);
        self.hub.tell_user(user_id, &frame, Some(session_id));
    }
}

fn read_frame(session_id: SessionId, user_id: UserId, seq: u64) -> bytes::Bytes {
    frame_of(&ServerFrame::Read { session_id, user_id, seq })
}
