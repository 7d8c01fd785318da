# One provider, whatever it talks to: a real account, or the emulator by AWS_ENDPOINT_URL. Nothing here knows which.
locals {
  region = coalesce(var.region, module.catalog.region)

  # A region is no copy of itself: rebuilt where its copies lay, an environment has none until it is told where (rebuild-region).
  copies_to   = try(coalesce(var.copy_region, var.database.copy_region), null)
  copy_region = local.copies_to == local.region ? null : local.copies_to

  tags = {
    Project     = module.catalog.project
    Environment = var.environment
    ManagedBy   = "terraform"
  }
}

provider "aws" {
  region = local.region

  default_tags {
    tags = local.tags
  }
}

# Where copies of backups go; the region itself where none do.
provider "aws" {
  alias  = "copy"
  region = coalesce(local.copy_region, local.region)

  default_tags {
    tags = local.tags
  }
}

data "aws_caller_identity" "current" {}

locals {
  account = { id = data.aws_caller_identity.current.account_id, region = local.region }
}
