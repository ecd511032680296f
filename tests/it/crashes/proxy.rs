//! Between a client and PostgreSQL: everything goes through as it is, until a COMMIT that is cut off before the server hears
//! of it, or after the server has done it and before the client hears of that.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
};

/// What is cut off, by the number of the COMMIT among all that go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Never,
    /// The server never hears of it.
    Before(u32),
    /// The client never hears that it is done.
    After(u32),
}

/// A proxy at a socket of its own. It takes connections until the test's process ends.
pub struct Proxy {
    folder: tempfile::TempDir,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    cut: Cut,
    commits: AtomicU32,
    has_cut: AtomicBool,
}

impl Proxy {
    /// Before the server whose socket lies in `folder`.
    pub fn before(folder: &Path, port: u16, cut: Cut) -> Self {
        let own = tempfile::Builder::new().prefix("px").tempdir().unwrap();
        let name = format!(".s.PGSQL.{port}");
        let (listener, server) = (UnixListener::bind(own.path().join(&name)).unwrap(), folder.join(name));
        let state = Arc::new(State { cut, commits: AtomicU32::new(0), has_cut: AtomicBool::new(false) });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, UnixStream::connect(&server)) else { return };
                connect(client, server, &shared);
            }
        });
        Self { folder: own, state }
    }

    /// Where its socket lies.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// So many COMMITs have gone by.
    pub fn commits(&self) -> u32 {
        self.state.commits.load(Ordering::SeqCst)
    }

    /// True when it has cut a connection.
    pub fn has_cut(&self) -> bool {
        self.state.has_cut.load(Ordering::SeqCst)
    }
}

/// Carries both ways, each on a thread of its own.
fn connect(client: UnixStream, server: UnixStream, state: &Arc<State>) {
    // What the server says from then on is for nobody.
    let muted = Arc::new(AtomicBool::new(false));
    let back = (server.try_clone().unwrap(), client.try_clone().unwrap(), Arc::clone(&muted));
    thread::spawn(move || {
        let (mut from, mut to, muted) = back;
        let mut bytes = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            if muted.load(Ordering::SeqCst) {
                // It has answered: the COMMIT is done.
                break;
            }
            if to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    });
    let state = Arc::clone(state);
    thread::spawn(move || {
        let _ = forth(&client, &server, &state, &muted);
        if !muted.load(Ordering::SeqCst) {
            let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
        }
    });
}

/// Carries the client's messages: a first one without a type, then each with a type and its length.
fn forth(
    mut client: &UnixStream,
    mut server: &UnixStream,
    state: &State,
    muted: &AtomicBool,
) -> io::Result<()> {
    let mut length = [0; 4];
    client.read_exact(&mut length)?;
    let mut first = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap() - 4];
    client.read_exact(&mut first)?;
    server.write_all(&[&length[..], &first].concat())?;
    loop {
        let mut head = [0; 5];
        client.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let mut body = vec![0; usize::try_from(length).unwrap() - 4];
        client.read_exact(&mut body)?;
        let message = [&head[..], &body].concat();
        let is_commit = head[0] == b'Q' && body.to_ascii_uppercase().starts_with(b"COMMIT");
        if is_commit {
            let nth = state.commits.fetch_add(1, Ordering::SeqCst) + 1;
            if state.cut == Cut::Before(nth) {
                state.has_cut.store(true, Ordering::SeqCst);
                return Ok(());
            }
            if state.cut == Cut::After(nth) {
                state.has_cut.store(true, Ordering::SeqCst);
                muted.store(true, Ordering::SeqCst);
                server.write_all(&message)?;
                return Ok(());
            }
        }
        server.write_all(&message)?;
    }
}
