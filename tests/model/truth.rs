//! What the store holds, as read over REST at a quiet moment, and whether it makes sense.

use std::collections::{HashMap, HashSet};

use protocol::frame::EventPage;
use protocol::model::ListedSession;
use protocol::{Change, Event, Message, MessageId, ParticipantRow, Session, UserId};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::known::Known;
use super::memory::Standing;
use super::world::World;

/// Items of a page, so that there are several.
const PAGE: usize = 150;

/// A session as the store holds it.
pub struct Truth {
    pub session: Session,
    pub events: Vec<Event>,
    /// Those that are not deleted, in order.
    pub messages: Vec<Message>,
    /// The owner first.
    pub members: Vec<UserId>,
}

async fn get<T: DeserializeOwned>(world: &World, user: usize, path: &str) -> Result<T, String> {
    let (status, body) = world.call(user, "GET", path).send().await?;
    if status != 200 {
        return Err(format!("{path}: {status} {body}"));
    }
    serde_json::from_value(body).map_err(|error| format!("{path}: {error}"))
}

fn path(world: &World, session: usize, more: &str) -> (usize, String) {
    let state = world.state();
    let known = &state.sessions[session];
    (known.owner, format!("/api/chat/sessions/{}{more}", known.id))
}

/// How a session stands now; a deletion that was not answered shows here.
pub async fn standing(world: &World, session: usize) -> Result<Standing, String> {
    let gone = Standing { head: 0, members: Vec::new(), is_gone: true, last_message: None };
    if world.state().sessions[session].is_gone {
        return Ok(gone);
    }
    let (owner, place) = path(world, session, "");
    let (status, body): (u16, Value) = world.call(owner, "GET", &place).send().await?;
    if status == 404 && world.state().sessions[session].is_ending {
        world.state().sessions[session].is_gone = true;
        return Ok(gone);
    }
    let told: Session = serde_json::from_value(body).map_err(|e| format!("{status}: {e}"))?;
    let rows: Vec<ParticipantRow> = get(world, owner, &format!("{place}/participants")).await?;
    let newest: Vec<Message> = get(world, owner, &format!("{place}/messages?limit=1")).await?;
    Ok(Standing {
        head: told.last_seq,
        members: rows.iter().map(|row| row.user_id).collect(),
        is_gone: false,
        last_message: newest.last().map(|message| (message.seq, message.created_at)),
    })
}

/// Everything that the store holds of a session.
pub async fn read(world: &World, session: usize) -> Result<Truth, String> {
    let (owner, place) = path(world, session, "");
    let told: Session = get(world, owner, &place).await?;
    let mut events: Vec<Event> = Vec::new();
    loop {
        let after = events.last().map_or(0, |event| event.seq);
        let page = format!("{place}/events?after={after}&limit={PAGE}");
        let page: EventPage = get(world, owner, &page).await?;
        if page.head != told.last_seq || page.epoch != told.epoch {
            return Err(format!("a page of head {} beside {told:?}", page.head));
        }
        if page.events.is_empty() {
            break;
        }
        events.extend(page.events);
    }
    let mut messages: Vec<Message> = Vec::new();
    loop {
        let after = messages.last().map_or(0, |message| message.seq);
        let page = format!("{place}/messages?after={after}&limit={PAGE}");
        let page: Vec<Message> = get(world, owner, &page).await?;
        if page.is_empty() {
            break;
        }
        messages.extend(page);
    }
    let rows: Vec<ParticipantRow> = get(world, owner, &format!("{place}/participants")).await?;
    let members = rows.iter().map(|row| row.user_id).collect();
    Ok(Truth { session: told, events, messages, members })
}

/// A user's list of sessions.
pub async fn list(world: &World, user: usize) -> Result<Vec<ListedSession>, String> {
    get(world, user, "/api/chat/sessions").await
}

impl Truth {
    /// Whether the log makes sense by itself: dense, and each event possible where it stands.
    pub fn check(&self, known: &Known) -> Result<(), String> {
        let numbers = self.events.iter().map(|event| event.seq);
        if !numbers.eq(1..=self.session.last_seq) {
            let numbers: Vec<_> = self.events.iter().map(|event| event.seq).collect();
            return Err(format!(
                "the store's numbers are {numbers:?} of {}",
                self.session.last_seq
            ));
        }
        let mut members = vec![self.session.user_id];
        let mut title = known.titles[0].clone();
        for event in &self.events {
            let seq = event.seq;
            match &event.change {
                Change::ParticipantAdded(row) if members.contains(&row.user_id) => {
                    return Err(format!("number {seq} adds a member"));
                }
                Change::ParticipantAdded(row) => members.push(row.user_id),
                Change::ParticipantRemoved(gone) => {
                    let place = members.iter().skip(1).position(|&id| id == gone.user_id);
                    let place = place.ok_or(format!("number {seq} removes a stranger"))?;
                    members.remove(place + 1);
                }
                Change::MessageCreated(message) | Change::MessageUpdated(message) => {
                    if !members.contains(&message.sender_id) {
                        return Err(format!("number {seq} is a stranger's"));
                    }
                }
                Change::SessionUpdated(session) => title.clone_from(&session.title),
                Change::SessionDeleted(_) => return Err("it is deleted and can be read".into()),
                Change::MessageDeleted(_) => {}
            }
        }
        // The store lists those who were added in the same moment by their ids.
        let as_set = |ids: &[UserId]| ids.iter().copied().collect::<HashSet<_>>();
        let is_each_once = members.len() == self.members.len();
        if !is_each_once || as_set(&members) != as_set(&self.members) || title != self.session.title
        {
            return Err(format!(
                "the log ends with {title:?}, {members:?}, the store says {:?}, {:?}",
                self.session.title, self.members
            ));
        }
        self.check_messages()
    }

    /// Whether log and history tell the same messages, each in its present form everywhere.
    fn check_messages(&self) -> Result<(), String> {
        let mut history = self.messages.iter();
        let mut last_edits = HashMap::new();
        for event in &self.events {
            match &event.change {
                Change::MessageCreated(message) if history.next() != Some(message) => {
                    return Err(format!("the history is another at {}", event.seq));
                }
                Change::MessageUpdated(message) => {
                    last_edits.insert(message.id, event.at);
                }
                _ => {}
            }
        }
        if let Some(more) = history.next() {
            return Err(format!("the history has {} that the log has not", more.seq));
        }
        for message in &self.messages {
            if message.edited_at != last_edits.get(&message.id).copied() {
                return Err(format!("message {} is not as last edited", message.id));
            }
        }
        let live: HashMap<MessageId, &Message> = self.messages.iter().map(|m| (m.id, m)).collect();
        for event in &self.events {
            let fits = match &event.change {
                Change::MessageUpdated(message) => live.get(&message.id) == Some(&message),
                Change::MessageDeleted(gone) => !live.contains_key(&gone.id),
                _ => true,
            };
            if !fits {
                return Err(format!("number {} is not in its present form", event.seq));
            }
        }
        Ok(())
    }
}
