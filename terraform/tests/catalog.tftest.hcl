# The pure module: what it computes from the project's own catalogue, and that it refuses. What each refusal says is in
# tests/terraform/test_hcl_refusals.py.
variables {
  catalog_file = "../services.yaml"
  schema_file  = "../services.schema.json"
}

run "a_one_minute_job_pages_within_five_minutes" {
  command = plan

  module {
    source = "./modules/catalog"
  }

  assert {
    condition     = length([for service in output.services : service if service.schedule.period_seconds == 60]) > 0
    error_message = "No one-minute job in the catalogue: the next assertion would hold for nothing."
  }

  assert {
    condition     = alltrue([for service in output.services : service.silence.worst_seconds_to_page <= 300 if service.schedule.period_seconds == 60])
    error_message = "Seconds to page: ${jsonencode({ for name, service in output.services : name => service.silence.worst_seconds_to_page })}"
  }

  assert {
    condition     = alltrue([for service in output.services : service.silence.worst_seconds_to_page <= 3 * service.schedule.period_seconds if service.schedule.period_seconds >= 300])
    error_message = "Seconds to page: ${jsonencode({ for name, service in output.services : name => service.silence.worst_seconds_to_page })}"
  }
}

run "one_lost_run_wakes_nobody" {
  command = plan

  module {
    source = "./modules/catalog"
  }

  assert {
    condition     = alltrue([for service in output.services : service.silence.period_seconds * service.silence.evaluation_periods > 2 * service.schedule.period_seconds])
    error_message = "An alarm shorter than two periods sounds for one lost run."
  }
}

run "a_run_older_than_its_period_is_not_delivered" {
  command = plan

  module {
    source = "./modules/catalog"
  }

  assert {
    condition     = alltrue([for service in output.services : service.schedule.maximum_event_age_seconds == max(60, service.schedule.period_seconds)])
    error_message = "The event age is not the period."
  }

  assert {
    condition     = output.services["dispatcher"].schedule.retries == 0
    error_message = "A late dispatch is worse than none."
  }
}

run "defaults_are_filled_in" {
  command = plan

  module {
    source = "./modules/catalog"
  }

  assert {
    condition     = output.services["rss_ingest"].cpu == 256 && output.services["classifier"].cpu == 512
    error_message = "A default is lost, or overrides an entry."
  }
}

run "a_service_that_rests_outside_market_hours_fires_in_new_york" {
  command = plan

  module {
    source = "./modules/catalog"
  }

  variables {
    catalog_file = "tests/fixtures/market_hours.yaml"
  }

  assert {
    condition     = output.services["minutely"].schedule.expression == "cron(* 9-16 ? * MON-FRI *)" && output.services["minutely"].schedule.timezone == "America/New_York"
    error_message = output.services["minutely"].schedule.expression
  }

  assert {
    condition     = output.services["five_minutely"].schedule.expression == "cron(0/5 9-16 ? * MON-FRI *)" && output.services["five_minutely"].schedule.period_seconds == 300
    error_message = output.services["five_minutely"].schedule.expression
  }

  assert {
    condition     = strcontains(output.services["minutely"].silence.expression, "FILL(runs, 0), 1)")
    error_message = "Its silence at night would page."
  }
}

run "a_paused_service_keeps_its_schedule_disabled" {
  command = plan

  module {
    source = "./modules/catalog"
  }

  variables {
    paused_services = ["classifier"]
  }

  assert {
    condition     = [for name, service in output.services : name if service.schedule.state == "DISABLED"] == ["classifier"]
    error_message = "Another than the paused one is disabled."
  }

  assert {
    condition     = [for name, service in output.services : name if service.silence.expression == "FILL(runs, 0) * 0 + 1"] == ["classifier"]
    error_message = "A service that rests on purpose would be called silent, or one that does not would not."
  }
}

run "a_catalogue_can_pause_a_service_too" {
  command = plan

  module {
    source = "./modules/catalog"
  }

  variables {
    catalog_file = "tests/fixtures/paused.yaml"
  }

  assert {
    condition     = output.services["resting"].schedule.state == "DISABLED"
    error_message = "paused_until does not disable the schedule."
  }
}

run "a_removed_service_is_refused" {
  command = plan

  module {
    source = "./modules/catalog"
  }

  variables {
    recorded_services = ["dispatcher", "old_service"]
  }

  expect_failures = [output.services]
}

run "a_removed_service_that_is_meant_passes" {
  command = plan

  module {
    source = "./modules/catalog"
  }

  variables {
    recorded_services = ["dispatcher", "old_service"]
    allow_removal     = ["old_service"]
  }

  assert {
    condition     = output.problems == []
    error_message = join("; ", output.problems)
  }
}

run "a_broken_catalogue_is_refused" {
  command = plan

  module {
    source = "./modules/catalog"
  }

  variables {
    catalog_file = "tests/fixtures/broken.yaml"
  }

  expect_failures = [output.services]
}
