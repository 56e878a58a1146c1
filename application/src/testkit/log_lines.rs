//! The log lines that a test's thread writes.

use std::io;
use std::sync::{Arc, Mutex};
use tracing::subscriber::DefaultGuard;

/// Takes this thread's lines for as long as it lives.
pub(crate) struct LogLines {
    written: Written,
    _taking: DefaultGuard,
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LogLines {
    pub(crate) fn take() -> Self {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone())
            .finish();
        Self {
            written,
            _taking: tracing::subscriber::set_default(subscriber),
        }
    }

    /// The lines so far that hold all of these words.
    pub(crate) fn with(&self, words: &[&str]) -> Vec<String> {
        let written = self.written.0.lock().unwrap();
        let text = String::from_utf8_lossy(&written);
        let holds = |line: &&str| words.iter().all(|word| line.contains(word));
        text.lines().filter(holds).map(str::to_owned).collect()
    }
}
