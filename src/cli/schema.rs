//! `wharf schema`: the JSON Schema by which editors complete and check mappings.

use clap::{Args, ValueEnum};

use super::{CommandError, Exit, output::Output};
use crate::mapping::schema;

/// Options of `wharf schema`.
#[derive(Args, Debug)]
pub struct Options {
    /// Of what
    #[arg(default_value = "mapping")]
    of: Of,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Of {
    /// A mapping in mappings/inbound
    Mapping,
    /// wharf.toml
    Site,
}

/// Runs the command.
///
/// # Errors
/// What the stream says.
pub fn run(options: &Options, output: &mut Output) -> Result<Exit, CommandError> {
    let schema = match options.of {
        Of::Mapping => schema::mapping(),
        Of::Site => schema::site(),
    };
    output.line(format!("{schema:#}"))?;
    Ok(Exit::Clean)
}
