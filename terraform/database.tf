module "database" {
  source = "./modules/database"
  count  = var.database == null ? 0 : 1

  providers = {
    aws      = aws
    aws.copy = aws.copy
  }

  project = local.project
  size = {
    engine_version  = var.database.engine_version
    instance_class  = var.database.instance_class
    storage_gib     = var.database.storage_gib
    storage_max_gib = var.database.storage_max_gib
    multi_az        = var.database.multi_az
  }
  backup = {
    point_in_time_days = var.database.point_in_time_days
    daily_days         = var.database.daily_days
    copy_region        = local.copy_region
  }
  protected            = var.protected
  subnet_ids           = module.network.private_subnet_ids
  security_group_ids   = [module.network.database_security_group_id]
  key_arn              = aws_kms_key.this["data"].arn
  copy_key_policy_json = data.aws_iam_policy_document.account_key.json
}
