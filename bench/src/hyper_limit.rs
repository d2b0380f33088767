//! The bare limit of REST: hyper on one thread, which answers every request with the same
//! ready bytes. It routes nothing, checks no token and asks no store.
//!
//! The size of the answer is the measured server's own, which the workload asks for first. One
//! thread is right here, because the measured server has one core as well.

use anyhow::Result;
use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, header};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Runs until it is killed. The address is printed as a banner.
pub fn run(listen: SocketAddr, body_bytes: usize) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(serve(listen, Bytes::from(vec![b'x'; body_bytes])))
}

async fn serve(listen: SocketAddr, body: Bytes) -> Result<()> {
    let listener = TcpListener::bind(listen).await?;
    println!("http://{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let body = body.clone();
        let answer = service_fn(move |_request| {
            let mut response = Response::new(Full::new(body.clone()));
            let json = header::HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            std::future::ready(Ok::<_, Infallible>(response))
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
        // A connection that ends badly concerns its client, who counts it.
        tokio::spawn(async move { drop(connection.await) });
    }
}
