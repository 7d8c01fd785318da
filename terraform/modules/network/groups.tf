# Who may talk to whom: tasks to the world by HTTPS and to the database; the world to nobody.
resource "aws_security_group" "tasks" {
  #checkov:skip=CKV2_AWS_5:attached by the schedules' network configuration and by the Lambda
  name        = "${var.project}-tasks"
  description = "Tasks and the healthcheck: no way in"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.project}-tasks" }
}

resource "aws_vpc_security_group_egress_rule" "tasks_https" {
  security_group_id = aws_security_group.tasks.id
  description       = "HTTPS to the data provider, the feeds and AWS"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_egress_rule" "tasks_https_v6" {
  security_group_id = aws_security_group.tasks.id
  description       = "HTTPS over IPv6"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv6         = "::/0"
}

resource "aws_vpc_security_group_egress_rule" "tasks_database" {
  security_group_id            = aws_security_group.tasks.id
  description                  = "PostgreSQL"
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  referenced_security_group_id = aws_security_group.database.id
}

resource "aws_security_group" "database" {
  #checkov:skip=CKV2_AWS_5:attached to the database by modules/database
  name        = "${var.project}-database"
  description = "The database: PostgreSQL from tasks alone"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.project}-database" }
}

resource "aws_vpc_security_group_ingress_rule" "database_tasks" {
  security_group_id            = aws_security_group.database.id
  description                  = "PostgreSQL from tasks"
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  referenced_security_group_id = aws_security_group.tasks.id
}

resource "aws_security_group" "endpoints" {
  count = var.private_tasks ? 1 : 0

  name        = "${var.project}-endpoints"
  description = "Interface endpoints: HTTPS from tasks alone"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.project}-endpoints" }
}

resource "aws_vpc_security_group_ingress_rule" "endpoints_tasks" {
  count = var.private_tasks ? 1 : 0

  security_group_id            = aws_security_group.endpoints[0].id
  description                  = "HTTPS from tasks"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  referenced_security_group_id = aws_security_group.tasks.id
}
