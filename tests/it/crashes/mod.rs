//! Killed, or failed by its disk, at every fail point and every time that one is reached: what the program ends in is what
//! it would have ended in undisturbed. Fail points are in debug builds only, and so is this.
//!
//! `just crash` counts through all of it, the ordinary run of the tests through a part, evenly spread. docs/reliability.md says
//! what that proves.

#![allow(clippy::print_stdout)] // what is counted is told

mod asked;
mod controls;
mod counted;
mod database;
mod ending;
mod outages;
mod points;
mod proxy;
mod reference;
mod story;
