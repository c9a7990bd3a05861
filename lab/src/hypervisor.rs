//! Switches nodes off and on for the fence agent, and remembers every fencing.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::layout::Layout;
use crate::node::Node;
use crate::state::State;

/// A client that asks nothing for this long is forgotten.
const QUESTION_LIMIT: Duration = Duration::from_secs(5);

/// How long a machine that the cluster has switched on takes before it boots. One that were back at once would hear of its own
/// fencing, and Pacemaker would shut down there and stay down ("We were allegedly just fenced").
const FIRMWARE: Duration = Duration::from_secs(5);

/// One node was fenced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fencing {
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// Which node.
    pub node: String,
    /// The cluster's request: `off` or `reboot`.
    pub action: String,
    /// Whether the node had power; if not, the cluster only made sure.
    pub was_on: bool,
}

/// All fencings of a lab, the oldest first.
pub fn fencings(layout: &Layout) -> Result<Vec<Fencing>> {
    let path = layout.fencing_log();
    let Ok(text) = fs::read_to_string(&path) else { return Ok(Vec::new()) };
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().with_context(|| format!("cannot understand {}", path.display()))
}

/// A running hypervisor; it ends when this is dropped.
#[derive(Debug)]
pub struct Hypervisor {
    layout: Layout,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Hypervisor {
    /// Starts one in a thread.
    pub fn start(layout: &Layout, state: &State) -> Result<Self> {
        let listener = listen(layout)?;
        let stop = Arc::new(AtomicBool::new(false));
        let server = Server { layout: layout.clone(), state: state.clone() };
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || server.serve(&listener, &stopped));
        Ok(Self { layout: layout.clone(), stop, thread: Some(thread) })
    }
}

impl Drop for Hypervisor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes it up.
        let awake = UnixStream::connect(self.layout.hypervisor_socket());
        if let (Ok(_), Some(thread)) = (awake, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

/// Is the hypervisor of a lab for as long as this process lives.
pub fn run(layout: &Layout) -> Result<()> {
    let state = State::load(layout)?.with_context(|| format!("there is no lab `{}`", layout.name()))?;
    let listener = listen(layout)?;
    Server { layout: layout.clone(), state }.serve(&listener, &AtomicBool::new(false));
    Ok(())
}

/// Whether a lab's hypervisor answers.
pub fn answers(layout: &Layout) -> bool {
    let Ok(mut stream) = UnixStream::connect(layout.hypervisor_socket()) else { return false };
    let mut answer = String::new();
    stream.write_all(b"monitor\n").is_ok() && BufReader::new(stream).read_line(&mut answer).is_ok() && answer == "ok\n"
}

fn listen(layout: &Layout) -> Result<UnixListener> {
    let socket = layout.hypervisor_socket();
    // Left over from one that was killed.
    let _ = fs::remove_file(&socket);
    UnixListener::bind(&socket).with_context(|| format!("cannot listen on {}", socket.display()))
}

#[derive(Debug, Clone)]
struct Server {
    layout: Layout,
    state: State,
}

impl Server {
    fn serve(&self, listener: &UnixListener, stop: &AtomicBool) {
        for stream in listener.incoming().flatten() {
            if stop.load(Ordering::Acquire) {
                return;
            }
            let server = self.clone();
            thread::spawn(move || server.answer(stream));
        }
    }

    fn answer(&self, stream: UnixStream) -> Result<()> {
        stream.set_read_timeout(Some(QUESTION_LIMIT))?;
        let mut question = String::new();
        BufReader::new(&stream).read_line(&mut question)?;
        let answer = match self.act(question.trim()) {
            Ok(rest) if rest.is_empty() => "ok\n".to_owned(),
            Ok(rest) => format!("ok {rest}\n"),
            Err(error) => format!("error {}\n", format!("{error:#}").replace('\n', "; ")),
        };
        (&stream).write_all(answer.as_bytes())?;
        Ok(())
    }

    /// Runs the fence agent's request. Returns the answer after `ok`.
    fn act(&self, question: &str) -> Result<String> {
        let (action, name) = question.split_once(' ').unwrap_or((question, ""));
        match action {
            "monitor" => Ok(String::new()),
            "list" => Ok((1..=self.state.nodes).map(Layout::node_name).collect::<Vec<_>>().join(" ")),
            "status" => Ok(if self.node(name)?.is_on() { "on" } else { "off" }.into()),
            "off" | "reboot" => self.fence(&self.node(name)?, action),
            "on" => {
                let node = self.node(name)?;
                if node.is_unplugged() {
                    bail!("its plug is pulled");
                }
                node.give_power(FIRMWARE).map(|()| String::new())
            }
            _ => bail!("unknown action"),
        }
    }

    fn fence(&self, node: &Node, action: &str) -> Result<String> {
        let fencing =
            Fencing { at: clock::unix_millis(), node: node.name().into(), action: action.into(), was_on: node.is_on() };
        node.cut_power()?;
        self.record(&fencing)?;
        if action == "reboot" && !self.state.fenced_stay_off && !node.is_unplugged() {
            node.give_power(FIRMWARE)?;
        }
        Ok(String::new())
    }

    fn record(&self, fencing: &Fencing) -> Result<()> {
        let path = self.layout.fencing_log();
        let mut log = File::options().create(true).append(true).open(&path)?;
        let line = format!("{}\n", serde_json::to_string(fencing)?);
        log.write_all(line.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
    }

    fn node(&self, name: &str) -> Result<Node> {
        let number = (1..=self.state.nodes).find(|number| Layout::node_name(*number) == name);
        let number = number.with_context(|| format!("there is no node `{name}`"))?;
        Ok(Node::new(&self.layout, number, self.state.postgres))
    }
}
