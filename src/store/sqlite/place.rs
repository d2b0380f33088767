//! Where an event is: `num << 32 | seq`, one integer that sorts by session and then by seq.

use crate::store::{Error, Result};

/// A session's small number within this database.
pub type Num = i64;

/// The largest seq that a place can hold.
const SEQ_MAX: u64 = u32::MAX as u64;

/// The place before the first event of a session.
pub fn start(num: Num) -> i64 {
    num << 32
}

/// The last place that a session can have.
pub fn end(num: Num) -> i64 {
    start(num) | SEQ_MAX as i64
}

/// Where the event `seq` of a session is; numbers beyond all places stand at the end.
pub fn at(num: Num, seq: u64) -> i64 {
    start(num) | seq.min(SEQ_MAX) as i64
}

/// The seq of a place.
pub fn seq(place: i64) -> u64 {
    place as u64 & SEQ_MAX
}

/// The session of a place.
pub fn num(place: i64) -> Num {
    place >> 32
}

/// The number after `seq`, as long as there is one.
pub fn next(seq: u64) -> Result<u64> {
    if seq >= SEQ_MAX {
        return Err(Error::Other("the session's log is full".to_owned()));
    }
    Ok(seq + 1)
}
