//! A command beside the server: it opens the same store, does one thing, and closes it.

use std::sync::Arc;

use super::exit::{Exit, Failure, Outcome};
use super::flags::AdminFlags;
use crate::app;
use crate::auth::Auth;
use crate::config::{Config, LogFormat};
use crate::logging;
use crate::store::Store;

/// What a command works with.
pub struct Beside {
    pub auth: Auth,
    pub store: Arc<dyn Store>,
}

/// Runs a command on a store that is there.
pub fn run<T>(flags: AdminFlags, work: impl AsyncFnOnce(&Beside) -> Outcome<T>) -> Outcome<T> {
    let config = flags.config()?;
    if config.database_url.is_none() && !config.data_dir.is_dir() {
        return Err(no_folder(&config));
    }
    run_in(&config, work)
}

/// Runs a command on a store that may be new.
pub fn run_in<T>(config: &Config, work: impl AsyncFnOnce(&Beside) -> Outcome<T>) -> Outcome<T> {
    logging::start(LogFormat::Auto, "warn");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = app::open_beside(config).await?;
        let auth = Auth::new(store.clone(), &config.auth_settings()?);
        let beside = Beside { auth, store };
        let outcome = work(&beside).await;
        beside.store.close().await;
        outcome
    })
}

/// Runs work that opens a store by itself.
pub fn on_store<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    logging::start(LogFormat::Auto, "warn");
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// The failure of a command that needs a data folder.
pub fn no_folder(config: &Config) -> Failure {
    let message = format!("there is no data folder {}", config.data_dir.display());
    Failure::new(Exit::NotFound, message)
}
