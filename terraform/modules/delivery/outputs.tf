output "repositories" {
  description = "Address of each service's image repository."
  value       = { for name, repository in aws_ecr_repository.this : name => repository.repository_url }
}

output "github_role_arns" {
  description = "ARNs of the CI roles by what they may do; empty without a GitHub repository."
  value       = { for name, role in aws_iam_role.github : name => role.arn }
}
