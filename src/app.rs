//! Everything a handler may reach, and the one place that names concrete backends.
//!
//! [`App`] is a cheap clone of `Arc`s without a store or a hub in it: a handler can't reach past
//! the domain by mistake. [`App::open`] builds it: store, hub, chat, auth, and the tasks that
//! run beside the connections; [`App::close`] ends them in the right order.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Auth;
use crate::bus::nats::Nats;
use crate::bus::notify::Notify;
use crate::bus::{Bus, Ears, NodeId};
use crate::chat::{self, Chat, Nodes, deliver};
use crate::config::{BusKind, Config};
use crate::hub::{Hub, Outbox};
use crate::metrics::Metrics;
use crate::origins::Origins;
use crate::store::moving::original::Tables;
use crate::store::moving::{Source, Target};
use crate::store::postgres::Meeting;
use crate::store::{self, Sink, Store, postgres, sqlite};

/// What handlers and connections share.
#[derive(Clone)]
pub struct App {
    pub chat: Arc<Chat>,
    pub auth: Arc<Auth>,
    pub config: Arc<Config>,
    pub metrics: Arc<Metrics>,
    pub origins: Arc<Origins>,
    /// Cancelled when the server begins to stop: no new work is taken.
    pub stop: CancellationToken,
    /// Every connection and request that the stop waits for.
    pub tracker: TaskTracker,
}

/// What runs beside the connections, and the store under it all.
pub struct Backend {
    store: Arc<dyn Store>,
    /// Cancelled when the last connection is gone.
    stop: CancellationToken,
    tasks: TaskTracker,
    delivery: JoinHandle<()>,
}

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The secret that signs tokens could not be read or made.
    #[error("the secret in the data folder: {0}")]
    Secret(#[from] std::io::Error),
    /// The bus refuses this node, or its certificate is not believed.
    #[error("the bus: {0}")]
    Bus(String),
}

impl App {
    /// Opens the store and starts what runs beside the connections.
    pub async fn open(config: Config) -> Result<(Self, Backend), OpenError> {
        let (sink, commits) = deliver::channel();
        let stop = CancellationToken::new();
        let (store, meeting) = open(&config, Some(sink)).await?;
        let (outbox, nodes, ears) = match (&config.bus, meeting) {
            (None, _) | (_, None) => (None, None, None),
            (Some(kind), Some(meeting)) => {
                let outbox = Arc::<Outbox>::default();
                let (bus, ears) = join(kind, meeting, &*store, stop.clone()).await?;
                (Some(outbox.clone()), Some(Nodes::new(bus, outbox)), Some(ears))
            }
        };
        let hub = Hub::with(outbox);
        let metrics = Arc::new(Metrics::new());
        let settings = chat::Settings {
            trust_client_ai_flag: config.trust_client_ai_flag,
            message_rate_max: config.message_rate_max,
            connections_per_user_max: config.connections_per_user_max,
            connections_per_address_max: config.connections_per_address_max,
            head_check_interval: config.head_check_interval,
        };
        let chat = Chat::new(store.clone(), hub.clone(), metrics.clone(), settings, nodes);
        let chat = chat.await.map_err(|error| match error {
            chat::Error::Store(error) => error,
            other => store::Error::Other(other.to_string()),
        })?;
        let auth = Arc::new(Auth::new(store.clone(), &config.auth_settings()?));
        let delivery = tokio::spawn(deliver::run(chat.clone(), commits));
        let tasks = TaskTracker::new();
        tasks.spawn(chat.clone().tend(ears, stop.clone()));
        let (following, until) = (auth.clone(), stop.clone());
        // Read before anyone is served, so that nothing falls between.
        let after = store.revocation_head().await?;
        tasks.spawn(async move {
            let revoke = move |revocation| hub.revoke(revocation);
            following.follow_revocations(after, revoke, until).await;
        });
        let origins = Arc::new(Origins::new(&config.allowed_origins));
        let app = Self {
            chat,
            auth,
            config: Arc::new(config),
            metrics,
            origins,
            stop: CancellationToken::new(),
            tracker: TaskTracker::new(),
        };
        Ok((app, Backend { store, stop, tasks, delivery }))
    }
}

/// Opens the store that the settings name, as a tool that may stand beside its server.
pub async fn open_beside(config: &Config) -> store::Result<Arc<dyn Store>> {
    Ok(open(config, None).await?.0)
}

/// Opens the store that the settings name to be read as a whole, also beside its server.
pub async fn open_source(config: &Config) -> store::Result<Box<dyn Source>> {
    match &config.database_url {
        None => sqlite::moving::source(&config.data_dir),
        Some(url) => postgres::moving::source(url.expose()).await,
    }
}

/// Opens the store that the settings name to take what comes from another. No server may use it.
pub async fn open_target(config: &Config) -> store::Result<Box<dyn Target>> {
    match &config.database_url {
        None => sqlite::moving::target(&config.data_dir),
        Some(url) => postgres::moving::target(url.expose()).await,
    }
}

/// Opens the database of the original backend.
pub async fn open_original(url: &str) -> store::Result<Box<dyn Tables>> {
    postgres::original::open(url).await
}

/// Opens the store: as a server with a sink, else beside one. Where nodes can meet, where they can.
async fn open(
    config: &Config,
    sink: Option<Sink>,
) -> store::Result<(Arc<dyn Store>, Option<Meeting>)> {
    match &config.database_url {
        None => {
            use sqlite::{Mode, Sqlite};
            let mode = sink.map_or(Mode::Beside, |sink| Mode::Server { sink });
            Ok((Arc::new(Sqlite::open(&config.data_dir, mode)?), None))
        }
        Some(url) => {
            use postgres::{Mode, Postgres};
            let alone = config.bus.is_none();
            let mode = sink.map_or(Mode::Beside, |sink| Mode::Server { sink, alone });
            let store = Postgres::open(url.expose(), mode).await?;
            let meeting = store.meeting();
            Ok((Arc::new(store), Some(meeting)))
        }
    }
}

/// The way to the other nodes of the store.
async fn join(
    kind: &BusKind,
    meeting: Meeting,
    store: &dyn Store,
    stop: CancellationToken,
) -> Result<(Arc<dyn Bus>, Ears), OpenError> {
    match kind {
        BusKind::Nats(address) => {
            // A store that was put back from a copy has other numbers under the same id.
            let prefix = format!("assistdeck.{}.{}", meeting.store_id, store.epoch().await?);
            let started = Nats::start(address.clone(), prefix, node_id(), stop).await;
            let (bus, ears) = started.map_err(OpenError::Bus)?;
            Ok((bus, ears))
        }
        BusKind::Postgres => {
            let (bus, ears) = Notify::start(meeting, node_id(), stop);
            Ok((bus, ears))
        }
    }
}

/// A number that no other process has.
fn node_id() -> NodeId {
    uuid::Uuid::new_v4().as_u64_pair().0
}

impl Backend {
    /// After the last connection: commits what is queued, delivers it, closes the files.
    pub async fn close(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.store.close().await;
        drop(self.store);
        if let Err(error) = self.delivery.await {
            tracing::error!(%error, "the delivery ended badly");
        }
    }
}
