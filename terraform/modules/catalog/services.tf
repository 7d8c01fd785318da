# The catalogue, computed: `_raw` is what the file says, `services` what the other modules place. No provider, no resource.
locals {
  _raw    = yamldecode(file(var.catalog_file))
  _schema = jsondecode(file(var.schema_file))

  _defaults = try(local._raw.defaults, {})
  _entries  = { for name, entry in try(local._raw.services, {}) : name => try(merge(local._defaults, entry), local._defaults) }

  # EventBridge Scheduler takes "1 minute" and "5 minutes", and refuses "1 minutes"; the schema's pattern says so too.
  _rate_pattern = local._schema.properties.services.additionalProperties.properties.rate.pattern
  _period_seconds = { for name, entry in local._entries : name => try(
    regex(local._rate_pattern, entry.rate) == null ? 0 :
    tonumber(regex("[0-9]+", entry.rate)) * (strcontains(entry.rate, "hour") ? 3600 : 60),
    0
  ) }

  services = { for name, entry in local._entries : name => {
    name             = name
    dashed           = replace(name, "_", "-")
    purpose          = try(entry.purpose, "")
    when_silent      = try(entry.when_silent, "")
    kind             = try(entry.kind, "task")
    cpu              = try(entry.cpu, 256)
    memory           = try(entry.memory, 512)
    deadline_seconds = try(entry.deadline_seconds, 0)
    task_definition  = try(entry.task_definition, name)
    reads            = try(tolist(entry.reads), tolist([]))
    writes           = try(tolist(entry.writes), tolist([]))
    parameters       = { for key in try(entry.parameters, []) : try(local._raw.parameters[key].env, key) => key }
    secrets          = { for key in try(entry.secrets, []) : try(local._raw.secrets[key].env, key) => key }
    schedule         = local._schedules[name]
    silence          = local._silences[name]
    failures         = local._failures[name]
    stores_bars      = contains(try(entry.writes, []), "bars")
    watches          = contains(try(entry.writes, []), "findings")
  } }
}
