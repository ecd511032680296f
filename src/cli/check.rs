//! `wharf check`: everything that is wrong with a site's configuration, and with the tables it loads into, at once.

use clap::Args;
use serde_json::json;

use super::{
    CommandError, Common, Exit, open_site,
    output::{Output, counted},
    show_problems,
};
use crate::{
    exchange::{
        lookups::{self, Created},
        target,
    },
    mapping::{MappingError, Plan, Problem, Problems, Site},
    targets::Fit,
};

/// Options of `wharf check`.
#[derive(Args, Debug)]
pub struct Options {
    /// Only this mapping: a name, or the path of a mapping file
    #[arg(value_name = "MAPPING")]
    mapping: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// When the site cannot be read.
pub fn run(common: &Common, options: &Options, output: &mut Output) -> Result<Exit, CommandError> {
    let site = open_site(common)?;
    let mut problems: Vec<Problem> = Vec::new();
    let mut plans = Vec::new();
    match &options.mapping {
        Some(mapping) => match site.mapping(mapping) {
            Ok(plan) => plans.push(plan),
            Err(MappingError::Problems(found)) => problems.extend(found),
            Err(error) => return Err(error.into()),
        },
        None => {
            problems.extend(site.catalog.problems());
            plans.extend(site.catalog.iter().filter_map(|entry| entry.plan.as_ref().ok()).cloned());
        }
    }
    let mut lines = Vec::new();
    for plan in &plans {
        problems.extend(missing_lookups(&site, plan));
        let fit = target::open(&site.settings, plan.connection.as_deref())?.fit(&plan.table)?;
        match fit {
            Fit::Fits => lines.push(describe(plan, "")),
            Fit::WouldCreate => lines.push(describe(plan, " (the first load creates it)")),
            Fit::Misfit(differences) => {
                let file = format!("mappings/inbound/{}.toml", plan.name);
                let table = &plan.table.table;
                problems.extend(differences.iter().map(|difference| {
                    Problem::whole(&file, &format!("the table {table} does not fit: {difference}"), None)
                }));
            }
        }
    }
    let problems = Problems::new(problems);
    if !problems.is_empty() {
        show_problems(&problems, output)?;
        return Ok(Exit::Fault);
    }
    if output.json() {
        let names: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
        output.object(&json!({ "problems": [], "mappings": names }))?;
        return Ok(Exit::Clean);
    }
    for line in lines {
        output.line(line)?;
    }
    let count = plans.len();
    output.line(format!("{count} mapping{}, no problems", if count == 1 { "" } else { "s" }))?;
    Ok(Exit::Clean)
}

/// Lookup tables of a mapping that cannot be asked, or contradict themselves.
fn missing_lookups(site: &Site, plan: &Plan) -> Vec<Problem> {
    let reader = lookups::Reader {
        site: &site.dir,
        created: &Created::of(&site.catalog),
        open: &|connection| target::open(&site.settings, connection),
        work_folder: &std::env::temp_dir(),
        memory_bytes: site.settings.max_memory_bytes / 4,
        secret: [0; 2],
    };
    let file = format!("mappings/inbound/{}.toml", plan.name);
    let wrong = plan.lookups.iter().filter_map(|table| reader.look(table).err());
    wrong.map(|error| Problem::whole(&file, &error.to_string(), None)).collect()
}

fn describe(plan: &Plan, note: &str) -> String {
    let patterns: Vec<&str> = plan.matches.iter().map(|pattern| pattern.as_str()).collect();
    let connection = plan.connection.as_deref().map(|name| format!(" of {name}")).unwrap_or_default();
    format!(
        "{}: {} -> table {}{connection}{note}, {}",
        plan.name,
        patterns.join(", "),
        plan.table.table,
        counted(plan.columns.len() as u64, "column")
    )
}
