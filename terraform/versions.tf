terraform {
  required_version = ">= 1.11" # write-only arguments

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }

  # The rest is in environments/<environment>.backend.hcl; the bucket is bootstrap's.
  backend "s3" {}
}
