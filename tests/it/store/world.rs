//! A store to be looked at, with short words for what the promises do to it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use assistdeck::store::moving::{Source, Target};
use assistdeck::store::{
    Action, Append, Appended, Commit, Draft, Error, LogPage, MessageRange, NewAccount, Pending,
    Refusal, Result, Sink, Store,
};
use async_trait::async_trait;
use protocol::{
    Change, Event, Message, MessageId, ParticipantId, Session, SessionId, Timestamp, UserId,
    UserKind,
};

/// Where a store lives from one opening to the next.
#[async_trait]
pub trait Home: Send + Sync {
    /// Opens the store; what it had before is there again.
    async fn open(&self, sink: Sink) -> Arc<dyn Store>;
    /// Everything in it, as of now.
    async fn source(&self) -> Box<dyn Source>;
    /// Opens it to take what comes from another.
    async fn target(&self) -> Result<Box<dyn Target>>;
}

/// A store, and all that it told its sink.
pub struct World {
    pub store: Arc<dyn Store>,
    home: Box<dyn Home>,
    told: Arc<Mutex<Vec<Arc<Event>>>>,
}

/// Each moment of a test comes a microsecond after the one before.
static MOMENT: AtomicI64 = AtomicI64::new(1_700_000_000_000_000);

pub fn now() -> Timestamp {
    Timestamp(MOMENT.fetch_add(1, Ordering::Relaxed))
}

pub fn draft(content: &str) -> Draft {
    Draft {
        id: MessageId::new(),
        content: content.to_owned(),
        file_url: None,
        is_ai_message: false,
        client_id: None,
        request_hash: [0; 16],
    }
}

/// A draft that can be repeated.
pub fn keyed(content: &str, client_id: &str, hash: u8) -> Draft {
    let client_id = Some(client_id.to_owned());
    Draft { client_id, request_hash: [hash; 16], ..draft(content) }
}

