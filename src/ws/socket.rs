//! One WebSocket after its handshake: bytes in, bytes out, and the closing handshake.
//!
//! Small when idle: it owns no read buffer (all sockets of a thread read into one scratch) and
//! no write buffer (finished frames are shared, and kept only while the peer does not take
//! them). One owner polls it; nobody else writes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use protocol::{CloseCode, websocket as wire};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::frame::{Flow, Incoming, Limits, Reader};

/// What a thread reads into, in bytes; also the most that is kept while a connection pauses.
const SCRATCH_BYTES: usize = 64 * 1024;
/// Reads in one turn before others come to their turn.
const READS_A_TURN: usize = 4;
/// Frames of one vectored write.
const SLICES_A_WRITE: usize = 64;
/// With so much waiting for a peer that does not read, its pings are not answered.
const PONG_BACKLOG_BYTES_MAX: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice());
}

/// How a turn of reading went.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// All that came was taken; the task is woken when more comes.
    Drained,
    /// The callee wants no more now.
    Paused,
    /// There may be more; the task was woken at once.
    Again,
}

/// Why nothing more can be read.
#[derive(Debug, PartialEq, Eq)]
pub enum ReadEnd {
    /// The peer went away.
    Gone,
    /// The peer sent a close frame, with that code.
    Closed(Option<u16>),
    /// The peer broke the protocol.
    Fault(CloseCode),
}

/// One WebSocket after its handshake.
#[derive(Debug)]
pub struct Socket {
    io: TcpStream,
    reader: Reader,
    /// What was read and could not be taken yet.
    kept: Box<[u8]>,
    out: VecDeque<Bytes>,
    out_bytes: usize,
}

impl Socket {
    /// `read_before` came behind the handshake.
    #[must_use]
    pub fn new(io: TcpStream, read_before: &[u8]) -> Self {
        Self {
            io,
            reader: Reader::default(),
            kept: read_before.into(),
            out: VecDeque::new(),
            out_bytes: 0,
        }
    }

