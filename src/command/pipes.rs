//! What a program prints, from the pipes that it prints into.

use std::io::ErrorKind;
use std::process::ExitStatus;
use std::time::Duration;

use super::lines::Lines;

/// The most that is read of what a program prints.
const MOST_OUTPUT: u64 = 8 << 20;

/// Reads what `child` prints, up to a bound, and waits for its end.
pub(super) async fn collect(mut child: tokio::process::Child) -> std::io::Result<std::process::Output> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let (read, more, status) = tokio::join!(read(output, &mut stdout), read(errors, &mut stderr), child.wait());
    read.and(more)?;
    Ok(std::process::Output { status: status?, stdout, stderr })
}

/// Passes on the output of `child` until it has ended, and the rest that is left in the pipes then.
/// `most` lines of each stream are passed on; it is an error if nothing comes for the time of `silence`, or it `is_over`.
pub(super) async fn watch(
    child: &mut tokio::process::Child,
    most: usize,
    silence: Duration,
    on_line: &mut dyn FnMut(&str),
    is_over: &dyn Fn() -> bool,
) -> std::io::Result<ExitStatus> {
    let mut streams = [
        child.stdout.take().map(|pipe| Box::pin(pipe) as Stream),
        child.stderr.take().map(|pipe| Box::pin(pipe) as Stream),
    ];
    let mut lines = [Lines::new(most), Lines::new(most)];
    let mut ended = None;
    loop {
        let [output, errors] = &mut streams;
        let (mut some, mut more) = ([0; 4096], [0; 4096]);
        let (number, read) = tokio::select! {
            // What there is to read comes first.
            biased;
            read = read_some(output, &mut some) => (0, read),
            read = read_some(errors, &mut more) => (1, read),
            status = child.wait(), if ended.is_none() => {
                ended = Some(status?);
                continue;
            }
            // It has ended, and nothing more is there: other processes that hold the pipe are not waited for.
            () = std::future::ready(()), if ended.is_some() => break,
            () = tokio::time::sleep(silence) => return Err(ErrorKind::TimedOut.into()),
        };
        match read {
            0 => streams[number] = None,
            length => lines[number].take(&[some, more][number][..length], on_line),
        }
        if is_over() {
            return Err(ErrorKind::Interrupted.into());
        }
    }
    lines.iter_mut().for_each(|lines| lines.end(on_line));
    ended.ok_or_else(|| std::io::ErrorKind::Other.into())
}

type Stream = std::pin::Pin<Box<dyn tokio::io::AsyncRead>>;

/// How much came; 0 at the end. A stream that has ended never comes again.
async fn read_some(stream: &mut Option<Stream>, bytes: &mut [u8]) -> usize {
    use tokio::io::AsyncReadExt;
    match stream {
        Some(stream) => stream.read(bytes).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}

/// Reads a pipe to its end, and keeps the beginning: a program must not get stuck, nor fail, because its output is not read.
async fn read(pipe: Option<impl tokio::io::AsyncRead + Unpin>, kept: &mut Vec<u8>) -> std::io::Result<()> {
    use tokio::io::AsyncReadExt;
    let Some(mut pipe) = pipe else { return Ok(()) };
    (&mut pipe).take(MOST_OUTPUT).read_to_end(kept).await?;
    tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await.map(drop)
}
