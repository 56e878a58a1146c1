SELECT database_incarnation()
