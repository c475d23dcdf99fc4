//! The exporter `database`: batches become rows of a store.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use tokio::task::JoinHandle;

use super::chain::chain;
use crate::diagnostics;
use crate::pipeline::exporter::{BatchExporter, DoneFuture, ExportError, ExportFuture, Exported};
use crate::store::{self, Converter, Kind, Store, StoreError, StoreOptions, kind};

/// How often partitions and retention are looked after.
const MAINTENANCE: Duration = Duration::from_secs(600);

/// After a maintenance that failed.
const NEXT_TRY: Duration = Duration::from_secs(30);

/// An exporter that writes to the store of these options. It connects with the first batch.
///
/// # Errors
///
/// Those of [`store::open`].
pub(crate) fn database(options: StoreOptions) -> Result<Box<dyn BatchExporter>, StoreError> {
    let store = store::open(options.clone())?;
    Ok(Box::new(Database { store, options, converter: None, janitor: None, place_is_told: false }))
}

struct Database {
    store: Arc<dyn Store>,
    options: StoreOptions,
    converter: Option<Converter>,
    janitor: Option<JoinHandle<()>>,
    place_is_told: bool,
}

impl Database {
    /// Whoever did not choose a place must learn where the file is.
    fn tell_place(&mut self) {
        if std::mem::replace(&mut self.place_is_told, true) {
            return;
        }
        if let Ok(Kind::Sqlite(path)) = kind(&self.options.url) {
            let path = std::path::absolute(&path).unwrap_or(path);
            diagnostics::info(format_args!("spans go to the SQLite file {}", path.display()));
        }
    }
}

impl BatchExporter for Database {
    fn component_type(&self) -> &'static str {
        "throughline_database_span_exporter"
    }

    fn name(&self) -> &'static str {
        "database"
    }

    fn start(&mut self, resource: &Resource) {
        self.tell_place();
        self.converter = Some(Converter::new(resource, self.options.lift.clone()));
        if let Some(janitor) = self.janitor.take() {
            janitor.abort();
        }
        self.janitor = Some(tokio::spawn(maintain(Arc::clone(&self.store))));
    }

    fn export<'a>(&'a mut self, spans: &'a [SpanData]) -> ExportFuture<'a> {
        Box::pin(async move {
            let Some(converter) = &mut self.converter else {
                return Err(ExportError::Permanent { message: "not started".into() });
            };
            let rows = spans.iter().map(|span| converter.convert(span)).collect();
            match self.store.write(rows).await {
                Ok(written) if written.rejected > 0 => Ok(Exported {
                    rejected: written.rejected,
                    reason: "they are older than the retention, more than a year ahead, or hold a value that the database \
                             cannot"
                        .to_owned(),
                }),
                Ok(_) => Ok(Exported::default()),
                Err(error) => {
                    let message = chain(&error).into();
                    Err(if error.is_transient() {
                        ExportError::Transient { retry_after: None, message }
                    } else {
                        ExportError::Permanent { message }
                    })
                }
            }
        })
    }

    fn shutdown(&mut self) -> DoneFuture<'_> {
        if let Some(janitor) = self.janitor.take() {
            janitor.abort();
        }
        Box::pin(async {})
    }

    fn may_block(&self) -> bool {
        // SQLite has a thread of its own, PostgreSQL never blocks.
        false
    }
}

/// Makes partitions ahead and keeps to the retention for as long as the exporter lives. A maintenance that fails is told
/// once, until one succeeds.
pub(crate) async fn maintain(store: Arc<dyn Store>) {
    let mut failed = false;
    loop {
        let pause = match store.maintain(SystemTime::now()).await {
            Ok(_) => {
                failed = false;
                MAINTENANCE
            }
            // The delivery tells that the database is away.
            Err(error) if error.is_transient() => NEXT_TRY,
            Err(error) => {
                if !std::mem::replace(&mut failed, true) {
                    diagnostics::warn(format_args!("the store is not looked after: {}", chain(&error)));
                }
                MAINTENANCE
            }
        };
        tokio::time::sleep(pause).await;
    }
}
