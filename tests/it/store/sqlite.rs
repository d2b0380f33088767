//! The embedded store: every promise, and its own.

use std::sync::Arc;

use assistdeck::store::sqlite::{Mode, Sqlite};
use assistdeck::store::{Sink, Store};
use async_trait::async_trait;

use super::world::Home;

/// A temporary data folder.
struct Folder(tempfile::TempDir);

#[async_trait]
impl Home for Folder {
    async fn open(&self, sink: Sink) -> Arc<dyn Store> {
        Arc::new(Sqlite::open(self.0.path(), Mode::Server { sink }).expect("the store opens"))
    }
}

fn folder() -> Folder {
    Folder(tempfile::tempdir().expect("a temporary folder"))
}

super::every_promise!(crate::store::sqlite::folder);
