//! `wharf infer`: drafts a mapping from samples of a feed.

use std::{
    io::Write,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;

use super::{
    CommandError, Common, Exit, open_site,
    output::{Output, counted, thousands},
    progress::Progress,
};
use crate::{
    exchange::{
        infer::{self, Drafted, Tried},
        inspect::Inspector,
    },
    mapping::{
        Settings, Site,
        infer::{Draft, mapping_name},
    },
    model::{FileName, printable},
    wire::{AtomicFile, WireError},
};

/// Options of `wharf infer`.
#[derive(Args, Debug)]
pub struct Options {
    /// Samples of one feed
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write the mapping to this file, or into this folder; left out: to standard output
    #[arg(long, short, value_name = "PATH")]
    output: Option<PathBuf>,
    /// The name of the mapping and of its table; left out: from the file's name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Overwrite the output if it exists
    #[arg(long, requires = "output")]
    force: bool,
}

/// Memory for trying the draft: what is beyond overflows to disk, as a draft is made on any machine, beside other work.
const MOST_MEMORY_BYTES: u64 = 32 << 20;

/// Runs the command.
///
/// # Errors
/// When a sample cannot be read or makes no sense, or the draft not be written.
pub fn run(common: &Common, options: &Options, output: &mut Output) -> Result<Exit, CommandError> {
    let site = open_site(common)?;
    let name = name(options)?;
    let destination = options.output.as_ref().map(|path| destination(path, &name));
    if let Some(path) = destination.as_ref().filter(|path| !options.force && path.symlink_metadata().is_ok())
    {
        let message =
            format!("{} exists already; nothing was changed (--force overwrites it)", path.display());
        return Err(CommandError::Usage(message));
    }
    let max_memory_bytes = site.settings.max_memory_bytes.min(MOST_MEMORY_BYTES);
    let settings = Settings { max_memory_bytes, ..site.settings.clone() };
    let inspector = Inspector::new(&Site { settings, ..site })?;
    let mut progress = Progress::new(output.shows_progress());
    let drafted = infer::draft(&options.files, &name, &inspector, &mut |path, step, done, total| {
        progress.advance(path, step, done, total);
    });
    progress.clear();
    let drafted = drafted?;
    if let Some(path) = &destination {
        write(path, &drafted.draft.text, options.force)?;
    }
    if output.json() {
        output.object(&to_json(&drafted, destination.as_deref()))?;
    } else {
        show(&drafted, destination.as_deref(), options, output)?;
    }
    Ok(Exit::Clean)
}

/// The name of the mapping: as it was given, of the file it is written to, or of the first sample.
fn name(options: &Options) -> Result<String, CommandError> {
    let of_output = options.output.as_ref().filter(|path| !path.is_dir()).and_then(|path| path.file_stem());
    let name = match (&options.name, of_output) {
        (Some(name), _) => name.clone(),
        (None, Some(stem)) => stem.to_string_lossy().into_owned(),
        (None, None) => {
            let first = options.files.first().map(PathBuf::as_path).unwrap_or(Path::new(""));
            mapping_name(&first.file_name().unwrap_or_default().to_string_lossy())
        }
    };
    if name.is_empty() || FileName::new(name.as_bytes()).safe() != name || name.starts_with('.') {
        let message =
            "a mapping's name must be good as a file name: letters, digits, `_` and `-`; set one with --name";
        return Err(CommandError::Usage(message.to_owned()));
    }
    Ok(name)
}

fn destination(path: &Path, name: &str) -> PathBuf {
    if path.is_dir() { path.join(format!("{name}.toml")) } else { path.to_owned() }
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), CommandError> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(text.as_bytes()).map_err(|cause| WireError::io("write", path, cause))?;
    if force {
        file.commit_replace()?
    } else {
        file.commit_new()?
    }
    Ok(())
}

fn show(
    drafted: &Drafted,
    destination: Option<&Path>,
    options: &Options,
    output: &mut Output,
) -> Result<(), CommandError> {
    let draft = &drafted.draft;
    let Some(path) = destination else {
        // Standard output is the mapping, nothing else.
        output.line(draft.text.trim_end())?;
        for line in findings(drafted) {
            output.complain(&line)?;
        }
        return Ok(());
    };
    output.line(format!("{}: {}", path.display(), counted(draft.columns.len() as u64, "column")))?;
    for line in findings(drafted) {
        output.line(format!("  {line}"))?;
    }
    let checks = draft.text.matches("CHECK: ").count() as u64;
    if checks > 0 {
        output.line(format!(
            "  {} marked CHECK in it: look at them before the first load",
            counted(checks, "place")
        ))?;
    }
    let command = output.command().to_owned();
    let file = options.files.first().map(|path| printable::text(&path.to_string_lossy())).unwrap_or_default();
    output.line(format!("next: {command} check"))?;
    output.line(format!("      {command} load {file}"))?;
    Ok(())
}

/// What became of each sample.
fn findings(drafted: &Drafted) -> Vec<String> {
    let one = |sample: &Tried| {
        let name = FileName::new(sample.path.file_name().unwrap_or_default().as_bytes());
        match (&sample.refused, sample.rejected) {
            (Some(message), _) => format!("{name}: would be refused: {message}"),
            (None, 0) => format!("{name}: all {} pass", counted(sample.read, "record")),
            (None, rejected) => {
                format!("{name}: {} of {} do not pass", thousands(rejected), counted(sample.read, "record"))
            }
        }
    };
    drafted.samples.iter().map(one).collect()
}

fn to_json(drafted: &Drafted, destination: Option<&Path>) -> serde_json::Value {
    let Draft { name, matches, sniffed, key, key_comment, columns, notes, records, text, .. } =
        &drafted.draft;
    let samples: Vec<_> = drafted
        .samples
        .iter()
        .map(|sample| {
            json!({
                "file": sample.path.to_string_lossy(),
                "read": sample.read,
                "rejected": sample.rejected,
                "refused": sample.refused,
            })
        })
        .collect();
    let columns: Vec<_> = columns
        .iter()
        .map(|column| {
            json!({
                "name": column.name, "type": column.type_name, "required": column.required,
                "evidence": column.evidence, "check": column.check,
            })
        })
        .collect();
    json!({
        "mapping": name,
        "output": destination.map(Path::to_string_lossy),
        "match": matches,
        "encoding": sniffed.label(),
        "delimiter": sniffed.delimiter,
        "header": sniffed.header.is_some(),
        "records": records,
        "key": key,
        "key_evidence": key_comment,
        "columns": columns,
        "notes": notes,
        "samples": samples,
        "text": text,
    })
}
