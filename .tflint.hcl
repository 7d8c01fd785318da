# A short list of named rules; `tflint --chdir=terraform --config="$PWD/.tflint.hcl" --recursive`.
config {
  call_module_type    = "local"
  disabled_by_default = true
}

rule "terraform_deprecated_index" { enabled = true }
rule "terraform_deprecated_interpolation" { enabled = true }
rule "terraform_documented_outputs" { enabled = true }
rule "terraform_documented_variables" { enabled = true }
rule "terraform_module_pinned_source" { enabled = true }
rule "terraform_naming_convention" { enabled = false } # stage names open with an underscore (_raw → services)
rule "terraform_required_providers" { enabled = true }
rule "terraform_required_version" { enabled = true }
rule "terraform_typed_variables" { enabled = true }
rule "terraform_unused_declarations" { enabled = true }
