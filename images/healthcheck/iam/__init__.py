"""IAM's decisions as AWS documents them: may this principal do this to that, and if not, what stood in the way."""

from healthcheck.iam.context import Context
from healthcheck.iam.documents import MalformedPolicy, Policy, Statement, policy
from healthcheck.iam.evaluation import Decision, Match, NearMiss, Policies, Request, evaluate, may_assume
from healthcheck.iam.principals import Principal, role, service, user

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
