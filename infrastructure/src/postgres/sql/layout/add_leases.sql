-- $1 partitions.
INSERT INTO partition_leases (partition) SELECT unnest($1::integer[])
