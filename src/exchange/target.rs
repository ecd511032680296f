//! Opens the database that a connection names.

use std::sync::Arc;

use crate::{
    mapping::Settings,
    targets::{
        Target, TargetError,
        sqlite::{SqliteOptions, SqliteTarget},
    },
};

/// The target behind the connection of this name; none is the site's own database. A quarter of the site's memory is
/// the database's cache.
///
/// # Errors
/// The connection is not known, or its database cannot be opened.
pub fn open(settings: &Settings, connection: Option<&str>) -> Result<Arc<dyn Target>, TargetError> {
    let Some(found) = settings.connection(connection) else {
        let name = connection.unwrap_or_default();
        return Err(TargetError::Lasting(format!(
            "wharf.toml has no connection `{name}`; run `wharf check`"
        )));
    };
    let options = SqliteOptions {
        loads_table: found.loads_table.clone(),
        cache_bytes: settings.max_memory_bytes / 4,
        busy_timeout: settings.busy_timeout,
    };
    Ok(Arc::new(SqliteTarget::open(&found.path, options)?))
}
