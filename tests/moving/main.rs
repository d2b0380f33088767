//! Moving a whole store with the shipped binary: from one kind of store to the other and back,
//! killed in the middle, into a store that has something, and files that are none.

#[path = "../support/call.rs"]
mod call;
#[path = "../support/dice.rs"]
mod dice;
mod files;
mod kept;
mod legacy;
#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/process.rs"]
mod process;
mod support;
