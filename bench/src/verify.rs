//! Every delivery is checked, and this file says how.
//!
//! A [`Ledger`] belongs to one connection and knows the last number it saw. In the workloads
//! nothing but messages is numbered after the setup, so the next one must be exactly one
//! higher: a jump leaves a hole (lost, until it is filled late, which makes it out of order),
//! a number seen before is doubled. At the end of a run the driver knows how many messages
//! the session was sent, so what is missing at the tail counts as lost as well.
//!
//! The fields of a message are found by a byte scan ([`Field`]), not by a JSON parser: that
//! would cost more than the server's own work. The scan is sound, because a quote inside of
//! a JSON string is always escaped, so `"seq":` can't stand within a content.

use memchr::memmem::Finder;
use serde::Serialize;
use std::ops::AddAssign;

/// What must be zero.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Faults {
    pub lost: u64,
    pub doubled: u64,
    pub out_of_order: u64,
}

impl AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.out_of_order += other.out_of_order;
    }
}

/// One connection's account of one session's numbers.
#[derive(Debug)]
pub struct Ledger {
    last: u64,
    holes: Vec<u64>,
    doubled: u64,
    out_of_order: u64,
}

impl Ledger {
    /// A hole is written down number by number up to here; a session that loses more than
    /// this in one go is broken beyond telling late from doubled.
    const HOLES_MAX: usize = 100_000;

    /// The next number must be `last + 1`.
    pub fn new(last: u64) -> Self {
        Self { last, holes: Vec::new(), doubled: 0, out_of_order: 0 }
    }

    pub fn last(&self) -> u64 {
        self.last
    }

    #[inline]
    pub fn note(&mut self, seq: u64) {
        if seq == self.last + 1 {
            self.last = seq;
        } else {
            self.note_fault(seq);
        }
    }

    #[cold]
    fn note_fault(&mut self, seq: u64) {
        if seq > self.last {
            let room = Self::HOLES_MAX - self.holes.len();
            self.holes.extend((self.last + 1..seq).take(room));
            self.last = seq;
        } else if let Some(at) = self.holes.iter().position(|hole| *hole == seq) {
            self.holes.swap_remove(at);
            self.out_of_order += 1;
        } else {
            self.doubled += 1;
        }
    }

    /// A message came in another order than its sender wrote it.
    #[cold]
    pub fn note_disorder(&mut self) {
        self.out_of_order += 1;
    }

    /// The account, when the session's last number is `head`.
    pub fn close(&self, head: u64) -> Faults {
        Faults {
            lost: self.holes.len() as u64 + head.saturating_sub(self.last),
            // More than was sent, where nobody numbers.
            doubled: self.doubled + self.last.saturating_sub(head),
            out_of_order: self.out_of_order,
        }
    }
}

/// Finds one field in message after message: first where it stood last time, which is where it
/// stands again nearly always, else by a scan.
#[derive(Debug)]
pub struct Field {
    needle: &'static [u8],
    finder: Finder<'static>,
    hint: usize,
}

impl Field {
    /// `needle` is the key with its quotes and colon, and the value's quote if it has one.
    pub fn new(needle: &'static str) -> Self {
        Self { needle: needle.as_bytes(), finder: Finder::new(needle), hint: 0 }
    }

    /// The bytes from the value on.
    #[inline]
    pub fn value<'a>(&mut self, payload: &'a [u8]) -> Option<&'a [u8]> {
        let there = payload.get(self.hint..).is_some_and(|rest| rest.starts_with(self.needle));
        if !there {
            self.hint = self.finder.find(payload)?;
        }
        Some(&payload[self.hint + self.needle.len()..])
    }

    /// The value as a number; blanks before it are skipped.
    #[inline]
    pub fn number(&mut self, payload: &[u8]) -> Option<u64> {
        leading_number(self.value(payload)?)
    }
}

/// The decimal number at the front of `bytes`, after blanks.
#[inline]
pub fn leading_number(bytes: &[u8]) -> Option<u64> {
    let mut number = None;
    for byte in bytes.iter().skip_while(|byte| **byte == b' ') {
        match byte {
            b'0'..=b'9' => number = Some(number.unwrap_or(0) * 10 + u64::from(byte - b'0')),
            _ => break,
        }
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(numbers: &[u64], head: u64) -> Faults {
        let mut ledger = Ledger::new(4);
        numbers.iter().for_each(|seq| ledger.note(*seq));
        ledger.close(head)
    }

    #[test]
    fn a_dense_log_has_no_fault() {
        assert_eq!(account(&[5, 6, 7, 8], 8), Faults::default());
    }

    #[test]
    fn a_planted_hole_is_found() {
        assert_eq!(account(&[5, 8, 9], 9), Faults { lost: 2, ..Faults::default() });
    }

    #[test]
    fn a_missing_first_and_a_missing_tail_are_found() {
        assert_eq!(account(&[6, 7], 7), Faults { lost: 1, ..Faults::default() });
        assert_eq!(account(&[5, 6], 9), Faults { lost: 3, ..Faults::default() });
        assert_eq!(account(&[], 6), Faults { lost: 2, ..Faults::default() });
    }

    #[test]
    fn a_planted_double_is_found() {
        assert_eq!(account(&[5, 6, 6, 7], 7), Faults { doubled: 1, ..Faults::default() });
        assert_eq!(account(&[5, 6, 7, 5], 7), Faults { doubled: 1, ..Faults::default() });
    }

    #[test]
    fn a_late_number_is_out_of_order_and_not_lost() {
        assert_eq!(account(&[5, 7, 6, 8], 8), Faults { out_of_order: 1, ..Faults::default() });
        let twice_late = Faults { out_of_order: 1, doubled: 1, ..Faults::default() };
        assert_eq!(account(&[5, 7, 6, 6, 8], 8), twice_late);
    }

    #[test]
    fn a_field_is_found_where_it_moves_to_and_never_inside_a_content() {
        let mut seq = Field::new("\"seq\":");
        assert_eq!(seq.number(br#"{"id":"a","seq":12,"content":"x"}"#), Some(12));
        assert_eq!(seq.number(br#"{"id":"b","seq":13,"content":"x"}"#), Some(13));
        assert_eq!(seq.number(br#"{"id":"longer","seq":  14}"#), Some(14));
        assert_eq!(seq.number(br#"{"content":"\"seq\":99,","seq":15}"#), Some(15));
        assert_eq!(seq.number(br#"{"error":"no such","code":"x"}"#), None);
        assert_eq!(seq.number(br#"{"seq":"#), None);
    }
}
