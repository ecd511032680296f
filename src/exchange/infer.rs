//! Drives the drafting of a mapping: opens the samples, runs the passes over them on all cores, and tries the draft on the
//! samples before anybody sees it. What it finds out is decided in [`crate::mapping::infer`].

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use indexmap::IndexMap;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use thiserror::Error;

use super::{
    Step, facts,
    inspect::{InspectError, Inspection, Inspector},
    random,
};
use crate::{
    formats::{Chunk, FormatError, Framer, Records},
    mapping::{
        Plan, Problems,
        infer::{
            Draft, Drafter, Evidence, Forms, HEAD_BYTES, InferError, KeyCount, Look, Sample, Sniffed, Survey,
            TAIL_BYTES, agree, sniff,
        },
    },
    model::{FileName, Outcome, Reason, Rule},
    wire::{self, WireError},
};

/// A draft is tried and mended so often: each round takes back what the one before contradicted.
const MOST_ROUNDS: usize = 4;

/// Progress: the file, the step, bytes done, bytes in all.
pub type Progress<'a> = &'a mut dyn FnMut(&Path, Step, u64, u64);

/// A draft, and what became of the samples under it.
#[derive(Debug)]
pub struct Drafted {
    /// The mapping.
    pub draft: Draft,
    /// One a sample, in the order in which they were named.
    pub samples: Vec<Tried>,
}

/// A sample under the draft.
#[derive(Clone, Debug)]
pub struct Tried {
    /// The file.
    pub path: PathBuf,
    /// Its records.
    pub read: u64,
    /// Records that do not pass.
    pub rejected: u64,
    /// Why the file as a whole would be refused, if it would.
    pub refused: Option<String>,
}

/// Why there is no draft.
#[derive(Debug, Error)]
pub enum DraftError {
    /// A sample that says nothing.
    #[error("{}: {cause}", FileName::new(std::os::unix::ffi::OsStrExt::as_bytes(.path.as_os_str())))]
    Sample {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: InferError,
    },
    /// Samples that do not belong together.
    #[error(transparent)]
    Samples(InferError),
    /// The draft cannot be run: a mistake of the program, which is told rather than written out.
    #[error("the draft cannot be run, which is a mistake of this program:\n{0}")]
    Broken(Problems),
    /// Trying the draft.
    #[error(transparent)]
    Inspect(Box<InspectError>),
}

impl<E: Into<InspectError>> From<E> for DraftError {
    fn from(error: E) -> Self {
        Self::Inspect(Box::new(error.into()))
    }
}

/// Drafts the mapping `name` from samples, of which there is at least one.
///
/// # Errors
/// When a sample cannot be read or makes no sense, or when they do not belong together.
pub fn draft(
    paths: &[PathBuf],
    name: &str,
    inspector: &Inspector,
    progress: Progress<'_>,
) -> Result<Drafted, DraftError> {
    let mut sniffed: Vec<(String, Sniffed)> = Vec::new();
    for path in paths {
        sniffed.push((file_name(path), sniff_file(path, None)?));
    }
    agree(&mut sniffed).map_err(DraftError::Samples)?;
    let secret = [random::<8>()?, random::<8>()?].map(u64::from_le_bytes);
    let with_sums = sniffed.iter().any(|(_, layout)| layout.trailer.is_some());
    let look = Arc::new(Look { forms: Forms::new(), secret, with_sums });
    let mut samples = Vec::new();
    for (path, (_, layout)) in paths.iter().zip(&sniffed) {
        samples.push(look_at(path, layout.clone(), &look, inspector, progress)?);
    }
    // A trailer that is none in one sample is none in the others.
    if samples.iter().any(|sample| sample.sniffed.trailer.is_none()) {
        for (sample, path) in samples.iter_mut().zip(paths) {
            if sample.sniffed.trailer.take().is_some() {
                *sample = look_at(path, sample.sniffed.clone(), &look, inspector, progress)?;
            }
        }
    }
    let layouts: Vec<Sniffed> = samples.iter().map(|sample| sample.sniffed.clone()).collect();
    let mut drafter = Drafter::new(name, samples, &look).map_err(DraftError::Samples)?;
    for (at, (path, layout)) in paths.iter().zip(&layouts).enumerate() {
        let sets = drafter.key_sets(at);
        if !sets.is_empty() {
            let counts = count_keys(path, layout, &look, &sets, inspector, progress)?;
            drafter.take_key_counts(counts);
        }
    }
    try_out(paths, name, drafter, inspector, progress)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn sniff_file(path: &Path, forced: Option<&Evidence>) -> Result<Sniffed, DraftError> {
    let failed = |cause| WireError::io("read", path, cause);
    let mut file = wire::open_regular(path)?;
    let size = file.metadata().map_err(failed)?.len();
    let mut head = Vec::new();
    file.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(failed)?;
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL_BYTES as u64))).map_err(failed)?;
    file.take(TAIL_BYTES as u64).read_to_end(&mut tail).map_err(failed)?;
    let forced = forced.and_then(|evidence| evidence.text_counts.encoding());
    sniff(&head, &tail, size, forced).map_err(|cause| sample_error(path, cause))
}

