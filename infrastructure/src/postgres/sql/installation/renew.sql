UPDATE layout SET installation_id = gen_random_uuid()
