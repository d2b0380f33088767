//! The file: JSON lines, the first of which says what it is and the last how many there were.
//!
//! `{"format":"assistdeck-export","version":1,…}`, then a line for each record, named by its kind
//! (`{"user":{…}}`), in the order of [`Target`](crate::store::moving::Target), then
//! `{"end":{"users":1,…}}`. A file without its end was cut. A file of a newer version is refused;
//! fields that are not known are passed over, so a version may get more of them.

use std::io::{self, BufRead, Read, Write};

use async_trait::async_trait;
use protocol::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Batch, Error, Feed, rules};
use crate::store::moving::{About, BATCH_BYTES, BATCH_ROWS, Counts, Record};

const FORMAT: &str = "assistdeck-export";
/// The version that is written, and the newest that is read.
const VERSION: u64 = 1;
/// The longest line that is read, in bytes. A message of 64 KiB, escaped, is below 400 KiB.
pub const LINE_BYTES_MAX: usize = 1 << 20;
/// How much of a first line is looked at to say what is wrong with it.
const SHOWN_CHARS: usize = 40;

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    version: u64,
    /// The program that wrote it.
    program: String,
    at: Timestamp,
    /// Of which kind the store was.
    store: String,
    epoch: String,
    /// A server used the store, which may have gone on since.
    #[serde(default)]
    is_served: bool,
}

#[derive(Serialize, Deserialize)]
struct End {
    end: Counts,
}

pub(super) fn write_header(out: &mut dyn Write, about: &About) -> io::Result<()> {
    let header = Header {
        format: FORMAT.to_owned(),
        version: VERSION,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        at: Timestamp::now(),
        store: about.store.to_owned(),
        epoch: about.epoch.clone(),
        is_served: about.is_served,
    };
    write_line(out, &header)
}

pub(super) fn write_record(out: &mut dyn Write, record: &Record) -> io::Result<()> {
    write_line(out, record)
}

pub(super) fn write_end(out: &mut dyn Write, counts: Counts) -> io::Result<()> {
    write_line(out, &End { end: counts })?;
    out.flush()
}

fn write_line(mut out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut out, value)?;
    out.write_all(b"\n")
}

/// A file that is read.
pub struct File<R> {
    lines: Lines<R>,
    header: Header,
    size: Option<u64>,
    counts: Counts,
    has_ended: bool,
    /// What was met behind the records that were given last.
    damage: Option<Error>,
}

impl<R: BufRead + Send> File<R> {
    /// Reads the first line. `size` of the whole in bytes, if it is known.
    pub fn open(input: R, size: Option<u64>) -> Result<Self, Error> {
        let mut lines = Lines { input, line: Vec::new(), number: 0, is_open: false, position: 0 };
        let first = match lines.next() {
            Ok(Some(line)) => line,
            Ok(None) => return Err(Error::NotOurs("the file is empty".to_owned())),
            Err(Error::Damaged(_)) => return Err(not_ours(&lines.line)),
            Err(other) => return Err(other),
        };
        #[derive(Deserialize)]
        struct Named {
            format: String,
            version: u64,
        }
        let named: Option<Named> = serde_json::from_slice(first).ok();
        let Some(named) = named.filter(|named| named.format == FORMAT) else {
            return Err(not_ours(first));
        };
        if named.version > VERSION {
            return Err(Error::NotOurs(format!(
                "the file has version {} of the format, and this program reads up to {VERSION}: \
                 import it with the program that wrote it, or a newer one",
                named.version
            )));
        }
        let header = serde_json::from_slice(first).map_err(|error| {
            Error::NotOurs(format!("the first line of the file lacks something: {error}"))
        })?;
        Ok(Self { lines, header, size, counts: Counts::default(), has_ended: false, damage: None })
    }

    fn damaged(&self, what: impl std::fmt::Display) -> Error {
        Error::Damaged(format!(
            "line {}: {what}; nothing from there on was taken in, and what came whole before it is \
             in the store: make the export again, and import that",
            self.lines.number
        ))
    }

    /// The next record; none at the end.
    fn record(&mut self) -> Result<Option<Record>, Error> {
        let line = match self.lines.next() {
            Ok(Some(line)) => line,
            Ok(None) => {
                return Err(self.damaged("the file ends here, without its last line: it was cut"));
            }
            Err(Error::Damaged(what)) => return Err(self.damaged(what)),
            Err(other) => return Err(other),
        };
        if line.starts_with(br#"{"end":"#) {
            let end = serde_json::from_slice::<End>(line);
            let end = end.map_err(|error| self.damaged(error))?.end;
            self.check_end(end)?;
            return Ok(None);
        }
        let record = serde_json::from_slice::<Record>(line).map_err(|error| {
            self.damaged(match self.lines.is_open {
                true => "the file ends in the middle of this line: it was cut".to_owned(),
                false => format!("this is no record of an export: {error}"),
            })
        })?;
        if let Err(what) = rules::check(&record) {
            return Err(self.damaged(what));
        }
        self.counts.add(&record);
        Ok(Some(record))
    }

    fn check_end(&mut self, end: Counts) -> Result<(), Error> {
        self.has_ended = true;
        if end != self.counts {
            return Err(self.damaged(format!(
                "its end tells of {end}, but there were {}: lines are missing, or are there twice",
                self.counts
            )));
        }
        if self.lines.next()?.is_some() {
            return Err(self.damaged("something follows the end"));
        }
        Ok(())
    }
}

