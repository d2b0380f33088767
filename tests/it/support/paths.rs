//! Where things are over REST.

pub const SESSIONS: &str = "/api/chat/sessions";

pub fn session(id: &str) -> String {
    format!("{SESSIONS}/{id}")
}

pub fn participants(id: &str) -> String {
    format!("{SESSIONS}/{id}/participants")
}

pub fn participant(id: &str, user: &str) -> String {
    format!("{SESSIONS}/{id}/participants/{user}")
}

pub fn leave(id: &str) -> String {
    format!("{SESSIONS}/{id}/leave")
}

pub fn read(id: &str) -> String {
    format!("{SESSIONS}/{id}/read")
}

pub fn messages(id: &str) -> String {
    format!("{SESSIONS}/{id}/messages")
}

pub fn message(id: &str, message: &str) -> String {
    format!("{SESSIONS}/{id}/messages/{message}")
}

/// `query` begins behind the question mark.
pub fn events(id: &str, query: &str) -> String {
    format!("{SESSIONS}/{id}/events?{query}")
}
