//! A relay's scan to its end.

use crate::port::change_log::ChangeLogRecord;
use crate::port::relay_source::{LogPlace, RelayScan, RelaySource};

/// The rows of a scan, whatever parts the log is read in: as many as its limit.
pub async fn scanned(source: &dyn RelaySource, mut scan: RelayScan) -> Vec<ChangeLogRecord> {
    let limit = usize::try_from(scan.limit).unwrap();
    let mut rows = Vec::new();
    loop {
        scan.limit = u32::try_from(limit - rows.len()).unwrap();
        let page = source.still_init(scan.clone()).await.unwrap();
        // Of either length, one after the other.
        scan.is_dense = !scan.is_dense;
        rows.extend(page.rows);
        if rows.len() >= limit || page.read_to >= scan.until {
            return rows;
        }
        let behind = LogPlace::end_of(page.read_to);
        assert!(
            scan.behind.is_none_or(|before| before < behind),
            "it must go on"
        );
        scan.behind = Some(behind);
    }
}
