//! The ops port of a process, asked as a probe asks it.

use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One question, connect to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An answer over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// GET of a path such as `/readyz`.
///
/// # Errors
/// Nobody listens, or the answer is no HTTP.
pub async fn get(address: SocketAddr, path: &str) -> Result<Answer> {
    let question = async {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        anyhow::Ok(text)
    };
    let text = tokio::time::timeout(TIMEOUT, question)
        .await
        .with_context(|| format!("GET http://{address}{path}: no answer in {TIMEOUT:?}"))?
        .with_context(|| format!("GET http://{address}{path}"))?;
    parse(&text).with_context(|| format!("GET http://{address}{path}: {text:?} is no HTTP"))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some(Answer {
        status,
        body: body.to_owned(),
    })
}

/// The sum of a metric over its labels on a `/metrics` page; `None` when it is not there.
#[must_use]
pub fn metric(page: &str, name: &str) -> Option<f64> {
    page.lines()
        .filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let found = series.split('{').next()?;
            (found == name).then(|| value.parse::<f64>().ok())?
        })
        .reduce(|sum, value| sum + value)
}
