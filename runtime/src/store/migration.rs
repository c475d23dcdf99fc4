//! Numbered steps from nothing to today's schema.

use super::error::StoreError;

/// A step. Once released its text never changes; a correction is a step of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Migration {
    pub(crate) version: i32,
    pub(crate) sql: &'static str,
}

impl Migration {
    /// FNV-1a of the text, in hex: it finds accidents, not attackers, who could change the table as well.
    pub(crate) fn checksum(&self) -> String {
        let hash = self.sql.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        format!("{hash:016x}")
    }
}

/// The newest version among these.
pub(crate) fn newest(migrations: &[Migration]) -> i32 {
    migrations.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// What is missing in a database that has applied these (version, checksum).
///
/// A database that is ahead of this program is left alone: newer schemas keep older programs working.
pub(crate) fn missing<'m>(
    migrations: &'m [Migration],
    applied: &[(i32, String)],
) -> Result<Vec<&'m Migration>, StoreError> {
    let mut missing = Vec::new();
    for migration in migrations {
        match applied.iter().find(|(version, _)| *version == migration.version) {
            Some((_, checksum)) if *checksum == migration.checksum() => {}
            Some(_) => return Err(StoreError::ChangedMigration { version: migration.version }),
            None => missing.push(migration),
        }
    }
    Ok(missing)
}

/// All steps as one text, with the lines that write them down as applied.
pub(crate) fn print(migrations: &[Migration]) -> String {
    let mut out = String::from(
        "create table if not exists throughline_migrations (\n  version integer primary key,\n  checksum text not null,\n  \
         at timestamp not null default current_timestamp\n);\n",
    );
    for migration in migrations {
        out.push_str("\nbegin;\n");
        out.push_str(migration.sql);
        let (version, checksum) = (migration.version, migration.checksum());
        out.push_str(&format!(
            "insert into throughline_migrations (version, checksum) values ({version}, '{checksum}');\ncommit;\n"
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &[Migration] = &[Migration { version: 1, sql: "a" }, Migration { version: 2, sql: "b" }];

    #[test]
    fn changed_step_is_an_error_and_a_newer_database_is_none() {
        let first = (1, STEPS[0].checksum());
        let versions = |applied: &[(i32, String)]| {
            missing(STEPS, applied).map(|steps| steps.iter().map(|step| step.version).collect::<Vec<_>>())
        };
        assert_eq!(versions(&[]).unwrap(), [1, 2]);
        assert_eq!(versions(std::slice::from_ref(&first)).unwrap(), [2]);
        assert_eq!(versions(&[first, (2, STEPS[1].checksum()), (3, "x".into())]).unwrap(), [] as [i32; 0]);
        assert!(matches!(versions(&[(1, "x".into())]), Err(StoreError::ChangedMigration { version: 1 })));
    }
}
