//! The power goes under load, several times on one disk.
//!
//! The data folder is an ext4 of its own. Cutting its power drops everything that was not
//! flushed, data and metadata alike; what is mounted again is what the disk had. A store that
//! trusts the kernel's memory (`synchronous=NORMAL`) loses acknowledged messages here, though it
//! never does to `kill -9`.

use tokio::task::block_in_place;
use tokio::time::{Duration, sleep};

use crate::disk::{Disk, make_image};
use crate::freeze::freeze;
use crate::ledger::Order;
use crate::world::World;

const DISK_BYTES: u64 = 192 << 20;
const CUTS: usize = 8;
const ACKED_MAX: u64 = 400;
/// The cut falls somewhere within the commits that follow.
const DELAY_US_MAX: u64 = 8_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_power_goes() {
    if crate::is_skipped("power_cut") {
        return;
    }
    let mut world = World::new("power_cut");
    let (image, data) = (world.folder.path().join("disk"), world.folder.path().join("data"));
    block_in_place(|| make_image(&image, DISK_BYTES));
    for _ in 0..CUTS {
        let disk = block_in_place(|| Disk::in_file(&data, &image));
        let server = world.resume().await;
        let url = server.url().to_owned();
        let switch = block_in_place(|| disk.power_switch());
        let crew = world.crew(&url);
        world.ledger.until_acked(1 + world.dice.below(ACKED_MAX)).await;
        sleep(Duration::from_micros(world.dice.below(DELAY_US_MAX))).await;
        block_in_place(|| {
            // A processor without power computes nothing: to a server that goes on after the
            // cut, a flush that the kernel was busy with may look done.
            freeze(&server);
            switch.cut();
            server.kill9();
        });
        world.lose(crew).await;
        block_in_place(|| disk.unmount());
    }
    let disk = block_in_place(|| Disk::in_file(&data, &image));
    let server = world.resume().await;
    let url = server.url().to_owned();
    world.audit(&url, Order::Prefix).await;
    eprintln!("power_cut: {} sends acknowledged over {CUTS} cuts", world.ledger.acked_count());
    assert!(block_in_place(|| server.stop()).success());
    world.check_database();
    block_in_place(|| disk.unmount());
}
