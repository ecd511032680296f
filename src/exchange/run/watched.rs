//! A source while the engine runs: when it is looked at next, how changes in it are noticed, and what is wrong with it.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::sync::Notify;

use super::survey::{self, Begun, Identity, Signals, Survey};
use crate::{
    exchange::{backoff, live::LiveAside},
    sources::{
        Lister, Look, Source, SourceError,
        filesystem::{self, FileSystem},
        folder::FolderOptions,
        watch::Watch,
    },
};

/// An event for the probe file has to come within this time, or the folder is listed at intervals. A local kernel takes
/// a few milliseconds.
const PROBE_LIMIT: Duration = Duration::from_secs(2);
/// Even where events come, the folder is listed so often: a listing is the truth, and an event may be lost.
const SAFETY_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// How often it is seen whether the folder is still the same: one that was unmounted and mounted again raises no events.
const IDENTITY_INTERVAL: Duration = Duration::from_secs(5);
/// A folder that has not answered by then is said to be in trouble. A large one on a slow share may take as long.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Many events in a row lead to one look in this time.
const SHORTEST_GAP: Duration = Duration::from_millis(50);
/// Looks take no more than a fifth of a core, however large the folder.
const GAP_FACTOR: u32 = 4;
/// While so many files wait to be taken, there is no hurry to find more.
pub(super) const BACKLOG: usize = 1_000;
const BACKLOG_GAP: Duration = Duration::from_secs(2);
/// A folder that cannot be listed is tried again after this, and then at longer intervals up to the second one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How changes in a folder are noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mode {
    /// It is being found out whether events come; until then it is listed at intervals.
    Probing { until: Duration },
    /// Events come.
    Events,
    /// It is listed at intervals, for this reason.
    Polled(String),
}

/// A source that is watched.
pub(super) struct Watched {
    pub(super) source: Arc<dyn Source>,
    pub(super) options: FolderOptions,
    lister: Option<Box<dyn Lister>>,
    watch: Option<Watch>,
    mode: Mode,
    every: Duration,
    signals: Arc<Signals>,
    wake: Arc<Notify>,
    kind: FileSystem,
    /// Which folder it is.
    pub(super) identity: Option<Identity>,
    /// Another source has the same folder: files would be taken twice.
    pub(super) twin_of: Option<String>,
    surveying: Option<Duration>,
    survey_due: Duration,
    looking: Option<Duration>,
    /// How changes are noticed has changed; for `status`.
    pub(super) has_news: bool,
    next_look: Duration,
    /// The next look is for a change that was told.
    is_wanted: bool,
    last_ended: Duration,
    last_took: Duration,
    failures: u32,
    /// What is wrong with it.
    pub(super) trouble: Option<String>,
    /// The last look, without the files that were ready.
    pub(super) seen: Look,
    /// So many looks have ended.
    pub(super) looks: u64,
    /// What was said of files that are left alone, so that it is said once.
    told: Vec<PathBuf>,
}

impl Watched {
    /// Begins with a source. `wake` is told when it should be looked at.
    pub(super) fn new(
        source: Arc<dyn Source>,
        options: FolderOptions,
        wake: Arc<Notify>,
        now: Duration,
    ) -> Self {
        let lister = Some(source.lister());
        Self {
            source,
            options,
            lister,
            watch: None,
            mode: Mode::Polled("not watched yet".to_owned()),
            every: filesystem::poll_interval(FileSystem::Local),
            signals: Arc::default(),
            wake,
            kind: FileSystem::Local,
            identity: None,
            twin_of: None,
            surveying: None,
            survey_due: now,
            looking: None,
            has_news: false,
            next_look: now,
            is_wanted: false,
            last_ended: now,
            last_took: Duration::ZERO,
            failures: 0,
            trouble: None,
            seen: Look::default(),
            looks: 0,
            told: Vec::new(),
        }
    }

    /// Sees to what the watching thread told and to what is due, before a look is started.
    pub(super) fn tick(&mut self, now: Duration, backlog: usize) {
        let begun = [self.looking, self.surveying].into_iter().flatten().min();
        if begun.is_some_and(|begun| now > begun + ANSWER_LIMIT) && self.trouble.is_none() {
            let why = format!(
                "{} does not answer; Wharf waits for it, and other sources go on",
                self.options.folder.display()
            );
            tracing::error!(source = self.source.name(), "{why}");
            self.trouble = Some(why);
        }
        // The answer may come before it is known here that somebody asked.
        if let Mode::Probing { .. } = self.mode
            && self.signals.probed.swap(false, Ordering::Relaxed)
        {
            self.has_news = true;
            tracing::info!(source = self.source.name(), folder = %self.options.folder.display(), "file events come here");
            self.mode = Mode::Events;
        }
        if let Mode::Probing { until } = self.mode
            && now >= until
        {
            self.poll("no file events come here".to_owned());
        }
        if self.signals.lost.swap(false, Ordering::Relaxed) {
            self.identity = None;
            self.survey_due = now;
        }
        // Those that the last look had no room for raise no event when their turn comes.
        let more = self.seen.more && backlog < BACKLOG;
        // While a look is under way the signal stays: what changed may lie where the look has been already.
        if self.lister.is_some() && (self.signals.changed.swap(false, Ordering::Relaxed) || more) {
            let gap = (self.last_took * GAP_FACTOR).max(SHORTEST_GAP);
            let gap = if backlog >= BACKLOG { gap.max(BACKLOG_GAP) } else { gap };
            self.next_look = self.next_look.min(now.max(self.last_ended + gap));
            self.is_wanted = true;
        }
    }

