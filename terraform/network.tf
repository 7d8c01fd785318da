module "network" {
  source = "./modules/network"

  project            = local.project
  cidr               = var.network.cidr
  zones              = var.network.zones
  private_tasks      = var.network.private_tasks
  logs_key_arn       = aws_kms_key.this["operations"].arn
  log_retention_days = var.log_retention_days
}
