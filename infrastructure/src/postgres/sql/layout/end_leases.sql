UPDATE partition_leases SET owner = NULL, expires_at = '-infinity'