    /// The lister, if it is time for a look and none is under way.
    pub(super) fn due(&mut self, now: Duration) -> Option<Box<dyn Lister>> {
        if now < self.next_look || self.twin_of.is_some() {
            return None;
        }
        let lister = self.lister.take()?;
        self.looking = Some(now);
        // Whoever wants a look from now on wants another one.
        self.next_look = Duration::MAX;
        self.is_wanted = false;
        Some(lister)
    }

    /// True when no look at it has ended yet, and one is to be expected.
    pub(super) fn is_unseen(&self) -> bool {
        self.looks == 0 && self.trouble.is_none()
    }

    /// True when something has changed that no look has seen.
    pub(super) fn is_outdated(&self) -> bool {
        self.is_wanted || self.signals.changed.load(Ordering::Relaxed)
    }

    /// When something is to be done.
    pub(super) fn next_due(&self) -> Duration {
        let probe = if let Mode::Probing { until } = self.mode { until } else { Duration::MAX };
        let look = if self.lister.is_some() { self.next_look } else { Duration::MAX };
        let survey = if self.surveying.is_some() { Duration::MAX } else { self.survey_due };
        look.min(survey).min(probe)
    }

    /// How long a file must stay unchanged to be whole.
    pub(super) fn quiet(&self) -> Duration {
        self.options.settle.unwrap_or_else(|| filesystem::quiet_period(self.kind))
    }

    /// Looks again then, if not before.
    pub(super) fn look_at(&mut self, when: Duration) {
        self.next_look = self.next_look.min(when);
    }

    /// The same folder has another name in the configuration.
    pub(super) fn is_twin_of(&mut self, other: &str) {
        if self.twin_of.is_some() {
            return;
        }
        let why = format!(
            "{} is the same folder as that of the source {other}, so nothing is taken from it: remove one of the two",
            self.options.folder.display()
        );
        tracing::error!(source = self.source.name(), "{why}");
        (self.twin_of, self.trouble) = (Some(other.to_owned()), Some(why));
    }

    /// Files of this source are settled. A manifest goes with the last one that it names, which only another look tells.
    pub(super) fn settled(&self) {
        if self.options.manifest.is_some() {
            self.look_again();
        }
    }

    /// Looks again soon, as if a change had been told.
    pub(super) fn look_again(&self) {
        self.signals.changed.store(true, Ordering::Relaxed);
    }

    /// A look has ended. `ready` is what it found whole.
    pub(super) fn looked(
        &mut self,
        lister: Box<dyn Lister>,
        result: Result<Look, SourceError>,
        began: Duration,
        now: Duration,
    ) {
        self.lister = Some(lister);
        self.looking = None;
        (self.last_ended, self.last_took) = (now, now.saturating_sub(began));
        self.looks += 1;
        match result {
            Ok(look) => {
                if self.trouble.take().is_some() {
                    tracing::info!(source = self.source.name(), "the folder can be listed again");
                }
                self.failures = 0;
                let interval = match &self.mode {
                    Mode::Events => SAFETY_INTERVAL,
                    Mode::Probing { .. } | Mode::Polled(_) => self.every,
                };
                self.look_at((now + interval).min(look.due.unwrap_or(Duration::MAX)).max(now));
                self.tell_asides(&look);
                self.seen = look;
            }
            Err(error) => {
                self.failures += 1;
                let message = super::arrivals::in_words(&error);
                if self.trouble.as_ref() != Some(&message) {
                    tracing::error!(source = self.source.name(), "{message}");
                }
                self.trouble = Some(message);
                self.seen = Look::default();
                let pause = backoff::pause(FIRST_PAUSE, self.failures, 0).min(LONGEST_PAUSE);
                self.look_at(now + pause);
            }
        }
    }

    /// How changes are noticed, in words.
    pub(super) fn watched_how(&self) -> String {
        match &self.mode {
            Mode::Events => "by file events".to_owned(),
            Mode::Probing { .. } => "finding out whether file events come".to_owned(),
            Mode::Polled(why) => format!("listed every {} s ({why})", self.every.as_secs()),
        }
    }

