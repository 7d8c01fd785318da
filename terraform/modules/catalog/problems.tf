# What makes a catalogue unusable, one sentence each, all of them at once. The Python reader refuses the same.
locals {
  _known_top = keys(local._schema.properties)
  _options   = keys(local._schema["$defs"].options.properties)
  _own       = keys(local._schema.properties.services.additionalProperties.properties)
  _required  = local._schema.properties.services.additionalProperties.required
  _entry_keys = {
    for name, entry in try(local._raw.services, {}) : name => try(keys(entry), [])
  }

  _unknown_keys = concat(
    [for key in setsubtract(keys(local._raw), local._known_top) : "${key}: unknown key of the catalogue"],
    [for key in setsubtract(keys(local._defaults), local._options) : "defaults: unknown key ${key}"],
    flatten([for name, given in local._entry_keys :
      [for key in setsubtract(given, concat(local._options, local._own)) : "services.${name}: unknown key ${key}"]
    ]),
    flatten([for group in ["parameters", "secrets"] : [for name, entry in try(local._raw[group], {}) :
      [for key in setsubtract(keys(entry), keys(local._schema.properties[group].additionalProperties.properties)) : "${group}.${name}: unknown key ${key}"]
    ]]),
  )

  _missing_keys = concat(
    [for key in setsubtract(local._schema.required, keys(local._raw)) : "missing key ${key} of the catalogue"],
    [for key in setsubtract(local._options, keys(local._defaults)) : "defaults: missing key ${key}"],
    flatten([for name, given in local._entry_keys :
      [for key in setsubtract(local._required, concat(given, ["when_silent"])) : "services.${name}: missing key ${key}"]
    ]),
  )

  # A schedule without an alarm: no words for it, or so rare that CloudWatch (seven days at most) could never call it silent.
  _unalarmed = concat(
    [for name, service in local.services :
      "services.${name}: schedule ${service.schedule.name} has no alarm: when_silent, its text, is missing" if trimspace(service.when_silent) == ""
    ],
    [for name, service in local.services :
      "services.${name}: schedule ${service.schedule.name} has no alarm: two periods of ${service.schedule.period_seconds} s are more than CloudWatch looks back"
      if service.silence.period_seconds * service.silence.evaluation_periods > 7 * 86400
    ],
  )

  _bad_times = concat(
    [for name, entry in local._entries :
      "services.${name}.rate: '${try(entry.rate, "")}' is not like rate(1 minute) or rate(5 minutes)"
      if local._period_seconds[name] == 0 && contains(local._entry_keys[name], "rate")
    ],
    [for name, service in local.services :
      "services.${name}.deadline_seconds: ${service.deadline_seconds} is not shorter than the period, ${service.schedule.period_seconds} s"
      if service.schedule.period_seconds > 0 && service.deadline_seconds >= service.schedule.period_seconds
    ],
    [for name, period in local._period_seconds :
      "services.${name}.market_hours_only: needs a period that divides an hour, found ${period} s"
      if local._market_hours_only[name] && (period == 0 ? false : 3600 % period != 0)
    ],
    [for name, service in local.services :
      "services.${name}.retries: ${service.schedule.retries} is not 0, 1 or 2" if !contains([0, 1, 2], service.schedule.retries)
    ],
  )

  _bad_shapes = concat(
    [for name, service in local.services :
      "services.${name}.kind: '${service.kind}' is neither task nor lambda" if !contains(["task", "lambda"], service.kind)
    ],
    # "<project>-<name>-execution" has to fit into the 64 characters of an IAM role's name.
    [for name, service in local.services :
      "services.${name}: the name has ${length(name)} characters, at most 40 fit into its role's name" if length(name) > 40
    ],
    [for name in keys(local.services) :
      "services.${name}: a name has lower-case letters, digits and underscores only" if !can(regex("^[a-z][a-z0-9_]*$", name))
    ],
    [for name, service in local.services :
      "services.${name}: ${service.cpu} CPU units with ${service.memory} MiB is no Fargate size"
      if service.kind == "task" && !contains(lookup(local._fargate_memory, service.cpu, []), service.memory)
    ],
  )

  _fargate_memory = {
    256  = [512, 1024, 2048]
    512  = [for gib in range(1, 5) : gib * 1024]
    1024 = [for gib in range(2, 9) : gib * 1024]
    2048 = [for gib in range(4, 17) : gib * 1024]
    4096 = [for gib in range(8, 31) : gib * 1024]
  }

  _undeclared = flatten([for group in ["parameters", "secrets"] : [for name, entry in local._entries :
    [for key in setsubtract(try(entry[group], []), keys(try(local._raw[group], {}))) : "services.${name}.${group}: ${key} is not declared"]
  ]])

  # Two services under one schedule or task family would hide each other.
  _twins = flatten([for key in ["schedule", "task_definition"] : [
    for value, names in { for name, entry in local._entries : try(entry[key], name) => name... } :
    "services.${join(" and services.", names)} have the same ${key}, ${value}" if length(names) > 1
  ]])

  _removed = [for name in setsubtract(var.recorded_services, concat(keys(local._entries), tolist(var.allow_removal))) :
    "services.${name}: deployed, but gone from the catalogue; its schedule and its alarm would go silently. If that is meant, allow it: --allow-removal ${name} (variable allow_removal)"
  ]

  _unknown_pauses = [for name in setsubtract(var.paused_services, keys(local._entries)) : "paused_services: no service ${name} in the catalogue"]

  problems = concat(
    local._unknown_keys, local._missing_keys, local._unalarmed, local._bad_times, local._bad_shapes,
    local._undeclared, local._twins, local._removed, local._unknown_pauses,
  )
}