fn sample_error(path: &Path, cause: InferError) -> DraftError {
    match cause {
        InferError::Format(FormatError::Read(cause)) => WireError::io("read", path, cause).into(),
        cause => DraftError::Sample { path: path.to_owned(), cause },
    }
}

/// Goes through a sample; once more where its end shows that its start was misleading.
fn look_at(
    path: &Path,
    layout: Sniffed,
    look: &Arc<Look>,
    inspector: &Inspector,
    progress: Progress<'_>,
) -> Result<Sample, DraftError> {
    let mut sniffed = layout;
    loop {
        let evidence = survey(path, &sniffed, look, inspector, progress)?;
        if sniffed.encoding == encoding_rs::UTF_8
            && !sniffed.has_mark
            && evidence.text_counts.encoding().is_some()
        {
            sniffed = sniff_file(path, Some(&evidence))?;
            continue;
        }
        if sniffed.trailer.is_some() && (evidence.trailers.len() != 1 || evidence.behind_trailer > 0) {
            sniffed.trailer = None;
            continue;
        }
        return Ok(Sample { name: file_name(path), sniffed, evidence });
    }
}

fn open(path: &Path) -> Result<(File, u64), DraftError> {
    let file = wire::open_regular(path)?;
    let size = file.metadata().map_err(|cause| WireError::io("read", path, cause))?.len();
    Ok((file, size))
}

fn survey(
    path: &Path,
    sniffed: &Sniffed,
    look: &Arc<Look>,
    inspector: &Inspector,
    progress: Progress<'_>,
) -> Result<Evidence, DraftError> {
    let (file, size) = open(path)?;
    let mut pass =
        Survey::open(sniffed, Box::new(file), Arc::clone(look)).map_err(|cause| sample_error(path, cause))?;
    let mut evidence = Evidence::new(&pass.survey);
    let survey = Arc::clone(&pass.survey);
    let step = |chunk: &mut Chunk, records: &mut Records| survey.chunk(chunk, records);
    chunks(inspector.pool(), pass.framer.as_mut(), step, |part, done| {
        evidence.take(part);
        progress(path, Step::Validating, done, size);
    })
    .map_err(|cause| sample_error(path, cause.into()))?;
    evidence.close();
    Ok(evidence)
}

/// Counts how often each set of columns repeats over a sample.
fn count_keys(
    path: &Path,
    sniffed: &Sniffed,
    look: &Arc<Look>,
    sets: &[Vec<usize>],
    inspector: &Inspector,
    progress: Progress<'_>,
) -> Result<Vec<KeyCount>, DraftError> {
    let (file, size) = open(path)?;
    let mut pass =
        Survey::open(sniffed, Box::new(file), Arc::clone(look)).map_err(|cause| sample_error(path, cause))?;
    let survey = Arc::clone(&pass.survey);
    let step = |chunk: &mut Chunk, records: &mut Records| survey.keys(chunk, records, sets);
    let mut hashes: Vec<Vec<u64>> = vec![Vec::new(); sets.len()];
    chunks(inspector.pool(), pass.framer.as_mut(), step, |part, done| {
        for (all, more) in hashes.iter_mut().zip(part) {
            let room = KeyCount::MOST_HASHES.saturating_sub(all.len());
            all.extend(more.into_iter().take(room));
        }
        progress(path, Step::Validating, done, size);
    })
    .map_err(|cause| sample_error(path, cause.into()))?;
    Ok(hashes.into_iter().map(KeyCount::of).collect())
}