    /// Some of what is left alone, with the reason.
    pub(super) fn asides(&self) -> impl Iterator<Item = LiveAside> {
        self.seen.asides.iter().map(|aside| LiveAside {
            file: aside.path.to_string_lossy().into_owned(),
            why: aside.why.clone(),
        })
    }

    /// What has to be found out about the folder now, by somebody who has time for it.
    pub(super) fn survey(
        &mut self,
        now: Duration,
        owner: &str,
    ) -> Option<impl FnOnce() -> Survey + Send + 'static> {
        if now < self.survey_due || self.surveying.is_some() {
            return None;
        }
        self.surveying = Some(now);
        let (folder, recursive, before) =
            (self.options.folder.clone(), self.options.recursive, self.identity);
        let (signals, wake) = (Arc::clone(&self.signals), Arc::clone(&self.wake));
        let owner = owner.to_owned();
        Some(move || survey::survey(&folder, recursive, (before, &owner), &signals, &wake))
    }

    /// It has been found out.
    pub(super) fn surveyed(&mut self, survey: Survey, now: Duration) {
        self.surveying = None;
        self.survey_due = now + IDENTITY_INTERVAL;
        let Survey { identity, begun } = survey;
        if identity.is_none() && self.identity.is_some() {
            self.look_at(now);
        }
        self.identity = identity;
        let Some(Begun { kind, watch }) = begun else { return };
        self.kind = kind;
        self.every = self.options.every.unwrap_or_else(|| filesystem::poll_interval(kind));
        self.watch = None;
        match watch {
            Ok(watch) => {
                self.watch = Some(watch);
                self.mode = Mode::Probing { until: now + PROBE_LIMIT };
            }
            Err(why) => self.poll(why),
        }
        // What changed before anybody watched is seen by a look.
        self.look_again();
    }

    fn poll(&mut self, why: String) {
        let (source, folder) = (self.source.name(), self.options.folder.display());
        tracing::info!(source, %folder, "the folder is listed every {} s: {why}", self.every.as_secs());
        self.mode = Mode::Polled(why);
        self.has_news = true;
        self.next_look = self.next_look.min(self.last_ended + self.every);
    }

    /// Says of each file that is left alone why, once.
    fn tell_asides(&mut self, look: &Look) {
        for aside in look.asides.iter().filter(|aside| !self.told.contains(&aside.path)) {
            let file = aside.path.display();
            tracing::warn!(source = self.source.name(), %file, "left alone: {}", aside.why);
        }
        self.told = look.asides.iter().map(|aside| aside.path.clone()).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::folder::{After, FolderSource};

    const SECOND: Duration = Duration::from_secs(1);

    /// A folder that is watched, and its first look that is under way.
    fn looked_at(folder: &std::path::Path) -> (Watched, Box<dyn Lister>) {
        let options = FolderOptions {
            name: "inbox".to_owned(),
            folder: folder.to_path_buf(),
            takes: Arc::new(|_: &str| true),
            recursive: false,
            settle: None,
            marker: None,
            manifest: None,
            after: After::Delete,
            every: None,
        };
        let source = Arc::new(FolderSource::new(options.clone()));
        let mut watched = Watched::new(source, options, Arc::default(), Duration::ZERO);
        // Only what the test tells counts.
        watched.watch = None;
        watched.mode = Mode::Events;
        watched.signals = Arc::default();
        let lister = watched.due(Duration::ZERO).unwrap();
        (watched, lister)
    }

    #[test]
    fn what_is_told_or_wanted_while_a_look_is_under_way_leads_to_another_look() {
        type Tell = fn(&mut Watched);
        let tells: [Tell; 2] = [|watched| watched.look_again(), |watched| watched.look_at(2 * SECOND)];
        for tell in tells {
            let folder = tempfile::tempdir().unwrap();
            let (mut watched, lister) = looked_at(folder.path());
            tell(&mut watched);
            // The thread that decides goes on while the look does.
            watched.tick(SECOND, 0);
            assert!(watched.due(SECOND).is_none());
            watched.looked(lister, Ok(Look::default()), Duration::ZERO, SECOND);
            watched.tick(SECOND, 0);
            assert!(watched.due(2 * SECOND + 4 * SECOND).is_some());
        }
    }

    #[test]
    fn without_a_change_the_next_look_is_far_away() {
        let folder = tempfile::tempdir().unwrap();
        let (mut watched, lister) = looked_at(folder.path());
        watched.looked(lister, Ok(Look::default()), Duration::ZERO, SECOND);
        watched.tick(SECOND, 0);
        assert!(!watched.is_outdated() && watched.due(SECOND + SAFETY_INTERVAL / 2).is_none());
        watched.look_again();
        watched.tick(SECOND, 0);
        assert!(watched.is_outdated(), "until a look has begun");
        assert!(
            watched.due(SECOND + SAFETY_INTERVAL / 2).is_some()
                && !watched.signals.changed.load(Ordering::Relaxed)
        );
    }
}
