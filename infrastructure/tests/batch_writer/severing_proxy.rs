//! A way to the server that is cut at COMMIT.

use sqlx::postgres::PgConnectOptions;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Where a COMMIT gets to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The server never sees it.
    BeforeServer,
    /// The server sees it, the client never gets the answer.
    BeforeAnswer,
}

/// COMMIT as a simple query of the wire protocol.
const COMMIT: &[u8] = b"COMMIT\0";

/// Listens on a port of its own and passes everything on, until a COMMIT passes.
pub struct SeveringProxy {
    pub port: u16,
    armed: Arc<AtomicBool>,
}

impl SeveringProxy {
    pub async fn before(server: &PgConnectOptions, cut: Cut) -> Self {
        let address = format!("{}:{}", server.get_host(), server.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let armed = Arc::new(AtomicBool::new(false));
        let armed_here = Arc::clone(&armed);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&address).await.unwrap();
                tokio::spawn(pass(client, server, cut, Arc::clone(&armed_here)));
            }
        });
        Self { port, armed }
    }

    /// From now on the next COMMIT cuts its connection.
    pub fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, cut: Cut, armed: Arc<AtomicBool>) {
    let mut from_client = vec![0; 64 * 1024];
    let mut from_server = vec![0; 64 * 1024];
    let mut is_cut = false;
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Ok(length @ 1..) = read else { break };
                let sent = &from_client[..length];
                let commits = sent.windows(COMMIT.len()).any(|window| window == COMMIT);
                is_cut = commits && armed.swap(false, Ordering::SeqCst);
                if is_cut && cut == Cut::BeforeServer {
                    break;
                }
                if server.write_all(sent).await.is_err() {
                    break;
                }
            }
            read = server.read(&mut from_server) => {
                let Ok(length @ 1..) = read else { break };
                // The answer shows that the server is through with it.
                if is_cut || client.write_all(&from_server[..length]).await.is_err() {
                    break;
                }
            }
        }
    }
}
