//! The store against the model: what was acknowledged is there, once, and nothing else is.

use std::collections::HashMap;
use std::time::Instant;

use protocol::model::ListedSession;
use protocol::{Change, Event, MessageId};

use super::known::{Known, Send};
use super::memory::{Memory, Span};
use super::truth::Truth;
use super::world::World;

/// Everything stored was asked for, and everything acknowledged is stored.
pub fn check_sends(known: &Known, truth: &Truth) -> Result<(), String> {
    let mut events_of: HashMap<MessageId, Vec<&Event>> = HashMap::new();
    for event in &truth.events {
        let id = match &event.change {
            Change::MessageCreated(message) | Change::MessageUpdated(message) => message.id,
            Change::MessageDeleted(gone) => gone.id,
            _ => continue,
        };
        events_of.entry(id).or_default().push(event);
    }
    for send in &known.sends {
        match send.found {
            None if send.is_acknowledged => return Err(format!("where is {send:?}?")),
            None => {}
            Some((id, seq)) => {
                let events = events_of.remove(&id).unwrap_or_default();
                if events.first().map(|event| event.seq) != Some(seq) {
                    return Err(format!("the store has {events:?} for {send:?}"));
                }
                check_story(send, &events)?;
            }
        }
    }
    // Of what was deleted before anybody saw it only the number is known.
    let open = known.sends.iter().filter(|send| send.found.is_none() && send.is_open()).count();
    if events_of.len() > open {
        return Err(format!("the store has what nobody sent: {events_of:?}"));
    }
    Ok(())
}

/// The events of one message: created, each edit once, deleted at most once.
fn check_story(send: &Send, events: &[&Event]) -> Result<(), String> {
    let is_deleted = events.iter().all(|e| matches!(e.change, Change::MessageDeleted(_)));
    let edits = events.len() - 1 - usize::from(is_deleted);
    let fits = send.edits.len() <= edits
        && edits <= send.edits_asked as usize
        && (is_deleted || !send.is_delete_acknowledged)
        && (!is_deleted || send.deletes_asked > 0);
    if !fits {
        return Err(format!("{send:?} became {events:?}"));
    }
    for (at, content) in &send.edits {
        let Some(event) = events.iter().skip(1).find(|event| event.at == *at) else {
            return Err(format!("where is the edit of {at:?} of {send:?}?"));
        };
        let Change::MessageUpdated(message) = &event.change else { continue };
        if message.edited_at == Some(*at) && *message.content != **content {
            return Err(format!("the last edit {content} became {}", message.content));
        }
    }
    Ok(())
}

/// A user's list of sessions, against what the logs say.
pub fn check_list(
    world: &World,
    user: usize,
    list: &[ListedSession],
    truths: &HashMap<usize, Truth>,
) -> Result<(), String> {
    let state = world.state();
    let me = world.people[user].id;
    let mut mine = 0;
    for (&session, truth) in truths.iter().filter(|(_, truth)| truth.members.contains(&me)) {
        mine += 1;
        let known = &state.sessions[session];
        let listed = list.iter().find(|listed| listed.session.id == known.id);
        let listed = listed.ok_or(format!("session {session} is not in user {user}'s list"))?;
        let Truth { session: told, messages, events, .. } = truth;
        let fits = listed.session.last_seq == told.last_seq
            && listed.session.title == told.title
            && listed.session.is_owner == Some(known.owner == user)
            && listed.last_message.as_ref() == messages.last();
        if !fits {
            return Err(format!("user {user} has {listed:?} for {told:?}"));
        }
        let sure = sure_mark(known, user, me, events);
        let member = &known.members[user];
        let is_unsure = known.sends.iter().any(|s| s.user == user && s.is_open());
        let most = if is_unsure { u64::MAX } else { sure.max(member.mark_max) };
        let above = |mark: u64| {
            let others = messages.iter().filter(|m| m.sender_id != me && m.seq > mark);
            others.count().min(1_000) as u64
        };
        let (least, most) = (above(most), above(sure.max(member.mark_min)));
        if !(least..=most).contains(&listed.unread_count) {
            let count = listed.unread_count;
            return Err(format!(
                "user {user} has {count} unread, not {least} to {most}: {member:?}"
            ));
        }
    }
    let gone = list.iter().filter(|listed| {
        let session = state.session_of(listed.session.id);
        session.is_none_or(|session| state.sessions[session].is_gone)
    });
    if list.len() != mine || gone.count() > 0 {
        return Err(format!("user {user} has {} sessions, not {mine}", list.len()));
    }
    Ok(())
}

/// Where a read mark is at least, whoever asked for it: at the last entry, and at what one wrote.
fn sure_mark(known: &Known, user: usize, me: protocol::UserId, events: &[Event]) -> u64 {
    let entries = events.iter().rev().find_map(|event| match &event.change {
        Change::ParticipantAdded(row) if row.user_id == me => Some(event.seq),
        _ => None,
    });
    let own = known.sends.iter().filter(|send| send.user == user);
    let own = own.filter_map(|send| send.found.map(|(_, seq)| seq)).max();
    entries.max(own).unwrap_or(0)
}

