//! What a device knows: its copies of logs, its connection, what it asked there.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Instant;

use protocol::{Change, Event, Message, MessageId, Timestamp, UserId};

use super::answers::Before;
use super::copy::{Copy, Following, Over};
use super::link::End;
use super::plan::{From, Way};
use super::world::{State, is_restart};

/// What a device knows.
#[derive(Default)]
pub struct Memory {
    /// Copies of logs, by session.
    pub copies: HashMap<usize, Copy>,
    /// Spans of messages that came over the plain protocol, not compared yet.
    pub spans: Vec<Span>,
    pub line: Option<Line>,
    pub is_stalled: bool,
    /// What the device was connected to when the server restarted.
    pub lost: Option<(Way, Vec<usize>)>,
}

/// What came over one plain connection.
#[derive(Debug)]
pub struct Span {
    pub session: usize,
    pub after: Option<u64>,
    pub following: Following,
    pub messages: Vec<(u64, MessageId)>,
    /// The server closed it as for somebody who was removed.
    pub is_removed: bool,
    pub is_open: bool,
}

impl Span {
    pub fn at(&self) -> u64 {
        self.messages.last().map_or(self.after.unwrap_or(0), |&(seq, _)| seq)
    }
}

/// A connection, as its client sees it.
pub struct Line {
    pub way: Way,
    pub began: Instant,
    /// The number of restarts when it was made.
    pub generation: u32,
    /// The session that it was opened with.
    pub bound: Option<usize>,
    pub followings: HashMap<usize, Following>,
    /// What was asked and is not answered, in order.
    pub asked: VecDeque<Asked>,
    /// What was known when it, or its last poll, began.
    pub before: Before,
    /// Messages whose deletion came over it.
    pub deleted: HashSet<MessageId>,
    pub has_greeted: bool,
    pub was_stalled: bool,
    /// Its session can't be followed from where it was asked for.
    pub must_fail: bool,
}

/// A command that was sent.
#[derive(Clone, Debug)]
pub struct Asked {
    pub what: What,
    pub session: usize,
    /// What its answer goes by.
    pub name: String,
    pub before: Before,
    /// The last durable event that was known.
    pub head_min: u64,
    /// The session was left or followed again since: it may stay without an answer.
    pub is_overtaken: bool,
}

/// What a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Send(usize),
    Follow {
        from: From,
        after: Option<u64>,
    },
    Leave,
    Mark {
        seq: u64,
        is_beyond: bool,
    },
    Type,
    /// Refused for sure: what was asked before is done when the answer comes.
    Probe,
}

impl Asked {
    pub fn may_be_silent(&self) -> bool {
        match self.what {
            What::Leave | What::Type => true,
            What::Mark { is_beyond, .. } => !is_beyond,
            What::Follow { .. } => self.is_overtaken,
            What::Send(_) | What::Probe => false,
        }
    }
}

impl Line {
    /// A message is told beside the log: not after its deletion.
    pub fn check_not_deleted(&self, message: &Message) -> Result<(), String> {
        if self.deleted.contains(&message.id) {
            return Err(format!("message {} comes after its deletion", message.id));
        }
        Ok(())
    }
}

impl Memory {
    /// An event came over the connection.
    pub fn take(&mut self, state: &mut State, user: UserId, event: Event) -> Result<(), String> {
        let line = self.line.as_mut().ok_or("an event without a connection")?;
        let seq = event.seq;
        let Some(session) = state.session_of(event.session_id) else {
            return Err(format!("number {seq} of a session that nobody made"));
        };
        let Some(following) = line.followings.get_mut(&session) else {
            return Err(format!("number {seq} of session {session}, which is not followed"));
        };
        let told = |error| format!("session {session}: {error}");
        following.pass(&event, user).map_err(told)?;
        state.see(session, &event, following.began).map_err(told)?;
        if let Change::MessageDeleted(gone) = &event.change {
            line.deleted.insert(gone.id);
        }
        self.copies.entry(session).or_default().take(event).map_err(told)
    }

