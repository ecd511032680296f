//! The power is cut while Wharf is at work. Killing a process keeps what it has written in the
//! system's memory; here that is lost too, and what Wharf called safe must still be there.

mod control;
mod loss;
pub mod scene;
pub mod warehouse;

/// So many cases of one kind are run among the other tests, evenly spread; all of them with `WHARF_CRASH=all`.
const SAMPLE: usize = 24;

/// The cases to run, of so many.
fn cases(all: usize) -> Vec<usize> {
    let wanted = if is_everything() { all } else { SAMPLE.min(all) };
    (0..wanted).map(|number| number * all / wanted).collect()
}

fn is_everything() -> bool {
    std::env::var_os("WHARF_CRASH").is_some_and(|value| value == "all")
}