pub fn refused<T: std::fmt::Debug>(outcome: Result<T>) -> Refusal {
    match outcome {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

pub fn event(outcome: Result<Appended>) -> Arc<Event> {
    match outcome {
        Ok(Appended::New(event)) => event,
        other => panic!("no new event: {other:?}"),
    }
}

pub fn created(outcome: Result<Appended>) -> Message {
    match &event(outcome).change {
        Change::MessageCreated(message) => message.clone(),
        other => panic!("no message: {other:?}"),
    }
}

impl World {
    pub async fn new(home: Box<dyn Home>) -> Self {
        let told = Arc::default();
        let store = home.open(recorder(&told)).await;
        Self { store, home, told }
    }

    /// Closes the store and opens it again.
    pub async fn reopen(&mut self) {
        self.reopen_with(recorder(&self.told)).await;
    }

    pub async fn reopen_with(&mut self, sink: Sink) {
        self.store.close().await;
        self.store = self.home.open(sink).await;
    }

    pub async fn source(&self) -> Box<dyn Source> {
        self.home.source().await
    }

    pub async fn target(&self) -> Result<Box<dyn Target>> {
        self.home.target().await
    }

    /// What the sink was given, of one session.
    pub fn told(&self, session: SessionId) -> Vec<Arc<Event>> {
        let told = self.told.lock().unwrap();
        told.iter().filter(|event| event.session_id == session).cloned().collect()
    }

    pub async fn user(&self) -> UserId {
        let id = UserId::new();
        self.account(id, &format!("{id}@example.org")).await.expect("a new account");
        id
    }

    pub async fn account(&self, id: UserId, email: &str) -> Result<protocol::User> {
        let new = NewAccount {
            id,
            name: format!("Name of {email}"),
            email: email.to_owned(),
            kind: UserKind::Human,
            password_hash: None,
            at: now(),
        };
        self.store.create_account(new).await
    }

    pub async fn session(&self, owner: UserId) -> SessionId {
        let id = SessionId::new();
        self.store.create_session(id, owner, "A title".into(), now()).await.expect("a session");
        id
    }

    /// A session, its owner and one participant. The log has one event.
    pub async fn shared_session(&self) -> (SessionId, UserId, UserId) {
        let (owner, participant) = (self.user().await, self.user().await);
        let session = self.session(owner).await;
        self.add(session, owner, participant).await;
        (session, owner, participant)
    }

    /// Queues an append without waiting for it.
    pub async fn submit(&self, session: SessionId, actor: UserId, action: Action) -> Pending {
        let permit = self.store.admit(100).await;
        self.store.append(Append { session, actor, at: now(), action }, permit)
    }

    pub async fn append(
        &self,
        session: SessionId,
        actor: UserId,
        action: Action,
    ) -> Result<Appended> {
        self.submit(session, actor, action).await.await.expect("the store answers")
    }

    pub async fn send(&self, session: SessionId, actor: UserId, content: &str) -> Message {
        created(self.append(session, actor, Action::Send { draft: draft(content) }).await)
    }

    pub async fn delete(&self, session: SessionId, actor: UserId, message: MessageId) {
        event(self.append(session, actor, Action::Delete { message }).await);
    }

    pub async fn add(&self, session: SessionId, owner: UserId, user: UserId) -> ParticipantId {
        let id = ParticipantId::new();
        event(self.append(session, owner, Action::AddParticipant { id, user }).await);
        id
    }

    pub async fn remove(&self, session: SessionId, owner: UserId, user: UserId) {
        event(self.append(session, owner, Action::RemoveParticipant { user }).await);
    }

    /// The first thousand events.
    pub async fn log(&self, session: SessionId) -> LogPage {
        let page = self.store.log(session, 0, 1000).await.expect("the log is read");
        page.expect("there is such a session")
    }

    /// The newest thousand messages.
    pub async fn messages(&self, session: SessionId) -> Vec<Message> {
        let page = self.store.messages(session, None, MessageRange::Newest, 1000).await;
        page.expect("messages are read").items
    }

    /// The session as `user` sees it.
    pub async fn seen_by(&self, session: SessionId, user: UserId) -> Session {
        let access = self.store.access(session, user).await.expect("access is looked up");
        access.expect("there is such a session").session
    }

    pub async fn unread(&self, session: SessionId, user: UserId) -> u64 {
        let page = self.store.sessions_of(user, None, 1000).await.expect("sessions are listed");
        let items = page.expect("a first page").items;
        let listed = items.iter().find(|listed| listed.session.id == session);
        listed.expect("the session is listed").unread_count
    }

    /// A tool's way to the store while the server has it open: it does everything but append.
    pub async fn check_tool(&self, beside: &dyn Store) {
        let (session, owner, _) = self.shared_session().await;
        let at = now();
        assert!(beside.set_disabled(owner, true, at).await.unwrap());
        assert!(self.store.account(owner).await.unwrap().unwrap().disabled);
        assert_eq!(self.store.revocation_head().await.unwrap(), 1);
        assert_eq!(beside.log(session, 0, 10).await.unwrap().unwrap().events.len(), 1);
        let action = Action::Send { draft: draft("x") };
        let append = Append { session, actor: owner, at, action };
        let refused = beside.append(append, beside.admit(1).await).await.unwrap();
        assert!(matches!(refused, Err(Error::Unavailable(_))));
        beside.close().await;
        assert_eq!(self.send(session, owner, "still here").await.seq, 2);
    }
}

fn recorder(told: &Arc<Mutex<Vec<Arc<Event>>>>) -> Sink {
    let told = Arc::clone(told);
    Box::new(move |commit: Commit| {
        told.lock().unwrap().extend(commit.events.iter().cloned());
        commit.answer();
    })
}

/// Waits until something is so, and fails when it does not become so.
pub async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !is_so().await {
        assert!(std::time::Instant::now() < end, "{what}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
