//! What expressions may ask of a file and its delivery. It is the same whenever a delivery is run, after a crash too:
//! `now()` is the moment at which the delivery got its id.

use std::{os::unix::ffi::OsStrExt, path::Path, sync::Arc, time::UNIX_EPOCH};

use super::take::{COMMAND_LINE, Job};
use crate::{
    ledger::DeliveryState,
    mapping::{Plan, expression::Facts},
    model::{DeliveryId, FileName},
};

/// The moment that `wharf test` takes for now and for the last change of every sample, so that what is expected of a sample
/// does not change by itself: 2000-01-01T00:00:00Z.
const TEST_MILLIS: u64 = 946_684_800_000;

/// Of a delivery that is to be run. `former` is the one whose records or file it brings again: the file that is asked about
/// is still that one.
#[must_use]
pub(super) fn of_job(job: &Job, former: Option<&DeliveryState>) -> Arc<Facts> {
    if let Some(former) = former {
        let facts = of_delivery(former, &job.plan);
        return Arc::new(Facts { delivery_id: job.id.to_string(), now: moment(job.id), ..(*facts).clone() });
    }
    of(&job.plan, &job.name, Some(job.size), job.modified_nanos, (&job.source, &job.file), job.id)
}

/// Of a delivery that the ledger knows, under the plan that was in force for it.
#[must_use]
pub fn of_delivery(delivery: &DeliveryState, plan: &Plan) -> Arc<Facts> {
    let name = delivery.file.to_string();
    let path = delivery.source_path.as_deref().unwrap_or(Path::new(&name));
    let from = (delivery.source.as_str(), path);
    of(plan, &delivery.file, Some(delivery.size), delivery.modified_nanos, from, delivery.id)
}

/// Of a file that is only looked at, as if it were loaded now.
#[must_use]
pub fn of_file(path: &Path, plan: &Plan, now_millis: u64) -> Arc<Facts> {
    let found = path.metadata().ok();
    let modified = found.as_ref().and_then(|found| found.modified().ok()?.duration_since(UNIX_EPOCH).ok());
    let nanos = modified.and_then(|since| i64::try_from(since.as_nanos()).ok());
    let size = found.map(|found| found.len());
    of(plan, &name_of(path), size, nanos, (COMMAND_LINE, path), DeliveryId::new(now_millis, &[0; 10]))
}

/// Of a sample of `wharf test`.
#[must_use]
pub fn of_sample(path: &Path, plan: &Plan) -> Arc<Facts> {
    let size = path.metadata().ok().map(|found| found.len());
    let nanos = i64::try_from(TEST_MILLIS).ok().and_then(|millis| millis.checked_mul(1_000_000));
    let name = name_of(path);
    let from = (COMMAND_LINE, Path::new(path.file_name().unwrap_or_default()));
    of(plan, &name, size, nanos, from, DeliveryId::new(TEST_MILLIS, &[0; 10]))
}

fn name_of(path: &Path) -> FileName {
    FileName::new(path.file_name().unwrap_or(path.as_os_str()).as_bytes())
}

/// The moment at which a delivery got its id, in microseconds since 1970.
fn moment(id: DeliveryId) -> i64 {
    i64::try_from(id.unix_millis()).unwrap_or(i64::MAX).saturating_mul(1_000)
}

fn of(
    plan: &Plan,
    name: &FileName,
    size: Option<u64>,
    modified_nanos: Option<i64>,
    (source, path): (&str, &Path),
    id: DeliveryId,
) -> Arc<Facts> {
    let name = name.to_text();
    Arc::new(Facts {
        captures: plan.captures(&name),
        file_name: name.into_owned(),
        file_size: size,
        file_modified: modified_nanos.map(|nanos| nanos.div_euclid(1_000)),
        file_source: Some(source).filter(|source| *source != COMMAND_LINE).map(str::to_owned),
        file_path: Some(path.to_string_lossy().into_owned()),
        delivery_id: id.to_string(),
        mapping: plan.name.clone(),
        now: moment(id),
    })
}
