//! A network of its own for a node, with two lines to this one: by the one come its clients, by the
//! other it reaches its database. The second can be cut, so that packets vanish: no end of a
//! connection hears that the other is gone. Needs root.

use std::io::Write;
use std::process::{Child, Command, Stdio};

/// The network, for as long as this lives.
pub struct Network {
    /// A process that waits in it, and ends with the test.
    inside: Child,
    name: String,
    number: u8,
}

/// One of the two lines.
#[derive(Clone, Copy)]
enum Wire {
    Clients,
    Database,
}

impl Wire {
    /// The last part of this end's address; the other end's is the next.
    fn place(self) -> u8 {
        match self {
            Self::Clients => 1,
            Self::Database => 5,
        }
    }
}

impl Network {
    pub fn new() -> Self {
        let mut waits = Command::new("unshare");
        waits.args(["--net", "sh", "-c", "echo; read -r word"]);
        let inside = waits.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut inside = inside.expect("unshare runs");
        let pid = std::process::id();
        let (name, number) = (format!("ad{pid}"), (pid % 250) as u8);
        // It says when it is there.
        let mut line = String::new();
        let said = inside.stdout.take().expect("piped");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(said), &mut line).expect("a line");
        assert!(!line.is_empty(), "no network of its own: root is needed; see ASSISTDECK_SKIP");
        let network = Self { inside, name, number };
        network.inside_do(&["ip", "link", "set", "lo", "up"]);
        network.lay(Wire::Clients);
        network.lay(Wire::Database);
        network
    }

    /// The process whose network it is.
    pub fn pid(&self) -> u32 {
        self.inside.id()
    }

    /// Where a node in it listens, for its clients here.
    pub fn address_for_clients(&self) -> String {
        self.address(Wire::Clients, 1)
    }

    /// Where this side's end of the line to the database is.
    pub fn address_of_database(&self) -> String {
        self.address(Wire::Database, 0)
    }

    /// Packets vanish.
    pub fn cut(&self) {
        self.set(Wire::Database, "down");
    }

    pub fn mend(&self) {
        self.set(Wire::Database, "up");
    }

    fn set(&self, wire: Wire, state: &str) {
        run(Command::new("ip").args(["link", "set", &self.end(wire), state]));
    }

    fn lay(&self, wire: Wire) {
        let (here, there) = (self.end(wire), format!("{}x", self.end(wire)));
        let pid = self.pid().to_string();
        let pair = ["link", "add", &here, "type", "veth", "peer", "name", &there, "netns", &pid];
        run(Command::new("ip").args(pair));
        let with_mask = |end| format!("{}/30", self.address(wire, end));
        run(Command::new("ip").args(["address", "add", &with_mask(0), "dev", &here]));
        self.set(wire, "up");
        self.inside_do(&["ip", "address", "add", &with_mask(1), "dev", &there]);
        self.inside_do(&["ip", "link", "set", &there, "up"]);
    }

    /// The name of this side's end; 15 characters at most, with one more for the other end's.
    fn end(&self, wire: Wire) -> String {
        let letter = match wire {
            Wire::Clients => 'c',
            Wire::Database => 'd',
        };
        format!("{}{letter}", self.name)
    }

    fn address(&self, wire: Wire, end: u8) -> String {
        // A range for trying out network devices.
        format!("198.18.{}.{}", self.number, wire.place() + end)
    }

    fn inside_do(&self, words: &[&str]) {
        run(Command::new("nsenter")
            .args(["--net", "--target", &self.pid().to_string()])
            .args(words));
    }
}

impl Drop for Network {
    /// The lines go with it.
    fn drop(&mut self) {
        if let Some(mut stdin) = self.inside.stdin.take() {
            // It may have ended.
            let _ = stdin.write_all(b"\n");
        }
        let _ = self.inside.wait();
    }
}

fn run(command: &mut Command) {
    let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}
