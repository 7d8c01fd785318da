"""Budgets: what Terraform reads back after it made one."""

from __future__ import annotations

import json
from typing import Any

from moto.budgets.responses import BudgetsResponse

from ops.local.aws.patches.tools import around, kept, method_of

TAGS = "budget_tags"


def tags() -> None:
    """The tags of a budget; moto drops those given at creation and has no actions for them."""

    @around(BudgetsResponse, "create_budget")
    def create_budget(original: Any, self: Any) -> Any:
        answer = original(self)
        account, name = self._get_param("AccountId"), self._get_param("Budget")["BudgetName"]
        arn = f"arn:aws:budgets::{account}:budget/{name}"
        kept(self.backend, TAGS)[arn] = {tag["Key"]: tag["Value"] for tag in self._get_param("ResourceTags") or []}
        return answer

    @method_of(BudgetsResponse)
    def list_tags_for_resource(self: Any) -> str:
        found = kept(self.backend, TAGS).get(self._get_param("ResourceARN"), {})
        return json.dumps({"ResourceTags": [{"Key": key, "Value": value} for key, value in found.items()]})

    @method_of(BudgetsResponse)
    def tag_resource(self: Any) -> str:
        found = kept(self.backend, TAGS).setdefault(self._get_param("ResourceARN"), {})
        found.update({tag["Key"]: tag["Value"] for tag in self._get_param("ResourceTags")})
        return "{}"

    @method_of(BudgetsResponse)
    def untag_resource(self: Any) -> str:
        found = kept(self.backend, TAGS).get(self._get_param("ResourceARN"), {})
        for key in self._get_param("ResourceTagKeys"):
            found.pop(key, None)
        return "{}"


def updates() -> None:
    """UpdateBudget, which moto lacks."""

    @method_of(BudgetsResponse)
    def update_budget(self: Any) -> str:
        new = self._get_param("NewBudget")
        self.backend.budgets[self._get_param("AccountId")][new["BudgetName"]].budget.update(new)
        return "{}"


def subscribers() -> None:
    """DescribeSubscribersForNotification, which moto lacks."""

    @method_of(BudgetsResponse)
    def describe_subscribers_for_notification(self: Any) -> str:
        budget = self.backend.budgets[self._get_param("AccountId")][self._get_param("BudgetName")]
        wanted = {key: value for key, value in self._get_param("Notification").items() if key != "NotificationState"}
        for notification in budget.notifications:
            if all(notification.details.get(key) == value for key, value in wanted.items()):
                return json.dumps({"Subscribers": notification.subscribers})
        return json.dumps({"Subscribers": []})
