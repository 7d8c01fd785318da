# PostgreSQL, reached by TLS alone, from tasks alone.
resource "aws_db_subnet_group" "this" {
  name        = var.project
  description = "Private subnets"
  subnet_ids  = var.subnet_ids
}

resource "aws_db_parameter_group" "this" {
  name        = "${var.project}-postgres${split(".", var.size.engine_version)[0]}"
  family      = "postgres${split(".", var.size.engine_version)[0]}"
  description = "TLS for every connection, slow statements in the log"

  parameter {
    name         = "rds.force_ssl"
    value        = "1"
    apply_method = "immediate"
  }

  parameter {
    name         = "log_min_duration_statement"
    value        = "1000"
    apply_method = "immediate"
  }

  parameter {
    name         = "log_statement"
    value        = "ddl"
    apply_method = "immediate"
  }

  lifecycle {
    create_before_destroy = true
  }
}

data "aws_iam_policy_document" "monitoring_trust" {
  statement {
    sid     = "EnhancedMonitoring"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["monitoring.rds.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "monitoring" {
  name               = "${var.project}-database-monitoring"
  assume_role_policy = data.aws_iam_policy_document.monitoring_trust.json
}

resource "aws_iam_role_policy_attachment" "monitoring" {
  role       = aws_iam_role.monitoring.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
}

resource "aws_db_instance" "this" {
  #checkov:skip=CKV_AWS_157:a standby in a second zone is the environment's choice (size.multi_az); paper money does not pay for one
  #checkov:skip=CKV_AWS_293:deletion protection is the environment's choice (protected), off only while an environment is being taken down
  identifier     = var.project
  engine         = "postgres"
  engine_version = var.size.engine_version
  instance_class = var.size.instance_class
  multi_az       = var.size.multi_az

  db_name                             = "pipeline"
  username                            = "pipeline_admin"
  manage_master_user_password         = true
  master_user_secret_kms_key_id       = var.key_arn
  iam_database_authentication_enabled = true

  allocated_storage     = var.size.storage_gib
  max_allocated_storage = var.size.storage_max_gib
  storage_type          = "gp3"
  storage_encrypted     = true
  kms_key_id            = var.key_arn

  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = var.security_group_ids
  publicly_accessible    = false
  parameter_group_name   = aws_db_parameter_group.this.name

  # Outside the session, New York time: 02:00 to 03:00 in summer.
  backup_retention_period    = var.backup.point_in_time_days
  backup_window              = "06:00-07:00"
  maintenance_window         = "sun:07:30-sun:08:30"
  auto_minor_version_upgrade = true
  copy_tags_to_snapshot      = true
  deletion_protection        = var.protected
  skip_final_snapshot        = !var.protected
  final_snapshot_identifier  = var.protected ? "${var.project}-final" : null
  delete_automated_backups   = !var.protected
  apply_immediately          = false

  monitoring_interval                   = 60
  monitoring_role_arn                   = aws_iam_role.monitoring.arn
  performance_insights_enabled          = true
  performance_insights_kms_key_id       = var.key_arn
  performance_insights_retention_period = 7
  enabled_cloudwatch_logs_exports       = ["postgresql", "upgrade"]
}
