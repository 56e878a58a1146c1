//! The fallback for Apache Kafka where there is no JVM: librdkafka's mock broker as a program.
//!
//! It keeps everything in memory, at most 5 MiB a partition, and knows no topic administration.
//! Topics are made over a control port instead, so that each test can have its own.
//!
//! ```text
//! mock-broker [--addresses FILE] [TOPIC[:PARTITIONS]...]
//! ```
//!
//! Two lines go to standard output, and to FILE when one is named:
//!
//! ```text
//! bootstrap.servers=127.0.0.1:40123
//! control=127.0.0.1:40124
//! ```
//!
//! A connection to the control port sends one line, `create TOPIC PARTITIONS`, and receives one:
//! `created`, `exists` or `error: REASON`. The program ends on SIGTERM, as any does by default:
//! there is nothing to save.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

/// The partitions of a topic named without a number: those of the demo's layout.
const PARTITIONS_DEFAULT: i32 = 12;

/// Far more than any test asks for; a typing error must not allocate without a bound.
const PARTITIONS_MAX: i32 = 1_000;

/// A request is one short line; what is longer is not for us.
const REQUEST_BYTES_MAX: u64 = 1_024;

/// Connections are served one after another, so that a silent one must not hold up the rest.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

type Cluster = MockCluster<'static, DefaultProducerContext>;

/// What the command line asks for.
#[derive(Default)]
struct Arguments {
    addresses: Option<String>,
    topics: Vec<(String, i32)>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = parse_arguments(std::env::args().skip(1))?;
    let cluster = Cluster::new(1)?;
    for (topic, partitions) in &arguments.topics {
        create(&cluster, topic, *partitions)?;
    }
    let control = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    announce(&cluster, &control, arguments.addresses.as_deref())?;
    for connection in control.incoming() {
        // A client that goes away in the middle harms only itself.
        if let Err(error) = connection.and_then(|stream| serve(&cluster, &stream)) {
            writeln!(io::stderr(), "mock-broker: control connection: {error}")?;
        }
    }
    Ok(())
}

fn parse_arguments(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments::default();
    while let Some(word) = words.next() {
        if word == "--addresses" {
            let file = words.next().ok_or("--addresses needs a file name")?;
            arguments.addresses = Some(file);
        } else {
            let (topic, partitions) = match word.split_once(':') {
                Some((topic, partitions)) => (topic, parse_partitions(partitions)?),
                None => (word.as_str(), PARTITIONS_DEFAULT),
            };
            arguments.topics.push((topic.to_owned(), partitions));
        }
    }
    Ok(arguments)
}

fn parse_partitions(text: &str) -> Result<i32, String> {
    match text.parse() {
        Ok(partitions) if (1..=PARTITIONS_MAX).contains(&partitions) => Ok(partitions),
        _ => Err(format!(
            "partitions must be 1 to {PARTITIONS_MAX}, not '{text}'"
        )),
    }
}

/// Says whether the topic is new; an existing one keeps the partitions it has.
fn create(cluster: &Cluster, topic: &str, partitions: i32) -> Result<bool, KafkaError> {
    match cluster.create_topic(topic, partitions, 1) {
        Ok(()) => Ok(true),
        Err(KafkaError::MockCluster(RDKafkaErrorCode::TopicAlreadyExists)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The file appears whole or not at all: whoever starts the program waits for it.
fn announce(cluster: &Cluster, control: &TcpListener, file: Option<&str>) -> io::Result<()> {
    let text = format!(
        "bootstrap.servers={}\ncontrol={}\n",
        cluster.bootstrap_servers(),
        control.local_addr()?
    );
    if let Some(file) = file {
        let part = format!("{file}.part");
        std::fs::write(&part, &text)?;
        std::fs::rename(&part, file)?;
    }
    let mut stdout = io::stdout();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

fn serve(cluster: &Cluster, mut stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
    stream.set_write_timeout(Some(REQUEST_TIMEOUT))?;
    let mut request = String::new();
    BufReader::new(stream.take(REQUEST_BYTES_MAX)).read_line(&mut request)?;
    let answer = match answer(cluster, &request) {
        Ok(true) => "created".to_owned(),
        Ok(false) => "exists".to_owned(),
        Err(reason) => format!("error: {reason}"),
    };
    writeln!(stream, "{answer}")
}

fn answer(cluster: &Cluster, request: &str) -> Result<bool, String> {
    let words: Vec<&str> = request.split_whitespace().collect();
    match words.as_slice() {
        ["create", topic, partitions] => {
            let partitions = parse_partitions(partitions)?;
            create(cluster, topic, partitions).map_err(|error| error.to_string())
        }
        _ => Err("expected: create TOPIC PARTITIONS".to_owned()),
    }
}