#[async_trait]
impl<R: BufRead + Send> Feed for File<R> {
    fn epoch(&self) -> Option<&str> {
        // A store that went on has given the same numbers to other events since.
        (!self.header.is_served).then_some(self.header.epoch.as_str())
    }

    fn size(&self) -> Option<u64> {
        self.size
    }

    async fn next(&mut self) -> Result<Option<Batch>, Error> {
        if let Some(damage) = self.damage.take() {
            return Err(damage);
        }
        if self.has_ended {
            return Ok(None);
        }
        let mut batch = Batch::default();
        let start = self.lines.position;
        while batch.records.len() < BATCH_ROWS && self.lines.position - start < BATCH_BYTES as u64 {
            match self.record() {
                Ok(Some(record)) => batch.records.push(record),
                Ok(None) => break,
                // What came before it is as good as ever.
                Err(damage) => {
                    self.damage = Some(damage);
                    break;
                }
            }
        }
        batch.position = self.lines.position;
        Ok(Some(batch))
    }
}

fn not_ours(line: &[u8]) -> Error {
    let text = String::from_utf8_lossy(&line[..line.len().min(4 * SHOWN_CHARS)]);
    let shown: String = text.chars().take(SHOWN_CHARS).collect();
    Error::NotOurs(format!(
        "this is no file of `assistdeck export`: it begins with {shown:?} and should begin with \
         {{\"format\":\"{FORMAT}\",…"
    ))
}

/// Lines of bounded length, with what is known of the place.
struct Lines<R> {
    input: R,
    line: Vec<u8>,
    /// Of the line that was read last, from 1.
    number: u64,
    /// The line that was read last has no end.
    is_open: bool,
    /// Bytes that were read.
    position: u64,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Result<Option<&[u8]>, Error> {
        self.line.clear();
        let mut bounded = (&mut self.input).take(LINE_BYTES_MAX as u64 + 1);
        let read = bounded.read_until(b'\n', &mut self.line)?;
        self.number += 1;
        self.position += read as u64;
        if read == 0 {
            return Ok(None);
        }
        self.is_open = self.line.last() != Some(&b'\n');
        if !self.is_open {
            self.line.pop();
        } else if read > LINE_BYTES_MAX {
            let what = format!("the line is longer than {LINE_BYTES_MAX} bytes");
            return Err(Error::Damaged(what));
        }
        Ok(Some(&self.line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = concat!(
        r#"{"format":"assistdeck-export","version":1,"program":"0","store":"sqlite","epoch":"e","#,
        r#""at":"2026-01-01T00:00:00Z"}"#
    );

    async fn read(text: &[u8]) -> Result<u64, Error> {
        let mut file = File::open(text, None)?;
        let mut records = 0;
        while let Some(batch) = file.next().await? {
            records += batch.records.len() as u64;
        }
        Ok(records)
    }

    async fn sentence(text: &[u8]) -> String {
        read(text).await.expect_err("it is refused").to_string()
    }

    #[tokio::test]
    async fn what_is_no_export_is_told_apart() {
        for (text, said) in [
            ("", "empty"),
            ("{}\n", "no file of `assistdeck export`"),
            ("\u{1f}\u{8b}\n", "no file of `assistdeck export`"),
            (&"x".repeat(LINE_BYTES_MAX + 2), "no file of `assistdeck export`"),
            (&HEAD.replace("\"version\":1", "\"version\":2"), "version 2"),
            (&HEAD.replace("\"epoch\":\"e\"", "\"x\":1"), "epoch"),
        ] {
            let sentence = sentence(text.as_bytes()).await;
            assert!(sentence.contains(said), "{sentence}");
        }
    }

    #[tokio::test]
    async fn a_damaged_file_is_told_with_its_line() {
        let user = concat!(
            r#"{"user":{"id":"0192f0c1-2345-7abc-8def-0123456789ab","name":"Ada","email":"a@b","#,
            r#""kind":"human","created_at":"2026-01-01T00:00:00Z"}}"#
        );
        let end = |users: u64| {
            let counts = Counts { users, ..Counts::default() };
            serde_json::to_string(&End { end: counts }).expect("JSON")
        };
        let whole = format!("{HEAD}\n{user}\n{}\n", end(1));
        assert_eq!(read(whole.as_bytes()).await.expect("it is whole"), 1);
        for (text, line, said) in [
            (format!("{HEAD}\n{user}\n"), 3, "cut"),
            (whole[..HEAD.len() + 40].to_owned(), 2, "cut"),
            (format!("{HEAD}\ngarbage\n"), 2, "no record"),
            (format!("{HEAD}\n{}\n", "x".repeat(LINE_BYTES_MAX + 1)), 2, "longer than 1048576"),
            (format!("{HEAD}\n{user}\n{}\n", end(2)), 3, "lines are missing"),
            (format!("{whole}{user}\n"), 4, "something follows the end"),
            (format!("{HEAD}\n{}\n", user.replace("a@b", "nobody")), 2, "email"),
        ] {
            let sentence = sentence(text.as_bytes()).await;
            assert!(sentence.contains(said), "{sentence}");
            assert!(sentence.starts_with(&format!("line {line}: ")), "{sentence}");
        }
    }
}
