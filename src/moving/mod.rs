//! MOVING IN AND OUT: a whole store as a file, and what comes from elsewhere into a store.
//!
//! A [`Feed`] gives records, of a file ([`file`]) or of the original backend's tables
//! ([`original`]); [`run`] puts them into a target of the store, tells every trouble as it comes,
//! and compares the counts at the end. Memory is bounded: records go through in batches. Whatever
//! is refused stops nothing else; only a feed that can't go on, or a store that is out of reach,
//! ends it early, and then too what came whole stays.

pub mod file;
pub mod original;
mod rules;

use async_trait::async_trait;

use crate::store;
use crate::store::moving::{Counts, Record, Source, Tally, Target, Trouble};

/// Why it could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// What was given is not what can be read here.
    #[error("{0}")]
    NotOurs(String),
    /// It began well, and goes wrong further down.
    #[error("{0}")]
    Damaged(String),
}

/// Some records, and what else there is to tell.
#[derive(Default)]
pub struct Batch {
    pub records: Vec<Record>,
    /// Left out, each in a sentence.
    pub troubles: Vec<Trouble>,
    /// What was left out, as far as it can be counted.
    pub left_out: Counts,
    /// Taken in, but not as it was.
    pub notes: Vec<String>,
    /// How far the feed is, of [`Feed::size`].
    pub position: u64,
}

/// Where records come from.
#[async_trait]
pub trait Feed: Send {
    /// The epoch that an empty store takes over, if the numbers stay true.
    fn epoch(&self) -> Option<&str>;
    /// How far the position goes, if that is known.
    fn size(&self) -> Option<u64>;
    /// None: that was all.
    async fn next(&mut self) -> Result<Option<Batch>, Error>;
}

/// Sees it happen.
pub trait Watch {
    fn at(&mut self, position: u64);
    fn trouble(&mut self, text: &str);
    fn note(&mut self, text: &str);
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    pub read: Counts,
    pub tally: Tally,
    /// Left out before the store saw it.
    pub left_out: Counts,
    pub troubles: u64,
    pub notes: u64,
    /// What the store has, counted afterwards.
    pub store: Counts,
}

/// Puts everything that a feed gives into a store. The second is why it ended early, if it did.
pub async fn run(
    feed: &mut dyn Feed,
    mut target: Box<dyn Target>,
    watch: &mut dyn Watch,
) -> (Summary, Result<(), Error>) {
    let mut summary = Summary::default();
    let outcome = put_all(feed, target.as_mut(), watch, &mut summary).await;
    summary.tally = target.tally();
    (summary, outcome)
}

async fn put_all(
    feed: &mut dyn Feed,
    target: &mut dyn Target,
    watch: &mut dyn Watch,
    summary: &mut Summary,
) -> Result<(), Error> {
    let before = target.begin(feed.epoch()).await?;
    let fed = feed_all(feed, target, watch, summary).await;
    if let Err(error @ Error::Store(_)) = fed {
        return Err(error);
    }
    let (troubles, store) = target.end(fed.is_ok()).await?;
    tell(&troubles, watch, summary);
    summary.store = store;
    let expected = before.plus(target.tally().stored);
    if fed.is_ok() && store != expected {
        return Err(Error::Damaged(format!(
            "the counts are wrong: the store has {store:?}, and {expected:?} were expected"
        )));
    }
    fed
}

async fn feed_all(
    feed: &mut dyn Feed,
    target: &mut dyn Target,
    watch: &mut dyn Watch,
    summary: &mut Summary,
) -> Result<(), Error> {
    while let Some(batch) = feed.next().await? {
        for record in &batch.records {
            summary.read.add(record);
        }
        summary.read = summary.read.plus(batch.left_out);
        summary.left_out = summary.left_out.plus(batch.left_out);
        tell(&batch.troubles, watch, summary);
        summary.notes += batch.notes.len() as u64;
        batch.notes.iter().for_each(|note| watch.note(note));
        let troubles = target.put(batch.records).await?;
        tell(&troubles, watch, summary);
        watch.at(batch.position);
    }
    Ok(())
}

fn tell(troubles: &[Trouble], watch: &mut dyn Watch, summary: &mut Summary) {
    summary.troubles += troubles.len() as u64;
    troubles.iter().for_each(|trouble| watch.trouble(trouble));
}

/// Writes everything that a source gives. How many records there were.
pub async fn export(
    source: &mut dyn Source,
    out: &mut dyn std::io::Write,
    watch: &mut dyn Watch,
) -> Result<Counts, Error> {
    file::write_header(out, source.about())?;
    let mut counts = Counts::default();
    loop {
        let records = source.next().await?;
        if records.is_empty() {
            break;
        }
        for record in &records {
            counts.add(record);
            file::write_record(out, record)?;
        }
        watch.at(counts.total());
    }
    file::write_end(out, counts)?;
    Ok(counts)
}