    /// The connection ended: whether it may end so.
    pub fn end(&mut self, state: &State, end: &End) -> Result<(), String> {
        let line = self.line.take().ok_or("the end of no connection")?;
        let restarted = is_restart(state, line.generation);
        let bound = line.bound.and_then(|session| line.followings.get(&session));
        let over = bound.and_then(|following| following.over);
        let is_ending = line.bound.is_some_and(|session| state.sessions[session].is_ending);
        let may = match end {
            End::Closed(4503) if line.way == Way::Plain => {
                let span = self.spans.last_mut().ok_or("no span")?;
                span.is_removed = true;
                true
            }
            End::Closed(4503) => over == Some(Over::Removed) || line.must_fail,
            End::Closed(4504) => {
                let is_told = line.way == Way::Plain || over == Some(Over::Deleted);
                is_ending && (is_told || line.must_fail)
            }
            End::Closed(4409) => line.must_fail,
            End::Closed(1001 | 1012) => restarted,
            End::Closed(4408) => line.was_stalled,
            End::Closed(_) | End::Faulty(_) => false,
            End::Over => restarted || over.is_some() || self.may_be_removed(&line),
            End::Broken(_) => restarted || line.was_stalled,
        };
        if !may {
            return Err(format!("{:?} ended with {end:?}, {over:?}", line.way));
        }
        if restarted && over.is_none() {
            let followed = line.followings.iter().filter(|(_, f)| f.over.is_none());
            let mut followed: Vec<_> = followed.map(|(&session, _)| session).collect();
            followed.sort_unstable_by_key(|&session| Some(session) != line.bound);
            self.lost = Some((line.way, followed));
        }
        self.close_span();
        Ok(())
    }

    /// Whether the last event is a removal that may have ended a stream.
    fn may_be_removed(&self, line: &Line) -> bool {
        let Some(session) = line.bound else { return false };
        let last = self.copies.get(&session).and_then(|copy| copy.events.last());
        last.zip(line.followings.get(&session)).is_some_and(|(event, following)| {
            event.removed_user().is_some() && following.may_end_at(event.seq)
        })
    }

    /// The device gives its connection up.
    pub fn hang_up(&mut self) {
        self.line = None;
        self.lost = None;
        self.close_span();
    }

    fn close_span(&mut self) {
        if let Some(span) = self.spans.last_mut() {
            span.is_open = false;
        }
    }
}

/// How a session stands at a quiet moment.
#[derive(Clone, Debug)]
pub struct Standing {
    pub head: u64,
    pub members: Vec<UserId>,
    pub is_gone: bool,
    /// The last message that is not deleted.
    pub last_message: Option<(u64, Timestamp)>,
}

impl Memory {
    /// What this device still waits for, when nothing more happens.
    pub fn lacks(&self, user: UserId, standings: &HashMap<usize, Standing>) -> Option<String> {
        let line = self.line.as_ref().filter(|_| !self.is_stalled)?;
        if let Some(asked) = line.asked.front() {
            return Some(format!("waits for the answer to {asked:?}"));
        }
        if line.must_fail {
            return Some("waits to be closed".into());
        }
        for (session, following) in &line.followings {
            let Some(standing) = standings.get(session) else { continue };
            let at = match line.way {
                Way::Plain => self.spans.last().map_or(0, Span::at),
                _ => self.copies.get(session).map_or(0, Copy::at),
            };
            let where_it_is = format!("stands at {at} of session {session}, {standing:?}");
            if following.over.is_some() {
                if line.way != Way::Free && line.bound == Some(*session) {
                    return Some(format!("waits to be closed, {where_it_is}"));
                }
            } else if standing.is_gone || !standing.members.contains(&user) {
                return Some(format!("waits for the end, {where_it_is}"));
            } else if line.way == Way::Plain {
                let due = standing.last_message.filter(|&(seq, created)| {
                    let span = self.spans.last();
                    let after = span.and_then(|span| span.after);
                    after.map_or(created > following.granted, |after| seq > after)
                });
                if due.is_some_and(|(seq, _)| at < seq) {
                    return Some(where_it_is);
                }
            } else if at < standing.head || !following.is_caught_up {
                return Some(where_it_is);
            }
        }
        None
    }
}