impl Memory {
    /// All that the device has, against the store. What is compared is not kept, where it goes on
    /// otherwise.
    pub fn compare(
        &mut self,
        truths: &HashMap<usize, Truth>,
        world: &World,
        user: usize,
    ) -> Result<(), String> {
        for (session, copy) in &self.copies {
            let Some(truth) = truths.get(session) else { continue };
            for event in &copy.events {
                let stored = truth.events.get(event.seq as usize - 1);
                if !stored.is_some_and(|stored| is_same(event, stored)) {
                    return Err(format!(
                        "session {session}: the copy has {event:?} for {stored:?}"
                    ));
                }
            }
            self.check_present(*session, truth, world)?;
        }
        for span in &self.spans {
            if let Some(truth) = truths.get(&span.session) {
                check_span(span, truth, world.people[user].id)?;
            }
        }
        self.spans.retain(|span| span.is_open);
        Ok(())
    }

    /// A copy that reaches the head shows, read from its beginning, what the store has.
    fn check_present(&self, session: usize, truth: &Truth, world: &World) -> Result<(), String> {
        let copy = &self.copies[&session];
        if copy.at() != truth.session.last_seq {
            return Ok(());
        }
        let mut shown = HashMap::new();
        for event in &copy.events {
            match &event.change {
                Change::MessageCreated(message) | Change::MessageUpdated(message) => {
                    shown.insert(message.id, message);
                }
                Change::MessageDeleted(gone) => drop(shown.remove(&gone.id)),
                _ => {}
            }
        }
        let mut due = truth.messages.iter().filter(|message| message.seq > copy.base);
        if let Some(message) = due.find(|message| shown.remove(&message.id) != Some(message)) {
            return Err(format!("session {session}: the copy shows another {message:?}"));
        }
        // What was created below the base may be shown, where it was edited since.
        shown.retain(|_, message| message.seq > copy.base);
        match shown.values().next() {
            None => Ok(()),
            Some(message) => {
                let lasts = world.state().sessions[session].send_of(message.id);
                Err(format!("session {session}: the copy still shows {message:?} ({lasts:?})"))
            }
        }
    }
}

/// Whether both are one event; the store has its present form.
fn is_same(seen: &Event, stored: &Event) -> bool {
    let is_head_same = seen.seq == stored.seq && seen.at == stored.at;
    is_head_same
        && match (&seen.change, &stored.change) {
            (Change::MessageCreated(a), Change::MessageCreated(b))
            | (Change::MessageUpdated(a), Change::MessageUpdated(b)) => {
                // Later edits are missing in what was seen before them.
                a.id == b.id && (a.edited_at == b.edited_at) == (a.content == b.content)
            }
            (
                Change::MessageCreated(a) | Change::MessageUpdated(a),
                Change::MessageDeleted(gone),
            ) => a.id == gone.id,
            (Change::SessionUpdated(a), Change::SessionUpdated(b)) => a.id == b.id,
            (a, b) => a == b,
        }
}

/// What came over a plain connection, against the store.
fn check_span(span: &Span, truth: &Truth, me: protocol::UserId) -> Result<(), String> {
    let following = &span.following;
    let removal = truth
        .events
        .iter()
        .find(|event| event.removed_user() == Some(me) && event.at > following.granted);
    let end = removal.map_or(u64::MAX, |event| event.seq);
    if let Some(late) = span.messages.iter().find(|(seq, _)| *seq > end) {
        return Err(format!("{late:?} came after the removal at {end}"));
    }
    if span.is_removed {
        let is_true = truth
            .events
            .iter()
            .any(|event| event.removed_user() == Some(me) && following.may_end_at(event.seq));
        if !is_true {
            return Err(format!("nobody removed {me}, and the connection was closed: {span:?}"));
        }
    }
    let last = if span.is_open { u64::MAX } else { span.at() };
    let due = truth.messages.iter().filter(|message| {
        let is_due = match span.after {
            Some(after) => message.seq > after,
            None => message.created_at > following.granted,
        };
        is_due && message.seq <= last
    });
    for message in due {
        if !span.messages.contains(&(message.seq, message.id)) {
            return Err(format!("number {} is missing in {span:?}", message.seq));
        }
    }
    for &(seq, id) in &span.messages {
        let stored = truth.events.get(seq as usize - 1).map(|event| &event.change);
        let fits = match stored {
            Some(Change::MessageCreated(message)) => message.id == id,
            Some(Change::MessageDeleted(gone)) => gone.id == id,
            _ => false,
        };
        if !fits {
            return Err(format!("{seq} came as message {id}, the store has {stored:?}"));
        }
    }
    Ok(())
}

/// What was seen by the check itself is a sighting like any other.
pub fn see_all(world: &World, session: usize, truth: &Truth, began: Instant) -> Result<(), String> {
    let mut state = world.state();
    truth.events.iter().try_for_each(|event| state.see(session, event, began))
}