    /// Reads what is there, for a turn. Pings are answered on the way.
    pub fn read(
        &mut self,
        context: &mut Context<'_>,
        limits: Limits,
        mut take: impl FnMut(Incoming<'_>) -> Flow,
    ) -> Result<Turn, ReadEnd> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut filled = self.kept.len();
            scratch[..filled].copy_from_slice(&self.kept);
            self.kept = Box::default();
            if filled > 0 {
                let (left, flow) = self.parse(scratch, filled, limits, &mut take)?;
                filled = left;
                if flow == Flow::Pause {
                    self.keep(&scratch[..filled]);
                    return Ok(Turn::Paused);
                }
            }
            for _ in 0..READS_A_TURN {
                let mut buffer = ReadBuf::new(&mut scratch[filled..]);
                let read = Pin::new(&mut self.io).poll_read(context, &mut buffer);
                let count = buffer.filled().len();
                match read {
                    Poll::Pending => {
                        self.keep(&scratch[..filled]);
                        return Ok(Turn::Drained);
                    }
                    Poll::Ready(Ok(())) if count > 0 => {}
                    Poll::Ready(_) => return Err(ReadEnd::Gone),
                }
                let (left, flow) = self.parse(scratch, filled + count, limits, &mut take)?;
                filled = left;
                if flow == Flow::Pause {
                    self.keep(&scratch[..filled]);
                    return Ok(Turn::Paused);
                }
            }
            self.keep(&scratch[..filled]);
            context.waker().wake_by_ref();
            Ok(Turn::Again)
        })
    }

    /// Reads and forgets what is there, until the peer is gone.
    pub fn discard(&mut self, context: &mut Context<'_>) -> Result<(), ReadEnd> {
        SCRATCH.with_borrow_mut(|scratch| {
            for _ in 0..READS_A_TURN {
                let mut buffer = ReadBuf::new(scratch);
                match Pin::new(&mut self.io).poll_read(context, &mut buffer) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                    Poll::Ready(_) => return Err(ReadEnd::Gone),
                }
            }
            context.waker().wake_by_ref();
            Ok(())
        })
    }

    /// Takes frames out of `scratch[..filled]` and moves what is left to its front; tells how
    /// much that is, and whether it is wanted now.
    fn parse(
        &mut self,
        scratch: &mut [u8],
        filled: usize,
        limits: Limits,
        take: &mut impl FnMut(Incoming<'_>) -> Flow,
    ) -> Result<(usize, Flow), ReadEnd> {
        let Self { reader, out, out_bytes, .. } = self;
        let (mut closed, mut flow) = (None, Flow::Go);
        let used = reader.feed(&mut scratch[..filled], limits, |incoming| {
            flow = match incoming {
                Incoming::Close(code) => {
                    closed = Some(code);
                    Flow::Pause
                }
                Incoming::Ping(payload) => {
                    if *out_bytes < PONG_BACKLOG_BYTES_MAX {
                        let mut pong = Vec::with_capacity(payload.len() + 2);
                        wire::put_frame(&mut pong, wire::PONG, payload);
                        *out_bytes += pong.len();
                        out.push_back(Bytes::from(pong));
                    }
                    take(incoming)
                }
                incoming => take(incoming),
            };
            flow
        });
        let used = used.map_err(ReadEnd::Fault)?;
        if let Some(code) = closed {
            return Err(ReadEnd::Closed(code));
        }
        scratch.copy_within(used..filled, 0);
        Ok((filled - used, flow))
    }

    fn keep(&mut self, rest: &[u8]) {
        if !rest.is_empty() {
            self.kept = rest.into();
        }
    }

    /// Queues finished frames behind what waits.
    pub fn put(&mut self, frame: Bytes) {
        self.out_bytes += frame.len();
        self.out.push_back(frame);
    }

    /// The same with several; where nothing waits, they become the queue as they are.
    pub fn put_all(&mut self, frames: Vec<Bytes>) {
        self.out_bytes += frames.iter().map(Bytes::len).sum::<usize>();
        if self.out.is_empty() {
            self.out = frames.into();
        } else {
            self.out.extend(frames);
        }
    }

    /// Bytes that the peer has not taken yet.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.out_bytes
    }

    /// Writes what waits, as much as the peer takes. Gives the number of bytes and of writes
    /// that were made.
    pub fn flush(&mut self, context: &mut Context<'_>) -> io::Result<(usize, u64)> {
        let (mut written, mut writes) = (0, 0);
        while !self.out.is_empty() {
            let io = Pin::new(&mut self.io);
            let poll = if self.out.len() == 1 {
                io.poll_write(context, &self.out[0])
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES_A_WRITE];
                let count = self.out.len().min(SLICES_A_WRITE);
                for (slice, bytes) in slices.iter_mut().zip(&self.out) {
                    *slice = IoSlice::new(bytes);
                }
                io.poll_write_vectored(context, &slices[..count])
            };
            match poll {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    written += count;
                    writes += 1;
                    self.drop_front(count);
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok((written, writes)),
            }
        }
        if self.out.capacity() > 0 {
            self.out = VecDeque::new();
        }
        Ok((written, writes))
    }

    /// Queues a close frame. Nothing may be put behind it.
    pub fn put_close(&mut self, code: u16, reason: &str) {
        let mut body = code.to_be_bytes().to_vec();
        body.extend_from_slice(reason.as_bytes());
        let mut frame = Vec::with_capacity(body.len() + 2);
        wire::put_frame(&mut frame, wire::CLOSE, &body);
        self.put(Bytes::from(frame));
    }

    /// Tells the peer that nothing more comes.
    pub fn shut(&mut self, context: &mut Context<'_>) {
        // An error means that the peer is gone, which the next read tells too.
        let _ = Pin::new(&mut self.io).poll_shutdown(context);
    }

    fn drop_front(&mut self, mut count: usize) {
        self.out_bytes -= count;
        while count > 0 {
            let front = self.out.front_mut().expect("no more was written than waited");
            if front.len() > count {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.out.pop_front();
        }
    }
}
