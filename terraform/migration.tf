# The task that migrates the database of an account, which nobody outside its network reaches.
locals {
  # It writes parameters, so it needs the AWS SDK, which the watcher's image alone carries.
  migration_image = try([for name in sort(keys(local.services)) : name if local.services[name].watches][0], "")
}

module "migration" {
  source = "./modules/migration"
  count  = var.database == null ? 0 : 1

  project = local.project
  account = local.account
  image = {
    address    = "${local.account.id}.dkr.ecr.${local.region}.amazonaws.com/${local.project}/${local.migration_image}"
    repository = "${local.project}/${local.migration_image}"
    digest     = try(local.images[local.migration_image].digest, null)
  }
  database = {
    endpoint          = module.database[0].endpoint
    name              = module.database[0].name
    master_secret_arn = module.database[0].master_secret_arn
  }
  keys = {
    operations = aws_kms_key.this["operations"].arn
    secrets    = aws_kms_key.this["secrets"].arn
    data       = aws_kms_key.this["data"].arn
  }
  log_retention_days = var.log_retention_days
}
