//! Disks of a test's own: a small one in memory, and one whose power can be cut.
//!
//! Both are mounted on the data folder before the server starts, which needs root. Dropping
//! unmounts, whatever happened in between.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

/// A file system is busy for a moment after its last user has gone. One that stays busy is taken
/// out of sight, so that the folder can be removed, and the test fails.
const UNMOUNT: &str = "for i in $(seq 100); do umount \"$0\" && exit 0; sleep 0.1; done; \
    umount --lazy \"$0\"; exit 1";
const BALLAST: &str = "ballast";

/// `FS_IOC_SHUTDOWN` without flushing the log: from then on nothing reaches the disk any more.
const CUT_POWER: &str = "import fcntl, os, struct, sys\n\
    folder = os.open(sys.argv[1], os.O_RDONLY)\n\
    print('ready', flush=True)\n\
    sys.stdin.readline()\n\
    fcntl.ioctl(folder, 0x8004587D, struct.pack('I', 2))\n";

/// A mounted file system.
pub struct Disk {
    at: PathBuf,
}

impl Disk {
    /// An empty one in memory.
    pub fn in_memory(at: &Path, bytes: u64) -> Self {
        Self::mount(at, &["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
    }

    /// The ext4 within a file, as it was left.
    pub fn in_file(at: &Path, image: &Path) -> Self {
        Self::mount(at, &["-t", "ext4", "-o", "loop", path_of(image)])
    }

    fn mount(at: &Path, what: &[&str]) -> Self {
        fs::create_dir_all(at).expect("the mount point");
        run(Command::new("mount").args(what).arg(at));
        Self { at: at.to_owned() }
    }

    /// Fills it up, but for about `left` bytes.
    pub fn fill(&self, left: u64) {
        let path = self.at.join(BALLAST);
        let mut ballast = File::create(&path).expect("the ballast");
        let block = [0; 4_096];
        loop {
            match ballast.write_all(&block) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
        let length = ballast.metadata().expect("its length").len();
        ballast.set_len(length.saturating_sub(left)).expect("it can be cut");
    }

    /// Makes room again.
    pub fn relieve(&self) {
        fs::remove_file(self.at.join(BALLAST)).expect("the ballast was there");
    }

    /// Ready to cut its power within a fraction of a millisecond.
    pub fn power_switch(&self) -> PowerSwitch {
        let mut python = Command::new("python3");
        python.args(["-c", CUT_POWER]).arg(&self.at);
        let mut child = python
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is there; scripts/install-test-tools installs it");
        let stdout = child.stdout.take().expect("piped");
        let ready = BufReader::new(stdout).lines().next();
        assert!(matches!(ready, Some(Ok(line)) if line == "ready"), "the switch is not ready");
        PowerSwitch { child }
    }

    /// Panics when somebody still uses it.
    pub fn unmount(self) {
        drop(self);
    }
}

/// Cuts a disk's power: what was not flushed is lost, and all that can still be done with it is
/// to unmount it.
pub struct PowerSwitch {
    child: Child,
}

impl PowerSwitch {
    pub fn cut(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().expect("the switch ends").success(), "the power is still there");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let output = Command::new("sh").args(["-c", UNMOUNT]).arg(&self.at).output();
        let output = output.expect("a shell");
        let said = String::from_utf8_lossy(&output.stderr);
        let is_fine = output.status.success() || thread::panicking();
        assert!(is_fine, "{} can't be unmounted: {said}", self.at.display());
    }
}

/// Makes a file with an empty ext4 in it.
pub fn make_image(path: &Path, bytes: u64) {
    File::create(path).and_then(|file| file.set_len(bytes)).expect("the image file");
    run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(path));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}; needs root; see docs/testing.md");
}

fn path_of(path: &Path) -> &str {
    path.to_str().expect("temporary folders have names in ASCII")
}
