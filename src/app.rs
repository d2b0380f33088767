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
use crate::chat::{self, Chat, deliver};
use crate::config::Config;
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::origins::Origins;
use crate::store::{self, Store, sqlite};

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
}

impl App {
    /// Opens the store and starts what runs beside the connections.
    pub async fn open(config: Config) -> Result<(Self, Backend), OpenError> {
        let (sink, commits) = deliver::channel();
        let mode = sqlite::Mode::Server { sink };
        let store: Arc<dyn Store> = Arc::new(sqlite::Sqlite::open(&config.data_dir, mode)?);
        let hub = Hub::new();
        let metrics = Arc::new(Metrics::new());
        let settings = chat::Settings {
            trust_client_ai_flag: config.trust_client_ai_flag,
            message_rate_max: config.message_rate_max,
        };
        let chat = Chat::new(store.clone(), hub.clone(), metrics.clone(), settings);
        let chat = chat.await.map_err(|error| match error {
            chat::Error::Store(error) => error,
            other => store::Error::Other(other.to_string()),
        })?;
        let auth = Arc::new(Auth::new(store.clone(), &config.auth_settings()?));
        let delivery = tokio::spawn(deliver::run(chat.clone(), commits));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(chat.clone().tend(stop.clone()));
        let following = auth.clone();
        let until = stop.clone();
        tasks.spawn(async move {
            following.follow_revocations(move |revocation| hub.revoke(revocation), until).await;
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
