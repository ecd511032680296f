//! What a user lacks to load into a table, as statements for somebody who may give it: ready to paste, in their order.

use tokio_postgres::types::Type;

use super::{
    errors::{Failure, Faults},
    fit,
    loads::Loads,
    name::TableName,
    session::Session,
    shape::{self, StoredColumn},
};
use crate::targets::{Mode, TableSpec, Vanished, identifier::quoted};

/// Statements that give what is lacking for the loads of this mapping; none when nothing is.
pub(super) fn lacking(
    session: &Session,
    spec: &TableSpec,
    loads: Loads<'_>,
    faults: &Faults,
) -> Result<Vec<String>, Failure> {
    let mut statements = Vec::new();
    let row = session.row(
        "SELECT has_database_privilege(current_database(), 'TEMPORARY'), quote_ident(current_database())",
        &[],
    )?;
    let (may, database): (bool, String) = (row.try_get(0)?, row.try_get(1)?);
    if !may {
        statements.push(format!("GRANT TEMPORARY ON DATABASE {database} TO {}", faults.grantee()));
    }
    let remembering =
        Wanted { name: loads.name(), ddl: Some(loads.ddl()), rights: vec!["SELECT", "INSERT", "UPDATE"] };
    statements.extend(remembering.lacking(session, faults, &|_| true)?);
    let mut rights = vec!["SELECT", "INSERT"];
    if spec.mode != Mode::Insert {
        rights.push("UPDATE");
    }
    if spec.mirror.as_ref().is_some_and(|mirror| mirror.vanished == Vanished::Delete) {
        rights.push("DELETE");
    }
    let table = Wanted { name: TableName::of(&spec.table), ddl: spec.create.then(|| fit::ddl(spec)), rights };
    let mapped = |stored: &StoredColumn| spec.columns.iter().any(|column| column.name == stored.name);
    statements.extend(table.lacking(session, faults, &mapped)?);
    Ok(statements)
}

/// A table that has to be there, and what has to be allowed in it.
struct Wanted<'a> {
    name: TableName<'a>,
    /// Makes it, if it may be made.
    ddl: Option<String>,
    rights: Vec<&'static str>,
}

impl Wanted<'_> {
    /// Statements that give what is lacking of it; `counts` are the columns that matter.
    fn lacking(
        self,
        session: &Session,
        faults: &Faults,
        counts: &dyn Fn(&StoredColumn) -> bool,
    ) -> Result<Vec<String>, Failure> {
        let user = faults.grantee();
        let Some(shape) = shape::read(session, self.name)? else {
            let Some(ddl) = self.ddl else { return Ok(Vec::new()) };
            let found = session.rows(
                "SELECT nspname::text, has_schema_privilege(oid, 'USAGE'), has_schema_privilege(oid, 'CREATE')
                 FROM pg_catalog.pg_namespace WHERE nspname = coalesce($1, current_schema()::text)",
                &[(&self.name.schema, Type::TEXT)],
            )?;
            let mut statements = Vec::new();
            let schema;
            match found.first() {
                Some(row) => {
                    let (name, uses, creates): (String, bool, bool) =
                        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
                    if uses && creates {
                        return Ok(Vec::new());
                    }
                    schema = (!uses).then_some(name);
                }
                None => {
                    schema = self.name.schema.map(str::to_owned);
                    statements
                        .extend(schema.iter().map(|schema| format!("CREATE SCHEMA {}", quoted(schema))));
                }
            }
            let usage = schema.map(|schema| format!("GRANT USAGE ON SCHEMA {} TO {user}", quoted(&schema)));
            statements.extend(usage);
            statements.push(ddl);
            let rights = self.rights.join(", ");
            statements.push(format!("GRANT {rights} ON {} TO {user}", self.name.quoted()));
            return Ok(statements);
        };
        let mut statements = Vec::new();
        if !shape.may_use_schema {
            statements.push(format!("GRANT USAGE ON SCHEMA {} TO {user}", quoted(&shape.schema)));
        }
        let quoted_name = shape.quoted();
        let lacks = |right: &&str| {
            shape.columns.iter().filter(|column| counts(column)).any(|column| match *right {
                "SELECT" => !column.may.select,
                "INSERT" => !column.may.insert,
                "UPDATE" => !column.may.update,
                _ => !shape.may_delete,
            })
        };
        let rights: Vec<&str> = self.rights.into_iter().filter(lacks).collect();
        if !rights.is_empty() {
            statements.push(format!("GRANT {} ON {} TO {user}", rights.join(", "), quoted_name));
        }
        Ok(statements)
    }
}
