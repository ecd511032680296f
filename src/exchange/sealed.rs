//! Sealed work files: taken up from an attempt that was cut off, or made and kept for the next one; and removed when the
//! delivery comes to rest.

use std::{fs, path::Path};

use super::{
    Engine, Observer,
    deliver::{Fault, Mode},
    lookup_files,
    memory::Share,
    take::Job,
};
use crate::{
    ledger::DeliveryState,
    model::{DeliveryId, Reason},
    validate::{
        WorkFile,
        kept::{self, MadeOf},
    },
};

/// What is made of a file, or why it is refused as a whole.
type OrRefused<T> = Result<T, (Reason, String)>;

impl Engine {
    /// The work file of a delivery, and whether it is that of an attempt before; or why the file is refused as a whole.
    pub(super) fn work_of(
        &self,
        job: &Job,
        mode: Mode,
        share: &Share<'_>,
        observer: &mut dyn Observer,
    ) -> Result<OrRefused<(WorkFile, bool)>, Fault> {
        // A correction is small, and what it may replace is found out with its keys before it is loaded.
        if job.corrects.is_some() {
            let validated = self.validate(job, mode, share, None, observer)?;
            return Ok(validated.map(|work| (work, false)));
        }
        let own = self.folders.work_folder(job.id);
        let of = MadeOf {
            wharf: env!("CARGO_PKG_VERSION").to_owned(),
            plan: job.plan.fingerprint.clone(),
            file: job.hash,
            lookups: lookup_files::hash(&self.site.dir, &job.plan),
        };
        let key_memory = usize::try_from(share.bytes).unwrap_or(usize::MAX);
        if let Some(work) = WorkFile::take_up(&own, &of, self.secret, key_memory) {
            return Ok(Ok((work, true)));
        }
        self.forget_work(job.id);
        let mut work = match self.validate(job, mode, share, Some(&own), observer)? {
            Ok(work) => work,
            Err(refused) => return Ok(Err(refused)),
        };
        if work.is_worth_keeping() {
            work.keep(&own, of, self.secret)?;
        }
        Ok(Ok((work, false)))
    }

    /// Forgets the work file of a delivery.
    pub(super) fn forget_work(&self, delivery: DeliveryId) {
        // What cannot be removed now is found by the next engine.
        let _ = fs::remove_dir_all(self.folders.work_folder(delivery));
    }

    /// Forgets what of a work file was written before it was sealed: nobody can take it up.
    pub(super) fn forget_unsealed(&self, delivery: DeliveryId) {
        if !kept::is_sealed(&self.folders.work_folder(delivery)) {
            self.forget_work(delivery);
        }
    }

    /// Removes what was kept for deliveries that have come to rest meanwhile, and what was never sealed.
    pub(super) fn sweep_work(&self, unfinished: &[DeliveryState]) {
        for entry in fs::read_dir(self.folders.work()).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let (id, of) = name.split_once('.').unwrap_or((name, ""));
            let Ok(id) = id.parse::<DeliveryId>() else { continue };
            let found = unfinished.iter().find(|delivery| delivery.id == id);
            let path: &Path = &entry.path();
            match (found, of) {
                // It says what was refused of rows that are committed.
                (Some(_), REFUSALS) => {}
                (None, REFUSALS) => self.forget_refusals(id),
                (Some(found), "") if !found.state.needs_attention() && kept::is_sealed(path) => {}
                (_, "") => self.forget_work(id),
                _ => {}
            }
        }
    }
}

/// The ending of files that hold what a target has refused so far.
pub(super) const REFUSALS: &str = "refusals";
