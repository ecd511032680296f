//! `wharf init`: a new site with a commented mapping and a sample file to begin with.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{CommandError, Exit, output::Output};
use crate::{
    mapping::schema,
    wire::{AtomicFile, WireError, folder},
};

/// Options of `wharf init`.
#[derive(Args, Debug)]
pub struct Options {
    /// The folder of the new site; made if it is missing
    #[arg(value_name = "SITE")]
    site: PathBuf,
}

/// What a new site begins with: (path, text).
const FILES: &[(&str, &str)] = &[
    ("wharf.toml", include_str!("init/wharf.toml")),
    ("mappings/inbound/customers.toml", include_str!("init/customers.toml")),
    ("mappings/samples/customers_2026-11-20.csv", include_str!("init/customers.csv")),
    (".gitignore", "/var\n/inbox\n/outbox\n"),
];

/// Runs the command.
///
/// # Errors
/// When the folder holds a site already, or cannot be written.
pub fn run(options: &Options, output: &mut Output) -> Result<Exit, CommandError> {
    let site = &options.site;
    for (name, _) in FILES {
        if site.join(name).symlink_metadata().is_ok() {
            let message = format!("{} exists already; nothing was changed", site.join(name).display());
            return Err(CommandError::Usage(message));
        }
    }
    for name in ["mappings/inbound", "mappings/outbound", "mappings/samples", "inbox", "outbox"] {
        folder::ensure(&site.join(name))?;
    }
    for (name, text) in FILES {
        write(&site.join(name), text)?;
    }
    write(&site.join("mappings/schema.json"), &format!("{:#}\n", schema::mapping()))?;
    let shown = fs::canonicalize(site).unwrap_or_else(|_| site.clone());
    if output.json() {
        output.object(&serde_json::json!({ "site": shown }))?;
        return Ok(Exit::Clean);
    }
    let site = site.display();
    output.line(format!("a new site in {}", shown.display()))?;
    for line in [
        format!("  {site}/wharf.toml                       settings; every one has a default"),
        format!("  {site}/mappings/inbound/customers.toml  a mapping to begin with"),
        format!("  {site}/mappings/samples                 a file for it"),
    ] {
        output.line(line)?;
    }
    output.line(format!("next: wharf --site {site} check"))?;
    output.line(format!("      wharf --site {site} load {site}/mappings/samples/*"))?;
    Ok(Exit::Clean)
}

fn write(path: &Path, text: &str) -> Result<(), CommandError> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(text.as_bytes()).map_err(|cause| WireError::io("write", path, cause))?;
    Ok(file.commit_new()?)
}
