//! A wire between a client and a server that can be cut at the worst moment: just before a COMMIT reaches the server, or after
//! the server has carried it out and before its reply reaches the client.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use super::{OWNER, Postgres};

/// When the wire is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The server never hears of the COMMIT.
    Before,
    /// The server has carried it out, and the client never hears of that.
    After,
}

/// A wire to the socket of a server. It goes on until the test ends.
pub struct Relay {
    port: u16,
    plan: Arc<Plan>,
}

/// What is to be done, and how it stands.
#[derive(Default)]
struct Plan {
    /// How the next COMMIT is cut off, and whether nobody gets through after that.
    next: Mutex<Option<(Cut, bool)>>,
    away: AtomicBool,
}

/// As the client sends it, in a message of its own.
const COMMIT: &[u8] = b"COMMIT\0";

impl Relay {
    /// A wire to this server.
    pub fn to(postgres: &Postgres) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port of loopback is free");
        let port = listener.local_addr().expect("it has a port").port();
        let plan = Arc::new(Plan::default());
        let socket = postgres.socket().join(format!(".s.PGSQL.{}", postgres.port()));
        let followed = Arc::clone(&plan);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let away = followed.away.load(Ordering::SeqCst);
                if let Some(server) = UnixStream::connect(&socket).ok().filter(|_| !away) {
                    join(client, server, Arc::clone(&followed));
                }
            }
        });
        Self { port, plan }
    }

    /// The URL by which the owner reaches a database through it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{OWNER}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// The next COMMIT is cut off so; with `for_good`, nobody gets through after that until [`Relay::mend`].
    pub fn cut(&self, cut: Cut, for_good: bool) {
        *self.plan.next.lock().unwrap() = Some((cut, for_good));
    }

    /// Connections get through again.
    pub fn mend(&self) {
        self.plan.away.store(false, Ordering::SeqCst);
    }

    /// True when what was to be cut off was.
    pub fn has_cut(&self) -> bool {
        self.plan.next.lock().unwrap().is_none()
    }
}

fn join(client: TcpStream, server: UnixStream, plan: Arc<Plan>) {
    let silent = Arc::new(AtomicBool::new(false));
    let (mut from_client, mut to_client) = (client.try_clone().unwrap(), client);
    let (mut from_server, mut to_server) = (server.try_clone().unwrap(), server);
    let falls_silent = Arc::clone(&silent);
    thread::spawn(move || {
        let mut block = vec![0; 1 << 16];
        while let Ok(length @ 1..) = from_client.read(&mut block) {
            let sent = &block[..length];
            if memchr::memmem::find(sent, COMMIT).is_some() {
                let cut = plan.next.lock().unwrap().take();
                if let Some((_, for_good)) = cut {
                    plan.away.store(for_good, Ordering::SeqCst);
                }
                match cut {
                    Some((Cut::Before, _)) => break,
                    Some((Cut::After, _)) => falls_silent.store(true, Ordering::SeqCst),
                    None => {}
                }
            }
            if to_server.write_all(sent).is_err() {
                break;
            }
        }
        let _ = to_server.shutdown(Shutdown::Both);
        let _ = from_client.shutdown(Shutdown::Both);
    });
    thread::spawn(move || {
        let mut block = vec![0; 1 << 16];
        while let Ok(length @ 1..) = from_server.read(&mut block) {
            if silent.load(Ordering::SeqCst) || to_client.write_all(&block[..length]).is_err() {
                break;
            }
        }
        let _ = to_client.shutdown(Shutdown::Both);
        let _ = from_server.shutdown(Shutdown::Both);
    });
}
