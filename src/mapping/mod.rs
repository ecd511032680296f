//! Mappings and settings: read from TOML, checked, and compiled to plans.
//!
//! A file goes through the same steps whatever is wrong with it: [`document`] reads it into a tree that knows places,
//! `check` holds the tree against the JSON Schema of [`schema`], which is made from the types in [`written`] and
//! [`settings`], and [`mod@compile`] decides what it means. Each step reports all it finds and passes on what is sound.
//!
//! Reading a mapping only validates; nothing happens yet.

mod across;
mod arrival;
pub mod catalog;
mod check;
mod checks;
mod columns;
pub mod compile;
mod computed;
pub mod connection;
pub mod document;
mod duration;
mod expect;
pub mod expression;
mod findings;
mod fingerprint;
pub mod infer;
mod limits;
pub mod lookups;
mod mirror;
mod name_time;
mod names;
mod nearest;
pub mod order;
mod overlaps;
mod parsers;
pub mod pattern;
pub mod plan;
pub mod problem;
pub mod reference;
mod rules;
pub mod schema;
pub mod settings;
pub mod site;
mod source;
mod target;
mod values;
pub mod written;

use thiserror::Error;

pub use catalog::{Catalog, Choice, Entry};
pub use compile::compile;
pub use connection::Connection;
pub use nearest::nearest;
pub use order::{Order, OrderKey};
pub use pattern::{Captures, NamePattern};
pub use plan::Plan;
pub use problem::{Look, Place, Problem, Problems};
pub use settings::{RunSettings, Settings};
pub use site::Site;

/// Why there is no plan.
#[derive(Debug, Error)]
pub enum MappingError {
    /// The mapping is wrong.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// There is no mapping of this name.
    #[error("there is no mapping `{name}`; {help}")]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// What may have been meant.
        help: String,
    },
}

#[cfg(test)]
mod tests;
