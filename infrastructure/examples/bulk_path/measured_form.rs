//! The two forms behind one face.

use crate::workload::{Workload, pools};
use axs_application::port::batch_writer::BatchWriter;
use axs_infrastructure::postgres::batch::{
    BatchWriterSettings, PgBatchWriter, ReferenceBatchWriter,
};
use axs_infrastructure::postgres::pool::{Database, PgDatabase};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub type Failure = Box<dyn std::error::Error>;

pub struct MeasuredForm {
    name: &'static str,
    writer: Box<dyn BatchWriter>,
}

impl MeasuredForm {
    pub fn ours(
        name: &'static str,
        address: &str,
        settings: BatchWriterSettings,
    ) -> Result<Self, Failure> {
        let writer = PgBatchWriter::new(database(address)?, settings);
        Ok(Self {
            name,
            writer: Box::new(writer),
        })
    }

    pub fn reference(
        name: &'static str,
        address: &str,
        settings: BatchWriterSettings,
    ) -> Result<Self, Failure> {
        let writer = ReferenceBatchWriter::new(database(address)?, settings);
        Ok(Self {
            name,
            writer: Box::new(writer),
        })
    }

    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How long writing the next batch takes.
    pub async fn write(&self, workload: &mut Workload, events: usize) -> Result<Duration, Failure> {
        let batch = Arc::new(workload.next_batch(events).await?);
        let begun = Instant::now();
        self.writer.write(batch).await?;
        Ok(begun.elapsed())
    }
}

fn database(address: &str) -> Result<Arc<dyn Database>, Failure> {
    Ok(Arc::new(PgDatabase::new(pools(address)?)))
}
