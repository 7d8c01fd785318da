# How long a service may be silent or failing before someone is paged.
#
# RunsCompleted is summed over buckets of `period_seconds`. FILL turns an empty bucket into a real 0: CloudWatch looks 3 to 4
# periods past the evaluated ones for real data when data is merely missing, and a one-minute job would page after six minutes.
# One lost run is the failure alarm's affair, so silence is two periods without a beat, rounded up by the bucket that the last
# beat lies in: 2 × period / bucket + 1 buckets. Fault to page at worst: the rest of the last beat's bucket, those, one minute of evaluation.
locals {
  # An alarm over buckets under an hour may look back one day, over an hour seven.
  _bucket_seconds = { for name, period in local._period_seconds : name => period <= 3600 ? 60 : period <= 11 * 3600 ? 300 : 3600 }
  _buckets        = { for name, period in local._period_seconds : name => ceil(2 * period / local._bucket_seconds[name]) + 1 }

  # 1 while New York is on daylight saving time, from the second Sunday of March to the first of November: on a weekday
  # DATE − DAY is the date of the Sunday before.
  _daylight_saving = join("", [
    "IF(MONTH(runs) > 3 AND MONTH(runs) < 11, 1, ",
    "IF(MONTH(runs) == 3 AND DATE(runs) - DAY(runs) >= 8, 1, ",
    "IF(MONTH(runs) == 11 AND DATE(runs) - DAY(runs) < 1, 1, 0)))",
  ])
  _hour_after_new_york = "HOUR(runs) + ${local._daylight_saving}" # 14 when it is nine in New York, summer and winter

  _silences = { for name, entry in local._entries : name => {
    expression = (
      local._paused[name] ? "FILL(runs, 0) * 0 + 1" : # a service that rests on purpose is not silent
      local._market_hours_only[name]
      ? "IF(DAY(runs) < 6 AND ${local._hour_after_new_york} >= 14 AND ${local._hour_after_new_york} < 22, FILL(runs, 0), 1)"
      : "FILL(runs, 0)"
    )
    period_seconds        = local._bucket_seconds[name]
    evaluation_periods    = local._buckets[name]
    worst_seconds_to_page = local._bucket_seconds[name] * (local._buckets[name] + 1) + 60
  } }

  # Two bad periods out of three: one failed run heals itself, two are a fault.
  _failures = { for name, period in local._period_seconds : name => {
    period_seconds      = max(60, min(86400, period))
    evaluation_periods  = 3
    datapoints_to_alarm = 2
  } }
}
