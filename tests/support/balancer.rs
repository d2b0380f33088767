//! What stands before several nodes: each connection goes to the next one that takes it.
#![allow(dead_code)]

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// A round-robin proxy on a port of its own. It ends with its value, and so does what it carries.
pub struct Balancer {
    address: SocketAddr,
    nodes: Arc<Mutex<Nodes>>,
    task: AbortHandle,
}

#[derive(Default)]
struct Nodes {
    addresses: Vec<SocketAddr>,
    turn: usize,
}

impl Balancer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it has an address");
        let nodes = Arc::<Mutex<Nodes>>::default();
        let task = tokio::spawn(serve(listener, nodes.clone())).abort_handle();
        Self { address, nodes, task }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where new connections go from now on.
    pub fn set(&self, addresses: Vec<SocketAddr>) {
        lock(&self.nodes).addresses = addresses;
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(nodes: &Mutex<Nodes>) -> std::sync::MutexGuard<'_, Nodes> {
    nodes.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, nodes: Arc<Mutex<Nodes>>) {
    let mut carried = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while carried.try_join_next().is_some() {}
        let nodes = nodes.clone();
        carried.spawn(async move {
            // Whoever finds no node is hung up on.
            if let Ok(node) = next(&nodes).await {
                carry(client, node).await;
            }
        });
    }
}

/// A connection to the node whose turn it is, or to the next that lives.
async fn next(nodes: &Mutex<Nodes>) -> io::Result<TcpStream> {
    let addresses = {
        let mut nodes = lock(nodes);
        nodes.turn += 1;
        let mut addresses = nodes.addresses.clone();
        let count = addresses.len().max(1);
        addresses.rotate_left(nodes.turn % count);
        addresses
    };
    TcpStream::connect(&addresses[..]).await
}

async fn carry(mut client: TcpStream, mut node: TcpStream) {
    for stream in [&client, &node] {
        // One that has ended already shows below.
        let _ = stream.set_nodelay(true);
    }
    // Either end's end is the other's.
    let _ = copy_bidirectional(&mut client, &mut node).await;
}
