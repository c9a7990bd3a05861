//! The client outside the nodes: it writes through the virtual IP and remembers every acknowledged commit.
//!
//! ```no_run
//! use lab::client::{Access, NodeAddress, Writer, WriterConfig, read_rows};
//! use std::time::Duration;
//!
//! let access = Access::new("app").password("app").database("app").namespace("/run/netns/lab-client");
//! let mut config = WriterConfig::new(access.clone(), "10.73.0.100", "/tmp/journal.jsonl");
//! config.nodes = vec![NodeAddress::new("srv1", "10.73.0.11"), NodeAddress::new("srv2", "10.73.0.12")];
//! let writer = Writer::start(config)?;
//! writer.fault_begins("power off srv1");
//! // ... switch it off, wait for the new primary ...
//! let history = writer.stop()?;
//! let report = history.check(&read_rows(&access, "10.73.0.100", Duration::from_secs(10))?);
//! println!("{report}");
//! assert!(report.passed());
//! # Ok::<(), lab::client::ClientError>(())
//! ```

mod access;
mod commits;
mod journal;
mod outcome;
mod probe;
mod reader;
mod session;
mod tables;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::task::JoinSet;

pub use access::{Access, NodeAddress};
pub use reader::{compare_nodes, read_rows};

use crate::history::{Event, History, Mark, MarkKind, Start};
use journal::Journal;

/// How long [`Writer::start`] tries to create its tables.
const SETUP_LIMIT: Duration = Duration::from_secs(30);

/// A writer's configuration.
#[derive(Debug, Clone)]
pub struct WriterConfig {
    /// How to reach any server from the client.
    pub access: Access,
    /// The address that clients use: the virtual IP, or those of all nodes, separated by commas, of which clients use the one
    /// that accepts writes.
    pub host: String,
    /// The nodes by their own addresses: those that are asked again and again whether they accept writes.
    pub nodes: Vec<NodeAddress>,
    /// Where the journal is kept.
    pub journal: PathBuf,
    /// How many clients write side by side.
    pub clients: u16,
    /// How long each client pauses between two commits.
    pub pace: Duration,
    /// How long a client pauses before it connects again.
    pub reconnect_pause: Duration,
    /// How long connecting may take.
    pub connect_limit: Duration,
    /// How long a commit may take before it is called indeterminate. Doubled as long as that goes on, up to eight
    /// times: a server that waits for a standby keeps every connection that was given up.
    pub ack_limit: Duration,
    /// How often each node is asked.
    pub probe_period: Duration,
}

impl WriterConfig {
    /// A writer with the usual pace and limits and without probes.
    pub fn new(access: Access, host: impl Into<String>, journal: impl Into<PathBuf>) -> Self {
        Self {
            access,
            host: host.into(),
            nodes: Vec::new(),
            journal: journal.into(),
            clients: 2,
            // Three servers and the clients share the processors with the cluster under test.
            pace: Duration::from_millis(20),
            reconnect_pause: Duration::from_millis(10),
            connect_limit: Duration::from_secs(1),
            ack_limit: Duration::from_secs(2),
            probe_period: Duration::from_millis(50),
        }
    }
}

/// Why the client could not do its work. A server that refuses or does not answer is not an error: the client
/// records it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The journal cannot be written.
    #[error("cannot write the journal {}", path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The client's network cannot be used.
    #[error("cannot use the network namespace {}", path.display())]
    Namespace {
        /// The namespace's file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// No thread or no event loop.
    #[error("cannot start the client")]
    Thread(#[source] std::io::Error),
    /// A server did not finish a step in time.
    #[error("waited {} s for {what}: {reason}", limit.as_secs_f32())]
    Late {
        /// The step that failed.
        what: String,
        /// How long.
        limit: Duration,
        /// How the last try ended.
        reason: String,
    },
    /// A defect of this program.
    #[error("the client's thread panicked")]
    Panicked,
}

/// Clients that write, and probes that look for a second primary, until [`Writer::stop`].
#[derive(Debug)]
pub struct Writer {
    journal: Journal,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Creates the tables through the virtual IP, and starts to write.
    pub fn start(config: WriterConfig) -> Result<Self, ClientError> {
        let journal = Journal::create(&config.journal)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (started, wait) = mpsc::channel();
        let work = Work { config: Arc::new(config), journal: journal.clone(), stop: Arc::clone(&stop) };
        let thread = thread::Builder::new()
            .name("lab-client".to_owned())
            .spawn(move || {
                let access = work.config.access.clone();
                let result = access::block_on(&access, work.run(&started));
                // The thread that started this one is gone, or has its answer already.
                let _ = result.map_err(|error| started.send(Err(error)));
            })
            .map_err(ClientError::Thread)?;
        let writer = Self { journal, stop, thread: Some(thread) };
        wait.recv().unwrap_or(Err(ClientError::Panicked))?;
        Ok(writer)
    }

    /// Notes in the journal that something was done to the cluster.
    pub fn mark(&self, text: impl Into<String>) {
        self.note(MarkKind::Note, text.into());
    }

    /// Notes in the journal that a fault begins now.
    pub fn fault_begins(&self, text: impl Into<String>) {
        self.note(MarkKind::Begin, text.into());
    }

    /// Notes in the journal that a fault is over.
    pub fn fault_ends(&self, text: impl Into<String>) {
        self.note(MarkKind::End, text.into());
    }

    /// When its record begins, in microseconds since 1970.
    pub fn began(&self) -> u64 {
        self.journal.began()
    }

    /// How many commits have been acknowledged so far: to wait until writing works again.
    pub fn acknowledged(&self) -> usize {
        self.journal.acknowledged()
    }

    /// Lets every client finish its present commit, a few seconds at most, and hands over all that was recorded.
    pub fn stop(mut self) -> Result<History, ClientError> {
        self.finish()?;
        self.journal.finish()
    }

    fn note(&self, kind: MarkKind, text: String) {
        self.journal.record(Event::Mark(Mark { at: self.journal.now(), kind, text }));
    }

    fn finish(&mut self) -> Result<(), ClientError> {
        self.stop.store(true, Ordering::Release);
        self.thread.take().map_or(Ok(()), |thread| thread.join().map_err(|_| ClientError::Panicked))
    }
}

/// A writer that is dropped, because a test failed for instance, stops as well.
impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

/// The state that all clients and probes of one writer share.
#[derive(Debug, Clone)]
struct Work {
    config: Arc<WriterConfig>,
    journal: Journal,
    stop: Arc<AtomicBool>,
}

impl Work {
    async fn run(self, started: &mpsc::Sender<Result<(), ClientError>>) {
        let prepared = tables::prepare(&self.config, &self.stop, SETUP_LIMIT).await.map(|first_client| {
            let start = Start { first_client, clients: self.config.clients };
            self.journal.record(Event::Start(start.clone()));
            start
        });
        let start = match prepared {
            Ok(start) => start,
            Err(error) => {
                let _ = started.send(Err(error));
                return;
            }
        };
        let mut tasks = JoinSet::new();
        for client in start.all_clients() {
            tasks.spawn(commits::write(self.clone(), client));
        }
        for node in &self.config.nodes {
            tasks.spawn(probe::writable(self.clone(), node.clone()));
            tasks.spawn(probe::ackable(self.clone(), node.clone()));
        }
        let _ = started.send(Ok(()));
        while tasks.join_next().await.is_some() {}
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}
