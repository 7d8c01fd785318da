# The catalogue and what it declares for all services alike: the parameters.
locals {
  files = {
    catalog = startswith(var.catalog_file, "/") ? var.catalog_file : "${path.root}/${var.catalog_file}"
    images  = startswith(var.images_lock_file, "/") ? var.images_lock_file : "${path.root}/${var.images_lock_file}"
  }
  project  = module.catalog.project
  services = module.catalog.services
}

module "catalog" {
  source = "./modules/catalog"

  catalog_file      = local.files.catalog
  schema_file       = "${path.root}/../services.schema.json"
  recorded_services = local.recorded_services
  allow_removal     = var.allow_removal
  paused_services   = var.paused_services
}

# Which services the last apply deployed. It lies beside the parameters' path, not under it: no task reads it.
# Read while planning, so that an entry that disappeared is refused before it takes its own alarm with it.
data "aws_ssm_parameters_by_path" "deployed" {
  path            = "/${module.catalog.project}-deployed"
  with_decryption = false
}

locals {
  recorded_services = toset(flatten([for names in nonsensitive(data.aws_ssm_parameters_by_path.deployed.values) : split(",", names)]))
}

resource "aws_ssm_parameter" "deployed" {
  #checkov:skip=CKV2_AWS_34:the names of the services, which the repository says too
  name           = "/${local.project}-deployed/services"
  description    = "The services that the last apply deployed; a plan that would remove one is refused."
  type           = "String"
  tier           = "Intelligent-Tiering"
  insecure_value = join(",", sort(keys(local.services)))
}

# What this apply meant beyond the catalogue, for the watcher to compare with (images/healthcheck/aws/intent.py). Twelve digits
# of a digest tell two images apart, and let hundreds of services fit into a parameter.
locals {
  intent_name = "/${local.project}-intent/deployment"
  intent_arn  = "arn:aws:ssm:${local.region}:${local.account.id}:parameter${local.intent_name}"
}

resource "aws_ssm_parameter" "intent" {
  #checkov:skip=CKV2_AWS_34:what the repository says too
  name        = local.intent_name
  description = "What the last apply meant: images, pauses, and what there is to watch."
  type        = "String"
  tier        = "Intelligent-Tiering"
  insecure_value = jsonencode({
    environment = var.environment
    images      = { for name in keys(local.services) : name => substr(trimprefix(try(local.images[name].digest, ""), "sha256:"), 0, 12) }
    paused      = [for name in sort(keys(local.services)) : name if local.services[name].schedule.state == "DISABLED"]
    database    = var.database != null
    provider    = coalesce(var.watch_provider, var.network.private_tasks)
    tags        = local.tags
    network     = module.network.tasks
  })
}

# What a new environment starts with. Operators change values in the parameter store (docs/decisions/0003).
resource "aws_ssm_parameter" "parameter" {
  #checkov:skip=CKV2_AWS_34:no secret; it lies open in the repository
  for_each = module.catalog.parameters

  name             = "/${local.project}/${each.key}"
  description      = each.value.purpose
  type             = "String"
  value_wo         = each.value.initial
  value_wo_version = 1
}

resource "aws_ssm_parameter" "secret" {
  for_each = module.catalog.secrets

  name             = "/${local.project}/${each.key}"
  description      = each.value.purpose
  type             = "SecureString"
  key_id           = aws_kms_key.this["secrets"].arn
  value_wo         = lookup(var.secret_values, each.key, "unset")
  value_wo_version = 1
}

locals {
  # By name and not from the resources, so that a plan can show them.
  parameter_arns = { for name in concat(keys(module.catalog.parameters), keys(module.catalog.secrets)) :
    name => "arn:aws:ssm:${local.region}:${local.account.id}:parameter/${local.project}/${name}"
  }
}
