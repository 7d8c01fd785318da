module "delivery" {
  source = "./modules/delivery"

  project           = local.project
  services          = toset(keys(local.services))
  key_arn           = aws_kms_key.this["operations"].arn
  protected         = var.protected
  github_repository = var.github_repository
  state_bucket_arn  = "arn:aws:s3:::${local.project}-state-${local.account.id}"
}
