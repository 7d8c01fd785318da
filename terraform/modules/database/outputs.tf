output "identifier" {
  description = "The instance's identifier."
  value       = aws_db_instance.this.identifier
}

output "endpoint" {
  description = "Host and port."
  value       = aws_db_instance.this.endpoint
}

output "name" {
  description = "Name of the database on it."
  value       = aws_db_instance.this.db_name
}

output "master_secret_arn" {
  description = "ARN of the secret in which RDS keeps and rotates the master password; Terraform never sees it."
  value       = aws_db_instance.this.master_user_secret[0].secret_arn
}
