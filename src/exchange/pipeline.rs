//! Drives validation: frames a file in order, runs the pure step on all cores, and feeds the sequenced step in order.
//!
//! At most [`in_flight`] chunks exist at once, so memory does not depend on the file. The thread that calls frames and
//! sequences; the pool runs the pure step.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use thiserror::Error;

use crate::{
    formats::{FormatError, Records},
    mapping::{expression::Facts, plan::Plan},
    model::{Position, Reject},
    validate::{
        Checked, PureStep, Sequence, ValidateError, WorkFile, kept::Folder, lookup::Snapshots,
        sequence::SequenceOptions,
    },
};

/// Why a file could not be validated.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// The file is at fault, or the disk it is on.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The work folder is at fault.
    #[error(transparent)]
    Validate(#[from] ValidateError),
    /// A step ended without an answer; its panic is in the log.
    #[error("a validation step ended unexpectedly")]
    Lost,
    /// It was told to stop.
    #[error("it was stopped")]
    Stopped,
}

/// How a file is validated.
#[derive(Clone, Copy, Debug)]
pub struct PipelineOptions<'a> {
    /// Where work files overflow to.
    pub work_folder: Folder<'a>,
    /// Memory for key sets, in bytes.
    pub key_memory_bytes: u64,
    /// Keep the rows for loading.
    pub keep_rows: bool,
    /// Keys the hashes of keys.
    pub secret: [u64; 2],
    /// Keys of rejected records that are noted at most.
    pub most_reject_keys: usize,
    /// What expressions may ask of the file and its delivery.
    pub facts: &'a Arc<Facts>,
    /// The plan's lookup tables as they stood.
    pub lookups: &'a Arc<Snapshots>,
    /// Set when validation is to be broken off.
    pub stopping: &'a AtomicBool,
}

/// Chunks under way at once: one a thread, as many ready to start, and two being sequenced. More would only wait.
fn in_flight(pool: &rayon::ThreadPool) -> usize {
    2 * pool.current_num_threads() + 2
}

/// Validates the file behind `input`. `progress` is told the bytes read so far, chunk by chunk.
///
/// # Errors
/// [`PipelineError::Format`] with a refusal when the file as a whole cannot be read.
pub fn validate(
    plan: &Arc<Plan>,
    input: Box<dyn Read + Send>,
    options: PipelineOptions<'_>,
    pool: &rayon::ThreadPool,
    progress: &mut dyn FnMut(u64),
) -> Result<WorkFile, PipelineError> {
    let mut opened = plan.open(input)?;
    let splitter = Arc::clone(&opened.splitter);
    let known = (options.facts, options.lookups);
    let step = Arc::new(PureStep::new(Arc::clone(plan), splitter, &opened.layout, options.secret, known));
    let sequence_options = SequenceOptions {
        folder: options.work_folder,
        key_memory_bytes: usize::try_from(options.key_memory_bytes).unwrap_or(usize::MAX),
        keep_rows: options.keep_rows,
        most_reject_keys: options.most_reject_keys,
    };
    let mut sequence = Sequence::new(Arc::clone(plan), &opened, &step, sequence_options)?;

    let (results, received) = mpsc::sync_channel::<Option<Result<Checked, ValidateError>>>(in_flight(pool));
    let mut waiting: BTreeMap<u64, Checked> = BTreeMap::new();
    let mut spare: Vec<Records> = Vec::new();
    let (mut started, mut sequenced) = (0u64, 0u64);
    let mut coming = opened.framer.next_chunk()?;
    loop {
        while started - sequenced < in_flight(pool) as u64
            && let Some(chunk) = coming.take()
        {
            if options.stopping.load(Ordering::Relaxed) {
                return Err(PipelineError::Stopped);
            }
            coming = opened.framer.next_chunk()?;
            let (step, results) = (Arc::clone(&step), results.clone());
            let records = spare.pop().unwrap_or_default();
            let run = move || {
                // A step that panics must not leave the sequence waiting for ever.
                let outcome =
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| step.run(chunk, records)));
                // The receiver is gone only when validation has ended with an error already.
                let _ = results.send(outcome.ok());
            };
            if started == 0 && coming.is_none() {
                // A small file needs no help, and does not wait behind the chunks of large ones.
                run();
            } else {
                // First come, first served: no delivery keeps the others from the pool.
                pool.spawn_fifo(run);
            }
            started += 1;
        }
        if coming.is_none() && sequenced == started {
            break;
        }
        let checked = received.recv().ok().flatten().ok_or(PipelineError::Lost)??;
        waiting.insert(checked.chunk.index, checked);
        while let Some(next) = waiting.remove(&sequenced) {
            let (chunk, records) = sequence.take(&step, next)?;
            progress(chunk.byte + chunk.raw.len() as u64);
            opened.framer.recycle(chunk);
            spare.push(records);
            sequenced += 1;
        }
    }
    Ok(sequence.finish()?)
}

/// Reads the records with these numbers again: their place, bytes and fields, without violations. One after the other, as
/// they are few.
///
/// # Errors
/// [`PipelineError::Format`] when the file cannot be read any more.
pub fn read_records(
    plan: &Plan,
    input: Box<dyn Read + Send>,
    wanted: BTreeSet<u64>,
) -> Result<Vec<Reject>, PipelineError> {
    let mut opened = plan.open(input)?;
    let (mut found, mut records) = (Vec::new(), Records::default());
    let mut numbered: Vec<usize> = Vec::new();
    let (mut first, mut line) = (1u64, opened.lines_before + 1);
    while found.len() < wanted.len()
        && let Some(chunk) = opened.framer.next_chunk()?
    {
        opened.splitter.split(&chunk, &mut records);
        if records.former.is_empty() {
            numbered.clear();
            numbered.extend(
                wanted.range(first..first + records.len() as u64).map(|record| (record - first) as usize),
            );
        } else {
            let is_wanted = |at: &usize| {
                records.former.get(*at).is_some_and(|former| wanted.contains(&former.position.record))
            };
            numbered = (0..records.len()).filter(is_wanted).collect();
        }
        for at in numbered.iter().copied() {
            let fields =
                (0..records.width).map(|column| records.text_of(&chunk, at, column).into()).collect();
            if let Some(former) = records.former.get(at) {
                let (position, raw) = (former.position, former.raw.clone());
                found.push(Reject { position, raw, fields, violations: Vec::new() });
                continue;
            }
            let place = records.places.get(at).copied().unwrap_or_default();
            let raw =
                chunk.raw.get(place.byte as usize..(place.byte + place.length) as usize).unwrap_or_default();
            found.push(Reject {
                position: Position {
                    record: first + at as u64,
                    line: line + u64::from(place.line),
                    byte: chunk.byte + u64::from(place.byte),
                    length: u64::from(place.length),
                },
                raw: raw.to_vec(),
                fields,
                violations: Vec::new(),
            });
        }
        first += records.len() as u64;
        line += records.lines;
        opened.framer.recycle(chunk);
    }
    Ok(found)
}
