module "observability" {
  source = "./modules/observability"

  project = local.project
  account = local.account
  services = { for name, service in local.services : name => {
    name           = name
    purpose        = service.purpose
    when_silent    = service.when_silent
    stores_bars    = service.stores_bars
    watches        = service.watches
    period_seconds = service.schedule.period_seconds
    expression     = service.silence.expression
  } }
  service_alarms     = { for name, service in module.service : name => { silent = service.silent_alarm, arns = service.alarms } }
  subscriptions      = var.alert_subscriptions
  cluster_arn        = aws_ecs_cluster.this.arn
  scheduler_role_arn = aws_iam_role.scheduler.arn
  key_arn            = aws_kms_key.this["operations"].arn

  database_identifier = var.database == null ? null : module.database[0].identifier
  database_limits = {
    free_storage_bytes = 5 * 1024 * 1024 * 1024
    cpu_percent        = 90
    connections        = try(var.database.max_connections, 80)
  }

  budget_usd         = var.budget_usd
  protected          = var.protected
  old_pages_days     = var.old_pages_days
  log_retention_days = var.log_retention_days
}
