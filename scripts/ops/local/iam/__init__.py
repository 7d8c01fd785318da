"""IAM's decisions as AWS documents them: may this principal do this to that, and if not, what stood in the way."""

from ops.local.iam.context import Context
from ops.local.iam.documents import MalformedPolicy, Policy, Statement, policy
from ops.local.iam.evaluation import Decision, Match, NearMiss, Policies, Request, evaluate, may_assume
from ops.local.iam.principals import Principal, role, service, user

__all__ = [
    "Context",
    "Decision",
    "MalformedPolicy",
    "Match",
    "NearMiss",
    "Policies",
    "Policy",
    "Principal",
    "Request",
    "Statement",
    "evaluate",
    "may_assume",
    "policy",
    "role",
    "service",
    "user",
]
