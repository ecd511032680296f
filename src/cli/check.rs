//! `wharf check`: everything that is wrong with a site's configuration, and with the tables it loads into, at once.

use std::collections::BTreeMap;

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
    model::printable,
    targets::{Fit, Target, TargetError},
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
    let (mut lines, mut tables) = (Vec::new(), Tables::default());
    for plan in &plans {
        problems.extend(missing_lookups(&site, plan));
        match tables.look(&site, plan) {
            None => {}
            Some(Fit::Fits) => lines.push(describe(plan, "")),
            Some(Fit::WouldCreate) => lines.push(describe(plan, " (the first load creates it)")),
            Some(Fit::Misfit(differences)) => {
                let file = format!("mappings/inbound/{}.toml", plan.name);
                let table = &plan.table.table;
                problems.extend(differences.iter().map(|difference| {
                    Problem::whole(&file, &format!("the table {table} does not fit: {difference}"), None)
                }));
            }
        }
    }
    problems.extend(tables.troubles());
    let problems = Problems::new(problems);
    if !problems.is_empty() {
        if output.json() {
            output.object(&json!({ "problems": problems, "statements": tables.statements_json() }))?;
        } else {
            show_problems(&problems, output)?;
            tables.write_statements(output)?;
        }
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

/// The databases of the mappings, as far as they have been asked.
#[derive(Default)]
struct Tables {
    /// Those that cannot be asked: why, and the mappings that load into them.
    away: BTreeMap<Option<String>, (String, Vec<String>)>,
    /// Statements that somebody with more rights has to run, in their order, by connection.
    statements: BTreeMap<Option<String>, Vec<String>>,
}

impl Tables {
    /// Compares a mapping with its table; none when its database cannot be asked, or could not before.
    fn look(&mut self, site: &Site, plan: &Plan) -> Option<Fit> {
        let connection = &plan.connection;
        if let Some((_, mappings)) = self.away.get_mut(connection) {
            mappings.push(plan.name.clone());
            return None;
        }
        let asked = target::open(&site.settings, connection.as_deref()).and_then(|target| {
            let fit = fit(&*target, plan)?;
            let lacking = match &fit {
                Fit::Misfit(_) => target.statements(&plan.table)?,
                Fit::Fits | Fit::WouldCreate => Vec::new(),
            };
            Ok((fit, lacking))
        });
        match asked {
            Ok((fit, lacking)) => {
                if !lacking.is_empty() {
                    let known = self.statements.entry(connection.clone()).or_default();
                    for statement in lacking {
                        if !known.contains(&statement) {
                            known.push(statement);
                        }
                    }
                }
                Some(fit)
            }
            Err(error) => {
                self.away.insert(connection.clone(), (error.to_string(), vec![plan.name.clone()]));
                None
            }
        }
    }

    /// The databases that cannot be asked, each once.
    fn troubles(&self) -> Vec<Problem> {
        let one = |(connection, (why, mappings)): (&Option<String>, &(String, Vec<String>))| {
            let text = format!("{}: {why}", named(connection.as_deref()));
            let help = format!("the tables of these mappings were not compared: {}", mappings.join(", "));
            Problem::whole("wharf.toml", &text, Some(&help))
        };
        self.away.iter().map(one).collect()
    }

    fn statements_json(&self) -> serde_json::Value {
        let one = |(connection, statements): (&Option<String>, &Vec<String>)| {
            (connection.clone().unwrap_or_default(), json!(statements))
        };
        self.statements.iter().map(one).collect::<serde_json::Map<_, _>>().into()
    }

    fn write_statements(&self, output: &mut Output) -> Result<(), CommandError> {
        for (connection, statements) in &self.statements {
            let name = named(connection.as_deref());
            output.complain(&format!("\n{name}: what this user lacks, for somebody who may run it:\n"))?;
            for statement in statements {
                output.complain(&format!("{};", printable::text(statement)))?;
            }
        }
        Ok(())
    }
}

fn named(connection: Option<&str>) -> String {
    connection.map_or_else(|| "the site's own database".to_owned(), |name| format!("connection `{name}`"))
}

/// Whether the table of a mapping fits. A shadow run only looks at it, for which less is needed than for a load.
fn fit(target: &dyn Target, plan: &Plan) -> Result<Fit, TargetError> {
    let fit = target.fit(&plan.table)?;
    if !plan.shadow || !matches!(fit, Fit::Misfit(_)) {
        return Ok(fit);
    }
    let every_column: Vec<Option<usize>> = (0..plan.columns.len()).map(Some).collect();
    match target.compare(&plan.table, plan.row_schema(&every_column)) {
        Ok(_) => Ok(Fit::Fits),
        Err(TargetError::Misfit(differences)) => Ok(Fit::Misfit(differences)),
        Err(error) => Err(error),
    }
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
