# Paper trading on a real account, as cheap as it gets: public subnets without NAT, the smallest database.
environment        = "paper"
budget_usd         = 150
log_retention_days = 30

database = {
  instance_class     = "db.t4g.micro"
  point_in_time_days = 7
  max_connections    = 60
}

# Without NAT the healthcheck's Lambda, which has no IPv4 address in a VPC, reaches AWS by IPv6.
lambda_environment = { AWS_USE_DUALSTACK_ENDPOINT = "true" }

# Yours to set. GitHub allows no double hyphen in an owner's name, so that until then nobody is trusted.
github_repository   = "example--org/ops-pipeline"
alert_subscriptions = { operator = { protocol = "email", endpoint = "operator@example.com" } }
