//! A file system whose server stops answering, as NFS or a FUSE file system does when its backend is gone.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::stage::Stage;
use crate::throwaway::eventually;

/// The limit of each hang: a wrong test must end, too, and so must other programs that read all processes of the machine.
const LONGEST: Duration = Duration::from_secs(12);

/// Requests and the answer to those that are not known (`linux/fuse.h`).
const INIT: u32 = 26;
const GETATTR: u32 = 3;
const ENOSYS: i32 = -38;

/// Another server works on a file system that hangs.
pub(super) fn foreign_server(stage: &mut Stage) {
    let place = stage.directory.path().join(crate::throwaway::HANGS);
    let program = stage.directory.path().join("postgres");
    std::fs::create_dir(&place).unwrap();
    std::fs::copy("/bin/sleep", &program).unwrap();
    let answers = Arc::new(AtomicBool::new(true));
    serve(&place, Arc::clone(&answers));
    let mut server = Command::new(&program);
    stage.hold(server.arg("600").current_dir(&place).stdout(Stdio::null()));
    let cwd = format!("/proc/{}/cwd", stage.last_held());
    eventually("the other server", || std::fs::read_link(&cwd).is_ok_and(|cwd| cwd == place));
    answers.store(false, Ordering::Relaxed);
    stage.undo.push(Box::new(move |_| umount2(&place, MntFlags::MNT_FORCE | MntFlags::MNT_DETACH).unwrap()));
}

/// Mounts a file system with nothing in it, and answers for it as long as it is to.
fn serve(place: &Path, answers: Arc<AtomicBool>) {
    let mut device = File::options().read(true).write(true).open("/dev/fuse").unwrap();
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
    mount(Some("hanging"), place, Some("fuse"), MsFlags::empty(), Some(options.as_str())).unwrap();
    let began = Instant::now();
    std::thread::spawn(move || {
        let mut request = vec![0; 1 << 17];
        while began.elapsed() < LONGEST {
            let mut ready = [PollFd::new(device.as_fd(), PollFlags::POLLIN)];
            if poll(&mut ready, PollTimeout::from(100_u8)) != Ok(1) || !answers.load(Ordering::Relaxed) {
                continue;
            }
            let Ok(length) = device.read(&mut request) else { return };
            let _ = device.write_all(&answer(&request[..length]));
        }
    });
}

fn answer(request: &[u8]) -> Vec<u8> {
    let operation = u32::from_ne_bytes(request[4..8].try_into().unwrap());
    let (error, body) = match operation {
        INIT => {
            let mut body = vec![0; 64];
            body[..8].copy_from_slice(&[7_u32.to_ne_bytes(), 31_u32.to_ne_bytes()].concat());
            body[20..24].copy_from_slice(&4096_u32.to_ne_bytes());
            (0, body)
        }
        GETATTR => {
            let mut body = vec![0; 104];
            body[16] = 1;
            body[76..80].copy_from_slice(&0o40755_u32.to_ne_bytes());
            body[80..84].copy_from_slice(&2_u32.to_ne_bytes());
            (0, body)
        }
        _ => (ENOSYS, Vec::new()),
    };
    let length = u32::try_from(16 + body.len()).unwrap();
    [&length.to_ne_bytes()[..], &i32::to_ne_bytes(error), &request[8..16], &body].concat()
}
