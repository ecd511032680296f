//! Engines of a site, one after the other, until somebody says stop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};

use super::{FIRST_PAUSE, Ran, RunOptions};
use crate::{
    exchange::{DeliveryReport, Engine, EngineError, ask, backoff, clock::Clock},
    mapping::Site,
    wire::WireError,
};

/// Runs engines of a site, one after the other when the ledger or the store had a passing fault, until it is told to stop
/// by SIGTERM or SIGINT; a second signal ends the process at once, which does no harm.
///
/// # Errors
/// When the site cannot be worked on, or fails in a way that does not pass.
pub fn serve(
    site: &Site,
    options: RunOptions,
    clock: impl Fn() -> Box<dyn Clock>,
    ended: &mut (dyn FnMut(DeliveryReport) + Send),
) -> Result<Ran, EngineError> {
    let cannot = |error: std::io::Error| EngineError::Start(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    let ran = runtime.block_on(async {
        let stop = Arc::new(Notify::new());
        let stopping = Arc::new(AtomicBool::new(false));
        let signals = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
        for signal in signals {
            tokio::spawn(stop_on(signal.map_err(cannot)?, Arc::clone(&stop), Arc::clone(&stopping)));
        }
        let mut failures = 0;
        loop {
            let ran = match Engine::open(site.clone(), ask::RUN, clock()) {
                Ok(engine) => {
                    tracing::info!(
                        site = %std::path::absolute(&site.dir).unwrap_or_default().display(), process = std::process::id(), version = env!("CARGO_PKG_VERSION"),
                        "at work"
                    );
                    let began = engine.clock.elapsed();
                    let engine = Arc::new(engine);
                    let ran = engine.run(options, Arc::clone(&stop), ended).await;
                    if engine.clock.elapsed() - began > backoff::LONGEST {
                        failures = 0;
                    }
                    ran
                }
                // Whoever starts it is told at once; once it has worked, it waits.
                Err(error) if failures == 0 => return Err(error),
                Err(error) => Err(error),
            };
            match ran {
                Err(error) if may_pass(&error, options.once) && !stopping.load(Ordering::Relaxed) => {
                    failures += 1;
                    let pause = backoff::pause(FIRST_PAUSE, failures, 0).min(LONGEST_PAUSE);
                    tracing::error!("{}; beginning again in {} s", in_words(&error), pause.as_secs());
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = stop.notified() => return Ok(Ran { stopped: true, ..Ran::default() }),
                    }
                }
                Ok(ran) => {
                    tracing::info!("{}", if ran.stopped { "stopped" } else { "done" });
                    return Ok(ran);
                }
                Err(error) => return Err(error),
            }
        }
    });
    // A thread may still wait for a folder that does not answer.
    runtime.shutdown_background();
    ran
}

/// Between two engines nobody holds the site's lock and `status` knows of none, so that it is never long.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// True when an engine that was at work may go on later: another program is done then, or somebody has freed space. With
/// `once`, somebody is waiting for the end and is told instead.
fn may_pass(error: &EngineError, once: bool) -> bool {
    match error {
        EngineError::Ledger(error) => error.is_passing() || (error.is_full() && !once),
        // A command that works by itself is soon done; another engine stays.
        EngineError::Wire(WireError::Held(holder)) => holder.command.as_deref() != Some(ask::RUN) && !once,
        EngineError::Wire(error) => error.is_full() && !once,
        _ => false,
    }
}

/// An error with what can be done about it.
fn in_words(error: &EngineError) -> String {
    let help = match error {
        EngineError::Ledger(error) => error.help(),
        EngineError::Wire(error) => error.help(),
        _ => None,
    };
    help.map_or_else(|| error.to_string(), |help| format!("{error}; {help}"))
}

/// The first signal asks for an end in order, the second one does not wait for it.
async fn stop_on(mut signal: Signal, stop: Arc<Notify>, stopping: Arc<AtomicBool>) {
    while signal.recv().await.is_some() {
        if stopping.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "told to stop a second time: ending at once; the next run finishes what was begun"
            );
            std::process::exit(SECOND_SIGNAL);
        }
        stop.notify_one();
    }
}

/// The exit code of a process that did not end in order.
const SECOND_SIGNAL: i32 = 1;
