//! The side of the fail points that only debug builds have: what the environment asks for, counted and done.
//!
//! `WHARF_FAIL` holds instructions separated by `;`:
//!
//! - `record=FILE` appends a line with the point's name to a file each time one is reached;
//! - `POINT@N=ACTION` acts the Nth time that this process reaches the point, counted from 1; `POINT@N+=ACTION` from then
//!   on, `POINT=ACTION` every time.
//!
//! Actions: `kill` (SIGKILL to itself), `eio` and `enospc` (the step fails so), `skip` (the step is left out), `wait:FILE`
//! (a file `FILE.reached` is made, then nothing happens until FILE is there; two minutes at most, then the step fails).

use std::{
    collections::BTreeMap,
    env,
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Write},
    path::PathBuf,
    sync::{Mutex, OnceLock, PoisonError},
    thread,
    time::Duration,
};

use rustix::{
    io::Errno,
    process::{Signal, getpid, kill_process},
};

use super::Point;

/// The environment variable.
pub const VARIABLE: &str = "WHARF_FAIL";

/// Between two looks at whether to go on.
const GLANCE: Duration = Duration::from_millis(2);
/// Whoever has a point wait looks after it; this ends what was forgotten.
const MOST_GLANCES: u32 = 60_000;

static ASKED: OnceLock<Result<Asked, String>> = OnceLock::new();

/// What the environment asks for.
#[derive(Debug, Default)]
struct Asked {
    record: Option<Mutex<File>>,
    rules: Vec<Rule>,
    reached: Mutex<BTreeMap<&'static str, u64>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Rule {
    point: &'static str,
    first: u64,
    last: u64,
    action: Action,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    Kill,
    Fail(i32),
    Skip,
    Wait(PathBuf),
}

/// Counts the point and does what is asked for there.
pub(super) fn reach(point: Point) -> io::Result<bool> {
    let asked = ASKED.get_or_init(|| match env::var(VARIABLE) {
        Ok(text) => Asked::parse(&text),
        Err(_) => Ok(Asked::default()),
    });
    match asked {
        Ok(asked) => asked.reach(point),
        // Never half a test: every step fails with what is wrong.
        Err(wrong) => Err(io::Error::new(ErrorKind::InvalidInput, format!("{VARIABLE}: {wrong}"))),
    }
}

impl Asked {
    fn parse(text: &str) -> Result<Self, String> {
        let mut asked = Self::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (left, right) = part.split_once('=').ok_or_else(|| format!("{part:?} has no `=`"))?;
            if left == "record" {
                let file = OpenOptions::new().create(true).append(true).open(right);
                asked.record = Some(Mutex::new(file.map_err(|cause| format!("{right}: {cause}"))?));
            } else {
                asked.rules.push(Rule::parse(left, right)?);
            }
        }
        Ok(asked)
    }

    fn reach(&self, point: Point) -> io::Result<bool> {
        if self.record.is_none() && self.rules.is_empty() {
            return Ok(true);
        }
        let name = point.name();
        let count = {
            let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
            let count = reached.entry(name).or_default();
            *count += 1;
            *count
        };
        if let Some(record) = &self.record {
            let mut file = record.lock().unwrap_or_else(PoisonError::into_inner);
            file.write_all(format!("{name}\n").as_bytes())?;
        }
        let hit = |rule: &&Rule| rule.point == name && (rule.first..=rule.last).contains(&count);
        self.rules.iter().find(hit).map_or(Ok(true), |rule| rule.action.carry_out())
    }
}

impl Rule {
    /// `POINT`, `POINT@N` or `POINT@N+`, and the action.
    fn parse(place: &str, action: &str) -> Result<Self, String> {
        let (name, count) = place.split_once('@').map_or((place, None), |(name, count)| (name, Some(count)));
        let point = Point::ALL.iter().find(|point| point.name() == name);
        let point = point.ok_or_else(|| format!("there is no point {name:?}"))?.name();
        let number = |text: &str| text.parse().map_err(|_| format!("{text:?} is no number"));
        let (first, last) = match count {
            None => (1, u64::MAX),
            Some(count) => match count.strip_suffix('+') {
                Some(first) => (number(first)?, u64::MAX),
                None => (number(count)?, number(count)?),
            },
        };
        Ok(Self { point, first, last, action: Action::parse(action)? })
    }
}

