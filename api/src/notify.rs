//! Tells the service manager how the daemon stands: `sd_notify`'s protocol, for units of `Type=notify`. Started by
//! anything else it says nothing.

use std::ffi::OsStr;
use std::io;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It serves.
    Ready,
    /// It ends, after what is under way.
    Stopping,
}

impl State {
    const fn text(self) -> &'static str {
        match self {
            Self::Ready => "READY=1\nSTATUS=serving",
            Self::Stopping => "STOPPING=1\nSTATUS=requests under way end, then everything is made durable",
        }
    }
}

/// Tells it, if somebody wants to know. That it does not arrive is the manager's loss, and no reason not to serve.
pub fn tell(state: State) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&socket, state.text()) {
        tracing::warn!(%error, socket = %socket.display(), "the service manager could not be told");
    }
}

fn send(socket: &OsStr, text: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        // A name that is in no directory: systemd writes its zero byte as `@`.
        [b'@', name @ ..] => abstract_address(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &address).map(drop)
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_is_told_wherever_it_listens() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let mut heard = [0; 64];
        let listening = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str(), State::Ready.text()).unwrap();
        let length = listening.recv(&mut heard).unwrap();
        assert!(heard[..length].starts_with(b"READY=1\n"));

        #[cfg(target_os = "linux")]
        {
            let name = format!("chancery-notify-{}", std::process::id());
            let listening = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
            send(OsStr::new(&format!("@{name}")), State::Stopping.text()).unwrap();
            let length = listening.recv(&mut heard).unwrap();
            assert!(heard[..length].starts_with(b"STOPPING=1\n"));
        }
        assert!(send(dir.path().join("nobody").as_os_str(), "READY=1").is_err());
    }
}
