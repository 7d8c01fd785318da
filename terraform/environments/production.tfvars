# Everything: private tasks with endpoints, a standby database, backups that another region holds too.
environment        = "production"
budget_usd         = 600
log_retention_days = 365

network = { private_tasks = true }

database = {
  instance_class     = "db.t4g.medium"
  storage_gib        = 50
  storage_max_gib    = 500
  multi_az           = true
  point_in_time_days = 14
  daily_days         = 35
  copy_region        = "us-east-2"
  max_connections    = 300
}

# Yours to set. GitHub allows no double hyphen in an owner's name, so that until then nobody is trusted.
github_repository   = "example--org/ops-pipeline"
alert_subscriptions = { operator = { protocol = "email", endpoint = "operator@example.com" } }
