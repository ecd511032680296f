//! Progress bars, with rate and time left, for loads that take long enough to be waited for.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{exchange::Step, model::FileName};
use std::os::unix::ffi::OsStrExt;

/// The bar of the step at hand; none when there is no terminal.
pub struct Progress {
    shown: bool,
    bar: Option<(PathBuf, Step, ProgressBar)>,
}

/// Redraws a second: enough to look alive, too few to cost anything.
const REDRAWS: u8 = 8;

impl Progress {
    /// Bars on standard error, if `shown`.
    #[must_use]
    pub fn new(shown: bool) -> Self {
        Self { shown, bar: None }
    }

    /// `done` of `total` units of a step are done.
    pub fn advance(&mut self, file: &Path, step: Step, done: u64, total: u64) {
        if !self.shown {
            return;
        }
        let same = self.bar.as_ref().is_some_and(|(other, at, _)| other == file && *at == step);
        if !same {
            self.clear();
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(REDRAWS));
            bar.set_style(style(step));
            bar.set_prefix(prefix(file, step));
            bar.enable_steady_tick(Duration::from_millis(250));
            self.bar = Some((file.to_owned(), step, bar));
        }
        if let Some((.., bar)) = &self.bar {
            bar.set_position(done);
        }
    }

    /// Takes the bar away.
    pub fn clear(&mut self) {
        if let Some((.., bar)) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn prefix(file: &Path, step: Step) -> String {
    let name = file.file_name().map(|name| FileName::new(name.as_bytes()).to_string()).unwrap_or_default();
    let verb = match step {
        Step::Taking => "taking",
        Step::Validating => "checking",
        Step::Loading => "loading",
    };
    format!("{verb} {}", crate::model::printable::short(&name, 40))
}

fn style(step: Step) -> ProgressStyle {
    let template = match step {
        Step::Taking | Step::Validating => {
            "{prefix}  [{bar:28}] {percent:>3}%  {binary_bytes_per_sec}  {eta} left"
        }
        Step::Loading => "{prefix}  [{bar:28}] {percent:>3}%  {per_sec} rows  {eta} left",
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
