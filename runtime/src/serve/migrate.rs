//! `throughline migrate`.

use super::args::Migrate;
use super::error::ServeError;
use super::say;
use crate::diagnostics;
use crate::setup::database::for_program;
use crate::store;

pub(super) async fn migrate(args: Migrate) -> Result<(), ServeError> {
    let (options, warnings) = for_program(args.database.as_deref())?;
    for warning in warnings {
        diagnostics::warn(format_args!("{warning}"));
    }
    if args.print_sql {
        say(&store::schema_sql(&options.url)?);
        return Ok(());
    }
    let shown = store::shown(&options.url);
    let version = store::open(options)?.migrate().await?;
    say(&format!("{shown} has schema version {version}\n"));
    Ok(())
}
