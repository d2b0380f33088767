//! The file of the limit program: preallocated, written in place, flushed before delivery.
//!
//! Its blocks exist and are written once before the first message, so that a flush writes data
//! alone and no metadata of the file system: the cheapest durable write there is. At the end
//! it begins again at the front; nobody ever reads it.

use anyhow::{Context, Result};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

const FILE_BYTES: usize = 64 << 20;

#[derive(Debug)]
pub struct Journal {
    file: File,
    flush: bool,
    at: usize,
    batch: Vec<u8>,
}

impl Journal {
    pub fn create(data_dir: &Path, flush: bool) -> Result<Self> {
        fs::create_dir_all(data_dir)?;
        let path = data_dir.join("limit.journal");
        let file = File::create(&path).with_context(|| format!("can't write {path:?}"))?;
        let zeros = vec![0; 1 << 20];
        for at in (0..FILE_BYTES).step_by(zeros.len()) {
            file.write_all_at(&zeros, at as u64)?;
        }
        file.sync_all()?;
        Ok(Self { file, flush, at: 0, batch: Vec::new() })
    }

    pub fn add(&mut self, bytes: &[u8]) {
        self.batch.extend_from_slice(bytes);
    }

    /// One write for all that was added, and one flush.
    pub fn commit(&mut self) -> Result<()> {
        if self.at + self.batch.len() > FILE_BYTES {
            self.at = 0;
        }
        self.file.write_all_at(&self.batch, self.at as u64)?;
        self.at += self.batch.len();
        self.batch.clear();
        if self.flush {
            self.file.sync_data()?;
        }
        Ok(())
    }
}
