//! Where every step of a program on [`super::Lossy`] passes: counted, let through, made to fail, or the last one before the
//! power is cut.

use fuser::Errno;

/// What changes the disk, or opens a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Open,
    Make,
    Write,
    Resize,
    Sync,
    SyncFolder,
    Rename,
    Link,
    Remove,
}

/// The steps of these kinds that a program takes, from this one on, fail.
#[derive(Clone, Debug)]
pub struct Fault {
    pub steps: &'static [Step],
    /// Counted from 1.
    pub nth: u64,
    pub with: Errno,
    /// All later ones fail too, until the disk is mended.
    pub lasts: bool,
}

/// What becomes of a step.
#[derive(Debug)]
pub enum Pass {
    Go,
    Fails(Errno),
    /// The power is cut before it.
    Dark,
}

/// The counter at the gate.
#[derive(Debug, Default)]
pub struct Gate {
    /// What was done, without steps that only open a file: each kind with the name of the file.
    pub done: Vec<(Step, String)>,
    /// The power is cut before this one of them, counted from 0.
    pub cut_at: Option<usize>,
    pub fault: Option<Fault>,
    pub met: u64,
    /// What failed.
    pub failed: Vec<(Step, String)>,
    /// The power is off.
    pub dark: bool,
}

impl Gate {
    pub fn pass(&mut self, step: Step, name: &str) -> Pass {
        if self.dark {
            return Pass::Fails(Errno::EIO);
        }
        if step != Step::Open {
            if self.cut_at == Some(self.done.len()) {
                self.dark = true;
                return Pass::Dark;
            }
            self.done.push((step, name.to_owned()));
        }
        if let Some(fault) = &self.fault
            && fault.steps.contains(&step)
        {
            self.met += 1;
            if self.met == fault.nth || (fault.lasts && self.met > fault.nth) {
                self.failed.push((step, name.to_owned()));
                return Pass::Fails(fault.with);
            }
        }
        Pass::Go
    }
}
