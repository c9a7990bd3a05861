//! The only place that starts programs: with a deadline, and with everything they said kept for the error message.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::clock::Deadline;
use crate::interrupt;

/// How long a program may take unless a limit is given.
const DEFAULT_LIMIT: Duration = Duration::from_secs(30);

/// After a program has ended, its left-behind children may hold its pipes open this long.
const PIPE_GRACE: Duration = Duration::from_millis(200);

/// A program's output and exit code.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command line, for messages.
    pub command: String,
    /// Exit code, or 128 plus the signal that ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Whether the exit code was 0.
    pub fn success(&self) -> bool {
        self.code == 0
    }

    /// Standard output when the exit code was 0, an error with the last lines otherwise.
    pub fn ok(self) -> Result<String> {
        if self.success() {
            return Ok(self.stdout);
        }
        bail!("`{}` exited with {}{}", self.command, self.code, self.last_words())
    }

    /// The last lines it said, to append to a message.
    fn last_words(&self) -> String {
        let said = format!("{}\n{}", self.stdout, self.stderr);
        let lines: Vec<&str> = said.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        match lines.len() {
            0 => " and said nothing".into(),
            count => format!(": {}", lines[count.saturating_sub(8)..].join("\n    ")),
        }
    }
}

/// A program to run.
#[derive(Debug, Clone)]
pub struct Command {
    argv: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    input: Vec<u8>,
    limit: Duration,
    title: Option<String>,
}

impl Command {
    /// A program and its arguments.
    pub fn new<S: AsRef<OsStr>>(argv: impl IntoIterator<Item = S>) -> Self {
        let argv = argv.into_iter().map(|word| word.as_ref().to_owned()).collect();
        Self { argv, env: Vec::new(), input: Vec::new(), limit: DEFAULT_LIMIT, title: None }
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Its standard input.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// How long it may take.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Its name in messages, instead of its command line.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Runs it; any exit code is fine.
    pub fn output(&self) -> Result<Output> {
        self.watch(|_| {})
    }

    /// Runs it and wants exit code 0; returns its output.
    pub fn run(&self) -> Result<String> {
        self.output()?.ok()
    }

    /// Runs it, showing each line of its standard output to `watcher` as it comes.
    pub fn watch(&self, mut watcher: impl FnMut(&str)) -> Result<Output> {
        let mut child = self
            .std_command()?
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{}`", self.name()))?;
        let group = Pid::from_raw(child.id() as i32);
        let (sender, events) = mpsc::channel();
        feed(&mut child, self.input.clone());
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let stdout = Arc::new(Mutex::new(Vec::new()));
        collect(child.stdout.take(), Arc::clone(&stdout), sender.clone(), true);
        collect(child.stderr.take(), Arc::clone(&stderr), sender.clone(), false);
        thread::spawn(move || sender.send(Event::Ended(child.wait())));

        let ended = self.wait(&events, &mut watcher);
        interrupt::hold();
        if ended.is_err() {
            // Already gone is fine.
            let _ = killpg(group, Signal::SIGKILL);
        }
        let text = |bytes: &Mutex<Vec<u8>>| {
            String::from_utf8_lossy(&bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
        };
        let mut output = Output { command: self.name(), code: 0, stdout: text(&stdout), stderr: text(&stderr) };
        match ended {
            Ok(status) => {
                output.code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
                Ok(output)
            }
            Err(error) => Err(error.context(format!("`{}` failed{}", self.name(), output.last_words()))),
        }
    }

    /// Starts it with its output in a file and does not wait. It outlives this process.
    pub fn spawn_detached(&self, log: File) -> Result<()> {
        let mut detached = self.clone();
        detached.argv.insert(0, "setsid".into());
        let mut child = detached
            .std_command()?
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot share the log file")?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start `{}`", self.name()))?;
        // Its exit status does not matter, but it must be reaped.
        thread::spawn(move || child.wait());
        Ok(())
    }

    /// Runs it on the caller's own terminal and gives its exit code.
    pub fn interactive(&self) -> Result<i32> {
        let status = self.std_command()?.status().with_context(|| format!("cannot start `{}`", self.name()))?;
        Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()))
    }

    fn wait(&self, events: &Receiver<Event>, watcher: &mut impl FnMut(&str)) -> Result<ExitStatus> {
        let mut deadline = Deadline::after(self.limit);
        let mut ended = None;
        let mut open_pipes = 2;
        while ended.is_none() || open_pipes > 0 {
            match events.recv_timeout(deadline.left()) {
                Ok(Event::Line(line)) => watcher(&line),
                Ok(Event::Closed) => open_pipes -= 1,
                Ok(Event::Ended(status)) => {
                    ended = Some(status?);
                    deadline = Deadline::after(PIPE_GRACE);
                }
                Err(RecvTimeoutError::Timeout) if ended.is_some() => break,
                Err(RecvTimeoutError::Timeout) => bail!("it did not end within {} s", self.limit.as_secs_f32()),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        ended.ok_or_else(|| anyhow!("its exit status is not known"))
    }

    fn std_command(&self) -> Result<std::process::Command> {
        interrupt::hold();
        let (program, arguments) = self.argv.split_first().context("no program given")?;
        #[expect(clippy::disallowed_methods, reason = "this is the place")]
        let mut command = std::process::Command::new(program);
        command.args(arguments).envs(self.env.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    fn name(&self) -> String {
        let words = || self.argv.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        self.title.clone().unwrap_or_else(words)
    }
}

enum Event {
    Line(String),
    Closed,
    Ended(std::io::Result<ExitStatus>),
}

fn feed(child: &mut Child, input: Vec<u8>) {
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input is not an error.
        thread::spawn(move || stdin.write_all(&input));
    }
}

fn collect<R: Read + Send + 'static>(pipe: Option<R>, into: Arc<Mutex<Vec<u8>>>, events: Sender<Event>, lines: bool) {
    thread::spawn(move || {
        let mut line = Vec::new();
        let mut chunk = [0; 8192];
        let mut pipe = pipe;
        while let Some(count) = pipe.as_mut().and_then(|pipe| pipe.read(&mut chunk).ok()).filter(|count| *count > 0) {
            into.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&chunk[..count]);
            for byte in chunk[..count].iter().filter(|_| lines) {
                if *byte == b'\n' {
                    let _ = events.send(Event::Line(String::from_utf8_lossy(&line).into_owned()));
                    line.clear();
                } else {
                    line.push(*byte);
                }
            }
        }
        events.send(Event::Closed)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_exit_code_and_the_last_lines() {
        let error = Command::new(["sh", "-c", "echo nice try >&2; exit 3"]).run().unwrap_err();
        assert_eq!(error.to_string(), "`sh -c echo nice try >&2; exit 3` exited with 3: nice try");
    }

    #[test]
    fn gives_up_at_its_limit() {
        let error = Command::new(["sleep", "60"]).limit(Duration::from_millis(50)).output().unwrap_err();
        assert!(format!("{error:#}").contains("did not end within 0.05 s"), "{error:#}");
    }

    #[test]
    fn does_not_wait_for_children_that_keep_the_pipes() {
        let output = Command::new(["sh", "-c", "sleep 60 & echo done"]).limit(Duration::from_secs(10)).output();
        assert_eq!(output.unwrap().stdout, "done\n");
    }

    #[test]
    fn a_command_gets_its_input() {
        assert_eq!(Command::new(["cat"]).input("hello").run().unwrap(), "hello");
    }
}
