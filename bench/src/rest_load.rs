//! Load over REST: a handful of kept-alive connections, each with one request at a time.
//!
//! The requests are ready bytes. An answer is looked at as far as it must be: the status has
//! to be 200, and `Content-Length` says where it ends; anything else stops the run.

use anyhow::{Context, Result, bail, ensure};
use memchr::memmem::{self, Finder};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const SCRATCH_BYTES: usize = 64 * 1024;
const TURN: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub struct RestLoad {
    poll: Poll,
    lanes: Vec<Lane>,
    length: Finder<'static>,
    pub answered: u64,
}

#[derive(Debug)]
struct Lane {
    stream: TcpStream,
    request: Vec<u8>,
    /// Bytes of the present answer's head, until it is whole.
    head: Vec<u8>,
    /// Bytes of the body that are still to come, once the head is through.
    body_left: Option<usize>,
}

impl RestLoad {
    /// One connection for each of `requests`, which it sends again and again.
    pub fn connect(addr: SocketAddr, requests: Vec<Vec<u8>>) -> Result<Self> {
        let poll = Poll::new()?;
        let mut lanes = Vec::new();
        for (at, request) in requests.into_iter().enumerate() {
            let stream = std::net::TcpStream::connect(addr)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(at), Interest::READABLE)?;
            lanes.push(Lane { stream, request, head: Vec::new(), body_left: None });
        }
        for lane in &mut lanes {
            lane.ask()?;
        }
        Ok(Self { poll, lanes, length: Finder::new(b"content-length:"), answered: 0 })
    }

    pub fn run_for(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        let mut events = Events::with_capacity(256);
        let mut scratch = vec![0; SCRATCH_BYTES];
        while Instant::now() < until {
            match self.poll.poll(&mut events, Some(TURN)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            }
            for event in &events {
                let lane = &mut self.lanes[event.token().0];
                self.answered += lane.read(&mut scratch, &self.length)?;
            }
        }
        Ok(())
    }
}

impl Lane {
    fn ask(&mut self) -> Result<()> {
        let written = self.stream.write(&self.request).context("asking")?;
        ensure!(written == self.request.len(), "a socket that can't take one request");
        Ok(())
    }

    /// Takes what has come; answers that ended are counted and asked for again.
    fn read(&mut self, scratch: &mut [u8], length: &Finder<'_>) -> Result<u64> {
        let mut answered = 0;
        loop {
            let count = match self.stream.read(scratch) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(answered),
                Err(error) => return Err(error.into()),
            };
            if self.take(&scratch[..count], length)? {
                answered += 1;
                self.ask()?;
            }
            if count < scratch.len() {
                return Ok(answered);
            }
        }
    }

    /// Whether the answer is whole now. One request at a time: nothing comes behind it.
    fn take(&mut self, bytes: &[u8], length: &Finder<'_>) -> Result<bool> {
        let left = match self.body_left {
            Some(left) => left.checked_sub(bytes.len()),
            None => {
                self.head.extend_from_slice(bytes);
                let Some(end) = memmem::find(&self.head, b"\r\n\r\n") else {
                    return Ok(false);
                };
                let body = body_bytes(&mut self.head[..end], length)?;
                let got = self.head.len() - end - 4;
                self.head.clear();
                body.checked_sub(got)
            }
        };
        let left = left.context("more than one answer")?;
        self.body_left = (left > 0).then_some(left);
        Ok(left == 0)
    }
}

fn body_bytes(head: &mut [u8], length: &Finder<'_>) -> Result<usize> {
    ensure!(head.starts_with(b"HTTP/1.1 200"), "refused: {}", String::from_utf8_lossy(head));
    head.make_ascii_lowercase();
    let at = length.find(head).context("an answer without Content-Length")?;
    let value = head[at..].split(|byte| *byte == b'\r').next().unwrap_or_default();
    let (_, number) = std::str::from_utf8(value)?.split_once(':').context("a header")?;
    Ok(number.trim().parse()?)
}
