//! Wharf, a file exchange processor: files arrive, every row is checked against a mapping, good rows are loaded,
//! bad rows go back to the people who can fix them, and a ledger knows the one outcome of each file.
//!
//! The modules follow the data. Imports point downwards only: an adapter never knows another adapter, and
//! nothing below [`exchange`] reads the clock, starts a thread or writes the ledger.

pub mod model; // what the business talks about; no I/O
pub mod wire; // durable I/O without business

pub mod formats; // bytes -> records
pub mod sources; // where files arrive
pub mod targets; // rows -> a database

pub mod mapping; // a mapping as written, its problems, and compiled to a plan
pub mod rejects;
pub mod validate; // plan x records -> rows + rejects, in a sealed work file // rejects -> reports that people can act on

pub mod exchange;
pub mod ledger; // events in, state out // the engine: takes, runs, recovers

pub mod cli; // one file a subcommand
