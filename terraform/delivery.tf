module "delivery" {
  source = "./modules/delivery"

  project           = local.project
  services          = toset(keys(local.services))
  function_arns     = { for name, service in local.services : name => "arn:aws:lambda:${local.region}:${local.account.id}:function:${service.task_definition}" if service.kind == "lambda" }
  key_arn           = aws_kms_key.this["operations"].arn
  secrets_key_arn   = aws_kms_key.this["secrets"].arn
  protected         = var.protected
  github_repository = var.github_repository
  state_bucket_arn  = "arn:aws:s3:::${local.project}-state-${local.account.id}${local.region == module.catalog.region ? "" : "-${local.region}"}"
}