/// Runs a pure step over the chunks of a file and hands over what it gives, in the order of the file, with the bytes done.
/// The next chunks are read while those at hand are worked on.
fn chunks<T: Send>(
    pool: &rayon::ThreadPool,
    framer: &mut dyn Framer,
    step: impl Fn(&mut Chunk, &mut Records) -> T + Sync,
    mut take: impl FnMut(T, u64),
) -> Result<(), FormatError> {
    let most = pool.current_num_threads() + 1;
    let mut spare: Vec<Records> = Vec::new();
    let read =
        |framer: &mut dyn Framer, spare: &mut Vec<Records>| -> Result<Vec<(Chunk, Records)>, FormatError> {
            let mut batch = Vec::new();
            while batch.len() < most
                && let Some(chunk) = framer.next_chunk()?
            {
                batch.push((chunk, spare.pop().unwrap_or_default()));
            }
            Ok(batch)
        };
    let mut batch = read(framer, &mut spare)?;
    while !batch.is_empty() {
        let work = |(mut chunk, mut records): (Chunk, Records)| {
            let given = step(&mut chunk, &mut records);
            (chunk, records, given)
        };
        let (done, next) =
            pool.join(|| batch.into_par_iter().map(work).collect::<Vec<_>>(), || read(framer, &mut spare));
        for (chunk, records, given) in done {
            take(given, chunk.byte + chunk.raw.len() as u64);
            framer.recycle(chunk);
            spare.push(records);
        }
        batch = next?;
    }
    Ok(())
}

/// Validates the samples under the draft, and takes back what they contradict.
fn try_out(
    paths: &[PathBuf],
    name: &str,
    mut drafter: Drafter,
    inspector: &Inspector,
    progress: Progress<'_>,
) -> Result<Drafted, DraftError> {
    let mut rounds = 0;
    loop {
        rounds += 1;
        let draft = drafter.draft();
        let plan = compiled(name, &draft.text)?;
        let (mut samples, mut contradicted) = (Vec::new(), BTreeMap::new());
        let mut trailer_is_none = false;
        for path in paths {
            let inspection = inspector.inspect(
                &plan,
                path,
                &facts::of_sample(path, &plan),
                false,
                &mut |step, done, total| progress(path, step, done, total),
            )?;
            trailer_is_none |= matches!(inspection.reason, Some(Reason::Trailer | Reason::Controls));
            contradictions(&inspection, &mut contradicted)?;
            samples.push(tried(path, &inspection));
        }
        let may_mend = rounds < MOST_ROUNDS;
        if may_mend && trailer_is_none && drafter.forget_trailer() {
            continue;
        }
        let mended = contradicted
            .iter()
            .filter(|(column, times)| may_mend && drafter.contradict(column, **times))
            .count();
        if mended > 0 {
            continue;
        }
        let sum = |of: fn(&Tried) -> u64| samples.iter().map(of).sum();
        drafter.note_checked(sum(|sample| sample.read), sum(|sample| sample.rejected));
        samples
            .iter()
            .filter_map(|sample| sample.refused.as_ref())
            .for_each(|refusal| drafter.note_refusal(refusal));
        let draft = drafter.draft();
        compiled(name, &draft.text)?;
        return Ok(Drafted { draft, samples });
    }
}

fn compiled(name: &str, text: &str) -> Result<Arc<Plan>, DraftError> {
    let file = format!("mappings/inbound/{name}.toml");
    let plan = crate::mapping::compile(name, &file, text, &IndexMap::new());
    plan.map(Arc::new).map_err(|broken| DraftError::Broken(broken.problems))
}

/// How often records break what the draft says of a column.
fn contradictions(inspection: &Inspection, found: &mut BTreeMap<String, u64>) -> Result<(), InspectError> {
    let Some(work) = &inspection.work else { return Ok(()) };
    for reject in work.rejects()? {
        for violation in reject?.violations {
            let column = violation.column.and_then(|at| work.seal.columns.get(usize::from(at)));
            if let Some(column) = column.filter(|_| !matches!(violation.rule, Rule::Key | Rule::Encoding)) {
                *found.entry(column.clone()).or_default() += 1;
            }
        }
    }
    Ok(())
}

fn tried(path: &Path, inspection: &Inspection) -> Tried {
    let is_refused = inspection.outcome == Outcome::Refused;
    Tried {
        path: path.to_owned(),
        read: inspection.tally.read,
        rejected: inspection.tally.rejected,
        refused: inspection.message.clone().filter(|_| is_refused),
    }
}
