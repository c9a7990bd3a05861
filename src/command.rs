//! The only file that starts processes: with which arguments, for how long, and how they ended.

mod error;
pub mod lines;
mod pipes;
mod place;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::env;
use crate::postgres::conninfo::Password;
pub use error::CommandError;
use pipes::{collect, watch};

/// Where programs are looked for: never where the caller's environment says.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// The most lines of a watched program that are passed on, for each of its two outputs.
const MOST_LINES: usize = 50;

/// Longer than any program runs.
const FOREVER: Duration = Duration::from_secs(1 << 32);

/// What the agent is called with to accompany a program: [`accompany`].
pub const ACCOMPANY: &str = "accompany";

/// What the agent is called in a list of processes.
const NAME: &str = "pgsqlms";

/// The agent's own program.
const OURSELVES: &str = "/proc/self/exe";

/// A program, its arguments, and nothing that a shell would have to interpret.
#[derive(Debug, Clone)]
pub struct Invocation {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    password: Option<Password>,
}

/// What a program printed and how it ended.
#[derive(Debug, Clone)]
pub struct Printed {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output, up to a bound.
    pub stdout: String,
    /// Its standard error, up to a bound.
    pub stderr: String,
}

impl Invocation {
    /// `program` without arguments.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: None,
            password: None,
        }
    }

    /// Working in `directory`, so that it is seen to use it.
    pub fn working_in(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// With a password for libpq, which appears on no command line and in no log.
    pub fn password(mut self, password: Option<Password>) -> Self {
        self.password = password;
        self
    }

    /// With one more argument.
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// With one more environment variable; it inherits none.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// With one more argument `--name=value`, so that a value that begins with a dash stays a value.
    pub fn option(self, name: &str, value: impl AsRef<OsStr>) -> Self {
        let mut argument = OsString::from(format!("--{name}="));
        argument.push(value);
        self.arg(argument)
    }

    /// Runs the program to its end, at most for `patience`; what it printed, if it ended with 0.
    ///
    /// # Errors
    ///
    /// See [`CommandError`]: all of them say which program it was.
    pub fn run(&self, runtime: &Runtime, patience: Duration) -> Result<String, CommandError> {
        let Printed { status, stdout, stderr } = self.listen(runtime, patience)?;
        if status.success() {
            return Ok(stdout);
        }
        let message = stderr.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned();
        Err(CommandError::Failed { invocation: self.to_string(), status, message })
    }

    /// Runs the program to its end, at most for `patience`; what it printed, however it ended. One that is given up is killed.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or does not end in time.
    pub fn listen(&self, runtime: &Runtime, patience: Duration) -> Result<Printed, CommandError> {
        let mut command = self.prepared();
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let output = runtime.block_on(async {
            let child = command.spawn().map_err(|source| self.not_started(source))?;
            tokio::time::timeout(patience, collect(child))
                .await
                .map_err(|_| CommandError::TimedOut { invocation: self.to_string(), after: patience })?
                .map_err(|source| self.not_started(source))
        })?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Printed { status: output.status, stdout: text(&output.stdout), stderr: text(&output.stderr) })
    }

    /// Runs the program to its end in a process group of its own, at most for `patience`, with more variables in its
    /// environment; its output is passed on line by line. What it leaves in the background is not waited for.
    ///
    /// # Errors
    ///
    /// See [`CommandError`]. One that has not ended in time is killed with its group.
    pub fn run_watched(
        &self,
        runtime: &Runtime,
        patience: Duration,
        variables: &[(&str, OsString)],
        on_line: &mut dyn FnMut(&str),
    ) -> Result<(), CommandError> {
        let mut command = self.prepared();
        command.envs(variables.iter().map(|(name, value)| (name, value))).current_dir("/");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
        runtime.block_on(async {
            let mut child = command.spawn().map_err(|source| self.not_started(source))?;
            let group = child.id().and_then(|id| i32::try_from(id).ok());
            let watched = watch(&mut child, MOST_LINES, FOREVER, on_line, &|| false);
            let Ok(ended) = tokio::time::timeout(patience, watched).await else {
                // Not reaped yet, so the number is still its own.
                if let Some(group) = group {
                    let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), nix::sys::signal::SIGKILL);
                }
                return Err(CommandError::TimedOut { invocation: self.to_string(), after: patience });
            };
            let status = ended.map_err(|source| self.not_started(source))?;
            let failed = || CommandError::Failed { invocation: self.to_string(), status, message: String::new() };
            if status.success() { Ok(()) } else { Err(failed()) }
        })
    }

    /// Runs the program to its end, however long that takes as long as it says something now and then: each line is passed on, and
    /// what that returns, if anything, is why the program is ended. It and its children do not outlive the caller, however
    /// that ends: see [`accompany`].
    ///
    /// # Errors
    ///
    /// See [`CommandError`]. One that says nothing for the time of `silence`, or is ended, is killed.
    pub fn relay(
        &self,
        runtime: &Runtime,
        silence: Duration,
        on_line: &mut dyn FnMut(&str) -> Option<String>,
    ) -> Result<(), CommandError> {
        let words = [ACCOMPANY.into(), self.program.clone()].into_iter().chain(self.arguments.iter().cloned());
        let mut command = Self { program: OURSELVES.into(), arguments: words.collect(), ..self.clone() }.prepared();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let (ending, last) = (RefCell::new(None), RefCell::new(String::new()));
        let mut on_each = |line: &str| {
            line.clone_into(&mut last.borrow_mut());
            if let Some(why) = on_line(line) {
                ending.replace(Some(why));
            }
        };
        let watched: std::io::Result<Option<ExitStatus>> = runtime.block_on(async {
            let mut child = command.spawn()?;
            let leash = child.stdin.take();
            let is_over = || ending.borrow().is_some();
            let ended = watch(&mut child, usize::MAX, silence, &mut on_each, &is_over).await;
            match ended {
                Ok(status) => Ok(Some(status)),
                Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted) => {
                    drop(leash);
                    child.wait().await?;
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        });
        match (watched.map_err(|source| self.not_started(source))?, ending.into_inner()) {
            (_, Some(why)) => Err(CommandError::Ended { program: self.program.to_string_lossy().into_owned(), why }),
            (None, None) => Err(CommandError::Silent { invocation: self.to_string(), after: silence }),
            (Some(status), None) if status.success() => Ok(()),
            (Some(status), None) => {
                Err(CommandError::Failed { invocation: self.to_string(), status, message: last.into_inner() })
            }
        }
    }

    /// Starts the program with [`env::passed_on`] and more variables in its environment, in a process group of its own, and leaves
    /// it running if it has not ended after `patience`. What it prints is lost.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn let_go(
        &self,
        runtime: &Runtime,
        patience: Duration,
        variables: &[(&str, OsString)],
    ) -> Result<(), CommandError> {
        let mut command = self.prepared();
        command.envs(env::passed_on()).envs(variables.iter().map(|(name, value)| (name, value))).current_dir("/");
        command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        runtime.block_on(async {
            let mut child = command.spawn().map_err(|source| self.not_started(source))?;
            let _ = tokio::time::timeout(patience, child.wait()).await;
            Ok(())
        })
    }

    /// Starts the program and leaves it running, in a process group of its own so that Pacemaker's kill of a timed-out
    /// action does not reach it; its output goes to `log`. It goes on when what is returned is dropped.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn leave_running(&self, log: std::fs::File, directory: &std::path::Path) -> Result<Child, CommandError> {
        let errors = log.try_clone().map_err(|source| self.not_started(source))?;
        let mut command = self.prepared().into_std();
        command.stdout(log).stderr(errors).current_dir(directory);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.spawn().map_err(|source| self.not_started(source))
    }

    /// The agent itself.
    pub fn ourselves(words: &[&str]) -> Self {
        words.iter().fold(Self::new(OURSELVES), |ourselves, word| ourselves.arg(*word))
    }

    /// Starts the program and leaves it running, with nothing of ours: no pipe that Pacemaker waits for, and of the
    /// environment only the variables of [`env::passed_on`], and the parameters of the resource.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn detach(&self) -> Result<(), CommandError> {
        let mut command = self.prepared().into_std();
        command
            .envs(env::passed_on())
            .envs(env::parameters())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/");
        std::os::unix::process::CommandExt::arg0(&mut command, NAME);
        command.spawn().map(drop).map_err(|source| self.not_started(source))
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that starts processes")]
    fn prepared(&self) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.program);
        command
            .args(&self.arguments)
            .stdin(Stdio::null())
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        if let Some(password) = &self.password {
            command.env("PGPASSWORD", password.reveal());
        }
        command
    }

    fn not_started(&self, source: std::io::Error) -> CommandError {
        CommandError::NotStarted { program: self.program.to_string_lossy().into_owned(), source }
    }
}

