# The bucket is named after the account, so it is given beside this file: -backend-config="bucket=ops-pipeline-state-<account id>".
key          = "production/terraform.tfstate"
region       = "us-west-2"
encrypt      = true
use_lockfile = true
