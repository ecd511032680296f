//! The thread of a connection: everything that is asynchronous happens on it, so that whoever uses the connection can do so from
//! any thread, also from one that drives a runtime of its own.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, mpsc},
    task::{Context, Poll, Wake, Waker},
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

use futures_util::future::{Either, select};
use tokio::{runtime::Builder, sync::oneshot, time::timeout};
use tokio_postgres::{Client, Config, NoTls, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::errors::Failure;

/// What the caller waits longer than the thread itself does, which knows more of what was waited for.
const MARGIN: Duration = Duration::from_secs(5);

/// A thread that moves what goes over a connection, until this is dropped: then the connection is closed.
pub(super) struct Driving {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Driving {
    /// Connects within a time.
    pub(super) fn begin(
        config: Config,
        tls: MakeRustlsConnect,
        patience: Duration,
    ) -> Result<(Client, Self), Failure> {
        let (end, ended) = oneshot::channel();
        let (connected, answer) = mpsc::sync_channel(1);
        let drive = move || drive(&config, tls, patience, &connected, ended);
        let thread =
            thread::Builder::new().name("postgres".to_owned()).spawn(drive).map_err(Failure::Machine)?;
        let driving = Self { end: Some(end), thread: Some(thread) };
        // Looking up a name may hold the thread up for longer than it waits.
        match answer.recv_timeout(patience + MARGIN) {
            Ok(connected) => connected.map(|client| (client, driving)),
            Err(_) => {
                driving.leave();
                Err(Failure::Silent)
            }
        }
    }

    /// The thread ends by itself when it can.
    fn leave(mut self) {
        self.thread = None;
    }
}

impl Drop for Driving {
    /// The connection is closed when this returns.
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The work of the thread.
fn drive(
    config: &Config,
    tls: MakeRustlsConnect,
    patience: Duration,
    connected: &mpsc::SyncSender<Result<Client, Failure>>,
    ended: oneshot::Receiver<()>,
) {
    let runtime = match Builder::new_current_thread().enable_io().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = connected.send(Err(Failure::Machine(error)));
            return;
        }
    };
    runtime.block_on(async {
        let connecting = async {
            Ok(if config.get_ssl_mode() == SslMode::Disable {
                let (client, connection) = config.connect(NoTls).await?;
                (client, Either::Left(connection))
            } else {
                let (client, connection) = config.connect(tls).await?;
                (client, Either::Right(connection))
            })
        };
        match timeout(patience, connecting).await.unwrap_or(Err(Failure::Silent)) {
            Ok((client, connection)) => {
                if connected.send(Ok(client)).is_ok() {
                    select(pin!(connection), ended).await;
                }
            }
            Err(failure) => {
                let _ = connected.send(Err(failure));
            }
        }
    });
    // A name server may not answer at all.
    runtime.shutdown_background();
}

/// Wakes the thread that waits.
struct Waiting(Thread);

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread for what another one brings about; none when that takes too long.
pub(super) fn wait<T>(answer: impl Future<Output = T>, patience: Duration) -> Option<T> {
    let mut answer = pin!(answer);
    let waker = Waker::from(Arc::new(Waiting(thread::current())));
    let began = Instant::now();
    loop {
        if let Poll::Ready(answer) = answer.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(answer);
        }
        let left = patience.checked_sub(began.elapsed()).filter(|left| !left.is_zero())?;
        thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_possible_on_a_thread_that_drives_a_runtime() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let (answer, answered) = oneshot::channel();
        let other = thread::spawn(move || answer.send(7));
        let got = runtime.block_on(async { wait(answered, Duration::from_secs(600)) });
        assert_eq!(got, Some(Ok(7)));
        other.join().unwrap().unwrap();
    }

    #[test]
    fn what_never_comes_is_given_up() {
        assert_eq!(wait(std::future::pending::<()>(), Duration::from_millis(1)), None);
    }
}
