output "vpc_id" {
  description = "Id of the VPC."
  value       = aws_vpc.this.id
}

output "private_subnet_ids" {
  description = "Ids of the private subnets, one a zone: the database's and the Lambda's."
  value       = [for zone in keys(local.zones) : aws_subnet.private[zone].id]
}

output "tasks" {
  description = "Where tasks run: subnets, security groups and whether they get a public address."
  value = {
    subnet_ids         = [for zone in keys(local.zones) : var.private_tasks ? aws_subnet.private[zone].id : aws_subnet.public[zone].id]
    security_group_ids = [aws_security_group.tasks.id]
    assign_public_ip   = !var.private_tasks
  }
}

output "database_security_group_id" {
  description = "Id of the group that lets tasks reach the database."
  value       = aws_security_group.database.id
}