impl std::fmt::Display for Invocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.program.to_string_lossy())?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {}", argument.to_string_lossy()))
    }
}

/// Runs a program to its end, and ends it when standard input does: the process at the other end of that pipe has died, or
/// wants it so. pg_basebackup has a child that would go on for ever. Leads a process group of which everything goes that is
/// left.
///
/// # Errors
///
/// When it cannot be started.
pub fn accompany(words: &[OsString]) -> std::io::Result<ExitStatus> {
    use std::os::fd::AsFd;
    use tokio::io::AsyncReadExt;
    let (program, arguments) = words.split_first().ok_or(ErrorKind::InvalidInput)?;
    let leash = std::io::stdin().as_fd().try_clone_to_owned()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let status = runtime.block_on(async {
        let mut leash = tokio::net::unix::pipe::Receiver::from_owned_fd(leash)?;
        let mut child = as_we_are(program, arguments).spawn()?;
        tokio::select! {
            status = child.wait() => status.map(Some),
            _ = leash.read_u8() => Ok(None),
        }
    })?;
    let us = nix::unistd::getpid();
    if !status.is_some_and(|status| status.success()) && nix::unistd::getpgrp() == us {
        let _ = nix::sys::signal::killpg(us, nix::sys::signal::SIGKILL);
    }
    status.ok_or(ErrorKind::Interrupted.into())
}

/// A program with our own environment.
#[expect(clippy::disallowed_methods, reason = "the one file that starts processes")]
fn as_we_are(program: &OsStr, arguments: &[OsString]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command
}
