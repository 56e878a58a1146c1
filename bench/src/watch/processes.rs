//! Which processes do AXS's work, and for whom PostgreSQL's backends do theirs.

use anyhow::{Context, Result};
use axs_tests::deployment::Deployment;
use sqlx::PgPool;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::env;
use std::fs;

/// Whose CPU it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The API processes.
    Api,
    /// The consumers.
    Consumer,
    /// PostgreSQL's backends of the API processes.
    PostgresForApi,
    /// PostgreSQL's backends of the consumers.
    PostgresForConsumer,
    /// PostgreSQL's own processes, and its backends of the bench.
    PostgresItself,
    /// Kafka.
    Kafka,
    /// Redis.
    Redis,
    /// The bench: the load, and the watching.
    Bench,
    /// Everything else on the machine.
    Others,
}

impl Role {
    /// As tables name it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Api => "grpc",
            Self::Consumer => "consumer",
            Self::PostgresForApi => "postgres for grpc",
            Self::PostgresForConsumer => "postgres for consumer",
            Self::PostgresItself => "postgres itself",
            Self::Kafka => "kafka",
            Self::Redis => "redis",
            Self::Bench => "load and bench",
            Self::Others => "others on the machine",
        }
    }
}

/// The processes whose CPU is read, by their id.
#[derive(Debug, Clone, Default)]
pub struct Processes {
    fixed: BTreeMap<u32, Role>,
    postmaster: Option<u32>,
    backends: HashMap<u32, Role>,
}

impl Processes {
    /// Those of a deployment, of its servers and of the bench. Servers that are not private ones of
    /// `make up` can't be told apart from the rest of the machine.
    ///
    /// # Errors
    /// A pid file can't be read.
    pub fn of(deployment: &Deployment) -> Result<Self> {
        let mut fixed = BTreeMap::new();
        fixed.insert(std::process::id(), Role::Bench);
        for api in &deployment.apis {
            fixed.insert(api.process.pid(), Role::Api);
        }
        for consumer in &deployment.consumers {
            fixed.insert(consumer.pid(), Role::Consumer);
        }
        if let Some(pid) = pid_of("AXS_TEST_KAFKA_PID_FILE")? {
            fixed.insert(pid, Role::Kafka);
        }
        if let Some(pid) = pid_of("AXS_TEST_REDIS_PID_FILE")? {
            fixed.insert(pid, Role::Redis);
        }
        Ok(Self {
            fixed,
            postmaster: pid_of("AXS_TEST_POSTGRES_PID_FILE")?,
            backends: HashMap::new(),
        })
    }

    /// Every process by now, with the role of each.
    ///
    /// # Errors
    /// PostgreSQL can't say whose a new backend is.
    pub async fn look(&mut self, pool: &PgPool) -> Result<Vec<(u32, Role)>> {
        let mut all: Vec<(u32, Role)> =
            self.fixed.iter().map(|(pid, role)| (*pid, *role)).collect();
        let Some(postmaster) = self.postmaster else {
            return Ok(all);
        };
        all.push((postmaster, Role::PostgresItself));
        let path = format!("/proc/{postmaster}/task/{postmaster}/children");
        let children = fs::read_to_string(path).unwrap_or_default();
        let children: Vec<u32> = children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect();
        if children.iter().any(|pid| !self.backends.contains_key(pid)) {
            self.place(pool, &children).await?;
        }
        all.extend(children.iter().map(|pid| {
            let role = self.backends.get(pid);
            (*pid, role.copied().unwrap_or(Role::PostgresItself))
        }));
        Ok(all)
    }

    /// Finds out whose the new backends are: by the port that their client has.
    async fn place(&mut self, pool: &PgPool, children: &[u32]) -> Result<()> {
        let clients: Vec<(i32, i32)> =
            sqlx::query_as("SELECT pid, client_port FROM pg_stat_activity WHERE client_port > 0")
                .fetch_all(pool)
                .await?;
        let ports = owners_of_ports(self.fixed.keys().copied());
        for (pid, port) in clients {
            let owner = u16::try_from(port).ok().and_then(|port| ports.get(&port));
            let role = match owner.and_then(|owner| self.fixed.get(owner)) {
                Some(Role::Api) => Role::PostgresForApi,
                Some(Role::Consumer) => Role::PostgresForConsumer,
                _ => Role::PostgresItself,
            };
            self.backends.insert(u32::try_from(pid)?, role);
        }
        for pid in children {
            self.backends.entry(*pid).or_insert(Role::PostgresItself);
        }
        Ok(())
    }
}

/// The id that a server's script has recorded.
fn pid_of(variable: &str) -> Result<Option<u32>> {
    let Some(path) = env::var_os(variable) else {
        return Ok(None);
    };
    let text =
        fs::read_to_string(&path).with_context(|| format!("{variable}: {}", path.display()))?;
    Ok(text.lines().next().and_then(|pid| pid.trim().parse().ok()))
}

/// Local TCP ports of these processes' connections.
fn owners_of_ports(pids: impl Iterator<Item = u32>) -> HashMap<u16, u32> {
    let mut ports_by_inode: HashMap<u64, u16> = HashMap::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = fs::read_to_string(table).unwrap_or_default();
        ports_by_inode.extend(text.lines().skip(1).filter_map(port_and_inode));
    }
    let mut owners = HashMap::new();
    for pid in pids {
        owners.extend(sockets(pid).into_iter().filter_map(|inode| {
            let port = ports_by_inode.get(&inode)?;
            Some((*port, pid))
        }));
    }
    owners
}

/// A line of `/proc/net/tcp`: the local address is its second field, the inode its tenth.
fn port_and_inode(line: &str) -> Option<(u64, u16)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (_, port) = fields.get(1)?.rsplit_once(':')?;
    let inode = fields.get(9)?.parse().ok()?;
    Some((inode, u16::from_str_radix(port, 16).ok()?))
}

fn sockets(pid: u32) -> HashSet<u64> {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return HashSet::new();
    };
    descriptors
        .filter_map(|entry| {
            let target = fs::read_link(entry.ok()?.path()).ok()?;
            let target = target.to_str()?;
            let inode = target.strip_prefix("socket:[")?.strip_suffix(']')?;
            inode.parse().ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{owners_of_ports, port_and_inode};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_line_of_the_kernels_table_is_read() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 31337 1 0 100 0 0 10 0";
        assert_eq!(port_and_inode(line), Some((31_337, 8_080)));
    }

    #[test]
    fn a_connections_port_belongs_to_the_process_that_made_it() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let stream = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let port = stream.local_addr().expect("connected").port();
        let owners = owners_of_ports([std::process::id()].into_iter());
        assert_eq!(owners.get(&port), Some(&std::process::id()));
    }
}
