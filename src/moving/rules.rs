//! What a record must be whoever wrote it: the rules that hold at every other door.

use crate::auth;
use crate::chat;
use crate::store::moving::{MovedChange, Record};

/// What is wrong with a record, in a sentence.
pub fn check(record: &Record) -> Result<(), String> {
    match record {
        Record::User(user) => {
            let says = |what: &str| Err(format!("user {}: {what}", user.id));
            if !auth::is_email(&user.email) {
                return says("the email is none");
            }
            if !auth::is_name(&user.name) {
                return says("the name is not 1 to 100 characters");
            }
            match user.password_hash.as_deref().map(auth::check_hash) {
                Some(Err(what)) => says(what),
                _ => Ok(()),
            }
        }
        // Deleted ones have no title.
        Record::Session(session) => {
            match session.deleted_at.is_some() || is_title(&session.title) {
                true => Ok(()),
                false => Err(format!("session {}: the title is none", session.id)),
            }
        }
        Record::Message(message) => {
            let says = |what: &str| Err(format!("message {}: {what}", message.id));
            if message.content.as_deref().is_some_and(|text| !chat::is_content(text)) {
                return says("the content is none");
            }
            if message.file_url.as_deref().is_some_and(|url| !chat::is_file_url(url)) {
                return says("the file_url is none");
            }
            if message.client_id.as_deref().is_some_and(|id| !chat::is_client_id(id)) {
                return says("the client_id is none");
            }
            Ok(())
        }
        Record::Event(event) => match &event.change {
            MovedChange::SessionUpdated { title } if !is_title(title) => {
                Err(format!("seq {}: the title is none", event.seq))
            }
            _ => Ok(()),
        },
        Record::RevokedToken(_) | Record::Member(_) => Ok(()),
    }
}

fn is_title(title: &str) -> bool {
    chat::check_title(title).is_ok_and(|checked| checked == title)
}
