//! Whether the server answers at the socket: the step below a session.
//!
//! A postmaster forks a child for every connection, and that answers a request for encryption before it looks at any catalog
//! (`ProcessStartupPacket` in `backend_startup.c`): also where connections are exhausted, logins are slow or catalogs locked.

use std::io::{Error, ErrorKind};
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Runtime;

use super::Address;
use crate::parameters::Host;

/// SSLRequest: its length, and the number that stands in place of a protocol version.
const REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// How soon a socket is tried again whose queue is full.
const PAUSE: Duration = Duration::from_millis(50);

/// How a socket reacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// A process took the connection and answered anything.
    Answer,
    /// Its queue was full all the time.
    FullQueue,
    /// The connection waits, and no answer came.
    Silence,
    /// There is no socket, or no process listens there.
    NoListener,
}

/// Tries the socket for at most `patience`. Only an address is tried: a name would have to be looked up.
pub fn knock(runtime: &Runtime, at: &Address, patience: Duration) -> Reaction {
    let mut last = Reaction::Silence;
    let tries = async {
        loop {
            match exchange(at).await {
                // Fewer than one byte: the child has ended without an answer, but a postmaster forked it.
                Ok(()) => return Reaction::Answer,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => last = Reaction::FullQueue,
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => return Reaction::Answer,
                    _ => return Reaction::NoListener,
                },
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let ended = runtime.block_on(async { tokio::time::timeout(patience, tries).await });
    ended.unwrap_or(last)
}

async fn exchange(at: &Address) -> Result<(), Error> {
    match &at.host {
        Host::Directory(_) => ask(UnixStream::connect(at.socket_path()).await?).await,
        Host::Name(name) => {
            let address: IpAddr = name.parse().map_err(|_| Error::from(ErrorKind::NotFound))?;
            ask(TcpStream::connect((address, at.port)).await?).await
        }
    }
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), Error> {
    stream.write_all(&REQUEST).await?;
    stream.read(&mut [0; 1]).await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(200);

    fn knocked(directory: &Path) -> Reaction {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        knocked_in(&runtime, directory)
    }

    fn knocked_in(runtime: &Runtime, directory: &Path) -> Reaction {
        knock(runtime, &Address { host: Host::Directory(directory.to_owned()), port: 1 }, PATIENCE)
    }

    #[test]
    fn no_socket_and_a_socket_without_a_listener() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(knocked(directory.path()), Reaction::NoListener);
        drop(UnixListener::bind(directory.path().join(".s.PGSQL.1")).unwrap());
        assert_eq!(knocked(directory.path()), Reaction::NoListener);
    }

    #[test]
    fn a_listener_that_takes_nothing_is_silent_and_then_full() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".s.PGSQL.1");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _within = runtime.enter();
        let socket = tokio::net::UnixSocket::new_stream().unwrap();
        socket.bind(&path).unwrap();
        let _listener = socket.listen(1).unwrap();
        assert_eq!(knocked_in(&runtime, directory.path()), Reaction::Silence);
        let connect = || runtime.block_on(UnixStream::connect(&path)).ok();
        let waiting: Vec<_> = std::iter::from_fn(connect).collect();
        assert!(!waiting.is_empty());
        assert_eq!(knocked_in(&runtime, directory.path()), Reaction::FullQueue);
    }

    #[test]
    fn any_answer_is_one_and_so_is_an_end() {
        for answer in [&b"N"[..], b"E\0\0", b""] {
            let directory = tempfile::tempdir().unwrap();
            let listener = UnixListener::bind(directory.path().join(".s.PGSQL.1")).unwrap();
            let server = std::thread::spawn(move || {
                let (mut client, _) = listener.accept().unwrap();
                let mut request = [0; 8];
                client.read_exact(&mut request).unwrap();
                client.write_all(answer).unwrap();
                request
            });
            assert_eq!(knocked(directory.path()), Reaction::Answer);
            assert_eq!(server.join().unwrap(), REQUEST);
        }
    }
}
