# The house: a VPC with public and private subnets in every zone, each private one with IPv6 out.
data "aws_region" "current" {}

locals {
  # Named, not asked for: a zone that AWS opens must not move the subnets.
  zones = { for index, letter in var.zones : "${data.aws_region.current.name}${letter}" => index }
}

resource "aws_vpc" "this" {
  cidr_block                       = var.cidr
  assign_generated_ipv6_cidr_block = true
  enable_dns_support               = true
  enable_dns_hostnames             = true

  tags = { Name = var.project }
}

# Whoever forgets to name a group gets one that lets nothing through.
resource "aws_default_security_group" "closed" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.project}-default-closed" }
}

resource "aws_subnet" "public" {
  #checkov:skip=CKV_AWS_130:a task gets its public address from its own network configuration, nothing else is placed here
  for_each = local.zones

  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = cidrsubnet(var.cidr, 4, each.value)

  tags = { Name = "${var.project}-public-${each.key}", Tier = "public" }
}

resource "aws_subnet" "private" {
  for_each = local.zones

  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = cidrsubnet(var.cidr, 4, each.value + 8)
  ipv6_cidr_block   = cidrsubnet(aws_vpc.this.ipv6_cidr_block, 8, each.value)

  tags = { Name = "${var.project}-private-${each.key}", Tier = "private" }
}
