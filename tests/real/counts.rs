//! What a message costs, in system calls: they are counted, and do not wobble as times do.
//!
//! A member sends bursts of messages, each burst in one piece. Whatever the machine, a burst is a
//! few commits, each one flush; and every member gets a burst in a few writes, one for each commit
//! at most. What breaks group commit, or writes each frame by itself, fails here.

use tokio::task::block_in_place;

use crate::line::{Line, Speech};
use crate::person::Person;
use crate::rest::Rest;
use crate::strace::Strace;
use crate::world::{found_session, next_durable, start};

const MEMBERS: usize = 20;
const BURSTS: usize = 20;
/// Messages of a burst.
const BURST: usize = 16;
/// The writer takes what waits when it is free: the first message, then all others. Once more,
/// should the burst be read in two pieces.
const COMMITS_MAX: usize = 3;
/// Of the write-ahead log when it begins anew.
const OTHER_FLUSHES: usize = 4;
const CALLS: &[&str] = &["fsync", "fdatasync", "write", "writev", "sendto", "sendmsg"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_a_few_commits_and_each_is_one_write_a_member() {
    if crate::is_skipped("counts") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start(&folder);
    let people: Vec<Person> = (0..MEMBERS).map(|n| Person::new(&format!("member {n}"))).collect();
    for person in &people {
        let mut rest = Rest::new(server.url(), person);
        rest.call("GET", "/api/users/profile").await.expect("an answer").expect(200);
    }
    let others: Vec<&Person> = people[1..].iter().collect();
    let mut owner = Rest::new(server.url(), &people[0]);
    let session = found_session(&mut owner, &others).await;
    let mut lines = Vec::new();
    for person in &people {
        let line = Line::open(server.url(), person, &session, Speech::V1, None).await;
        lines.push(line.expect("the server lives"));
    }
    let strace = block_in_place(|| Strace::record(server.pid(), folder.path(), CALLS, 16));
    for burst in 0..BURSTS {
        let messages: Vec<_> = (0..BURST).map(|number| format!("{burst}.{number}")).collect();
        lines[0].say_at_once(&messages).await.expect("the server lives");
        for line in &mut lines {
            for message in &messages {
                assert_eq!(next_durable(line).await["data"]["content"], **message);
            }
        }
    }
    let log = block_in_place(|| strace.detach());
    assert!(block_in_place(|| server.stop()).success());

    // A call that is shown in two parts, as another thread's came between, counts once.
    let count = |is: &dyn Fn(&str) -> bool| {
        log.lines().filter(|line| is(line) && !line.contains(" resumed>")).count()
    };
    let flushes = count(&|line| line.contains("fsync(") || line.contains("fdatasync("));
    let writes = count(&|line| line.contains("<TCP") && !line.contains("sync("));
    eprintln!("{} messages to {MEMBERS}: {flushes} flushes, {writes} writes", BURSTS * BURST);
    assert!(flushes >= BURSTS, "{flushes} flushes");
    assert!(flushes <= BURSTS * COMMITS_MAX + OTHER_FLUSHES, "{flushes} flushes");
    assert!(writes >= BURSTS * MEMBERS, "{writes} writes");
    assert!(writes <= BURSTS * MEMBERS * COMMITS_MAX, "{writes} writes");
}
