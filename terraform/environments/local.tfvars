# A private AWS on this machine: no database of its own (DATABASE_URL leads to the embedded one), nothing to protect.
environment         = "local"
protected           = false
budget_usd          = 100
log_retention_days  = 7
old_pages_days      = null
watch_provider      = true
images_lock_file    = "../.local/images.lock.json"
github_repository   = "example--org/ops-pipeline"
alert_subscriptions = { operator = { protocol = "email", endpoint = "operator@example.com" } }
