//! Where this process runs, for a person.

/// The host's name for itself and the process id: `db-7, pid 4711`. Of a container, its own.
#[must_use]
pub fn place() -> String {
    let system = rustix::system::uname();
    let host: String = system
        .nodename()
        .to_string_lossy()
        .chars()
        .filter(|letter| !letter.is_control())
        .collect();
    format!("{host}, pid {}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_tells_its_host_and_its_id() {
        let place = place();
        let (host, id) = place.split_once(", pid ").unwrap();
        assert!(!host.is_empty());
        assert_eq!(id, std::process::id().to_string());
    }
}
