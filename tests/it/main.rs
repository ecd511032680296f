//! Wharf as its users meet it: the program is run on real files in a site of its own, and what it says, writes and loads
//! is looked at. One module an area; `docs/promises.md` names the tests that hold each promise.

// All of this is tests, helpers included: what goes wrong here should be loud.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod architecture;
mod bad_input;
#[cfg(debug_assertions)]
mod batches;
mod corrections;
mod crash;
#[cfg(debug_assertions)]
mod crashes;
mod csv_files;
mod decisions;
mod docs;
mod engine;
mod expressions;
mod infer;
mod ledger_story;
mod loading;
mod lookups;
mod lossy;
mod mapping_cli;
mod mapping_expressions;
mod mirrors;
mod postgres;
mod postgres_batches;
mod postgres_comparing;
mod postgres_loading;
mod postgres_reaching;
mod postgres_running;
mod postgres_whole;
mod power;
mod previewing;
mod readme;
mod reconciling;
#[cfg(debug_assertions)]
mod recovered;
mod rejects;
mod reports;
mod retrying;
mod running;
#[cfg(debug_assertions)]
mod sealed;
mod share;
mod support;
mod targets;
mod torture;
mod values;
mod week;
