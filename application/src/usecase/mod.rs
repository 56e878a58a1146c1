//! What AXS does, one verb phrase a file.