impl Action {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "kill" => Ok(Self::Kill),
            "eio" => Ok(Self::Fail(Errno::IO.raw_os_error())),
            "enospc" => Ok(Self::Fail(Errno::NOSPC.raw_os_error())),
            "skip" => Ok(Self::Skip),
            other => match other.strip_prefix("wait:") {
                Some(path) => Ok(Self::Wait(PathBuf::from(path))),
                None => Err(format!("there is no action {other:?}")),
            },
        }
    }

    fn carry_out(&self) -> io::Result<bool> {
        match self {
            Self::Kill => {
                kill_process(getpid(), Signal::KILL)?;
                // The signal is on its way.
                loop {
                    thread::park();
                }
            }
            Self::Fail(code) => Err(io::Error::from_raw_os_error(*code)),
            Self::Skip => Ok(false),
            Self::Wait(path) => {
                let mut mark = path.clone().into_os_string();
                mark.push(".reached");
                File::create(mark)?;
                for _ in 0..MOST_GLANCES {
                    if path.exists() {
                        return Ok(true);
                    }
                    thread::sleep(GLANCE);
                }
                Err(ErrorKind::TimedOut.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;

    #[test]
    fn each_point_has_a_name_of_its_own_and_a_sentence() {
        let names: BTreeSet<&str> = Point::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), Point::ALL.len());
        for point in Point::ALL {
            let plain = |letter: char| letter.is_ascii_lowercase() || letter == '.';
            assert!(point.name().chars().all(plain) && point.what().ends_with('.'), "{point:?}");
        }
    }

    #[test]
    fn a_step_fails_the_nth_time_once_or_from_then_on() {
        let asked = Asked::parse("copy.sync@2=eio; copy.rename@2+=enospc;copy.folder=skip").unwrap();
        let code = |point| asked.reach(point).map_err(|error| error.raw_os_error().unwrap());
        for expected in [Ok(true), Err(5), Ok(true)] {
            assert_eq!(code(Point::CopySync), expected);
        }
        for expected in [Ok(true), Err(28), Err(28)] {
            assert_eq!(code(Point::CopyRename), expected);
        }
        assert_eq!([code(Point::CopyFolder), code(Point::CopyFolder)], [Ok(false), Ok(false)]);
        assert_eq!(code(Point::CopyWrite), Ok(true));
    }

    #[test]
    fn what_is_reached_is_recorded_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("points");
        let asked = Asked::parse(&format!("record={}", path.display())).unwrap();
        for point in [Point::CopySync, Point::LockHeld, Point::CopySync] {
            assert!(asked.reach(point).unwrap());
        }
        assert_eq!(fs::read_to_string(path).unwrap(), "copy.sync\nlock.held\ncopy.sync\n");
    }

    #[test]
    fn a_step_waits_until_it_may_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let go = folder.path().join("go");
        let asked = Asked::parse(&format!("lock.held=wait:{}", go.display())).unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| asked.reach(Point::LockHeld));
            while !folder.path().join("go.reached").exists() {
                thread::yield_now();
            }
            assert!(!waiting.is_finished());
            fs::write(&go, "").unwrap();
            assert!(waiting.join().unwrap().unwrap());
        });
    }

    #[test]
    fn what_cannot_be_understood_is_told() {
        for (text, wrong) in [
            ("kill", "has no `=`"),
            ("nowhere@1=kill", "there is no point \"nowhere\""),
            ("lock.held@x=kill", "\"x\" is no number"),
            ("lock.held@1=explode", "there is no action \"explode\""),
        ] {
            assert!(Asked::parse(text).unwrap_err().contains(wrong), "{text}");
        }
    }
}
