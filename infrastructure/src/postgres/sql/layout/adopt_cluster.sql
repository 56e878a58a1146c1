-- $1 the cluster; one that the brokers don't name is not known from now on.
UPDATE layout SET cluster_id = $1
