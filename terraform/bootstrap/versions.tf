terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }

  # The one state that lies on disk: it holds a bucket, and can be had again by import. make bootstrap says where.
  backend "local" {}
}

provider "aws" {
  region = local.region

  default_tags {
    tags = { Project = local.catalog.project, ManagedBy = "terraform-bootstrap" }
  }
}
