# When each service fires.
locals {
  # Cron has no half hours, so the hours from 9 to 16 in New York (09:00 to 16:59) are the tightest cover of 09:30 to 16:15.
  _market_hours = { for name, period in local._period_seconds : name => (
    period == 0 ? "" :
    period == 60 ? "cron(* 9-16 ? * MON-FRI *)" :
    period < 3600 ? "cron(0/${floor(period / 60)} 9-16 ? * MON-FRI *)" :
    "cron(0 9-17 ? * MON-FRI *)"
  ) }

  # When a pause is over is for people to decide, with the healthcheck's reminder: no plan may depend on the time of day.
  _paused = { for name, entry in local._entries : name => contains(var.paused_services, name) || can(entry.paused_until) }

  _market_hours_only = { for name, entry in local._entries : name => try(entry.market_hours_only, false) == true }

  _schedules = { for name, entry in local._entries : name => {
    name           = try(entry.schedule, name)
    expression     = local._market_hours_only[name] ? local._market_hours[name] : try(entry.rate, "")
    timezone       = local._market_hours_only[name] ? "America/New_York" : "UTC"
    period_seconds = local._period_seconds[name]
    # A run older than its period has a younger one behind it. AWS's least is 60 s.
    maximum_event_age_seconds = max(60, local._period_seconds[name])
    retries                   = try(entry.retries, 0)
    state                     = local._paused[name] ? "DISABLED" : "ENABLED"
  } }
}
