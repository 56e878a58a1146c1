//! The two forms behind one face.

use crate::reference_form::ReferenceForm;
use crate::workload::{Workload, pools};
use axs_application::port::batch_writer::BatchWriter;
use axs_infrastructure::postgres::batch::{BatchWriterSettings, PgBatchWriter};
use axs_infrastructure::postgres::pool::PgDatabase;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub type Failure = Box<dyn std::error::Error>;

pub struct MeasuredForm {
    name: &'static str,
    kind: Kind,
}

enum Kind {
    Ours(Box<PgBatchWriter>),
    Reference(ReferenceForm),
}

impl MeasuredForm {
    pub fn ours(
        name: &'static str,
        address: &str,
        settings: BatchWriterSettings,
    ) -> Result<Self, Failure> {
        let database = Arc::new(PgDatabase::new(pools(address)?));
        Ok(Self {
            name,
            kind: Kind::Ours(Box::new(PgBatchWriter::new(database, settings))),
        })
    }

    pub async fn reference(name: &'static str, address: &str) -> Result<Self, Failure> {
        Ok(Self {
            name,
            kind: Kind::Reference(ReferenceForm::connect(address).await?),
        })
    }

    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How long writing the next batch takes.
    pub async fn write(&self, workload: &mut Workload, events: usize) -> Result<Duration, Failure> {
        let batch = Arc::new(workload.next_batch(events).await?);
        let begun = Instant::now();
        match &self.kind {
            Kind::Ours(writer) => {
                writer.write(batch).await?;
            }
            Kind::Reference(form) => form.write(&batch).await?,
        }
        Ok(begun.elapsed())
    }
}
