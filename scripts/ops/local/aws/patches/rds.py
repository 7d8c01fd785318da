"""RDS: settings that moto drops or invents."""

from __future__ import annotations

import json
import string
from collections.abc import Iterable
from typing import Any

from moto.moto_api._internal import mock_random
from moto.rds import models

from ops.local.aws.patches.tools import around

PASSWORD_CHARACTERS = string.ascii_letters + string.digits + "!#$%&()*+,-.:;<=>?[]^_{|}~"
RETENTION_DAYS = 7  # AWS's default where Performance Insights is on


def performance_insights() -> None:
    """A database reports whether Performance Insights is on, its key and retention; moto forgets all three."""

    @around(models.DBInstance, "__init__")
    def born(original: Any, self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        _keep_insights(self, kwargs)

    @around(models.DBInstance, "update")
    def update(original: Any, self: Any, **kwargs: Any) -> None:
        original(self, **kwargs)
        _keep_insights(self, kwargs)


def _keep_insights(instance: Any, given: dict[str, Any]) -> None:
    if "enable_performance_insights" not in given:
        return
    on = str(given["enable_performance_insights"]).lower() == "true"
    days = given.get("performance_insights_retention_period") or RETENTION_DAYS
    instance.performance_insights_enabled = on
    instance.performance_insights_kms_key_id = given.get("performance_insights_kms_key_id") if on else None
    instance.performance_insights_retention_period = days if on else None


def resource_ids() -> None:
    """Each database has its own DbiResourceId; moto gives all the same, and Terraform takes it for the id."""

    @around(models.DBInstance, "__init__")
    def born(original: Any, self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.dbi_resource_id = "db-" + mock_random.get_random_hex(26).upper()


def master_secrets() -> None:
    """A master's secret has the login's own name, and a password of its own, of characters as RDS takes them; moto
    gives everybody admin's, and always the same one."""

    @around(models.MasterUserSecret, "_generate_secret_string")
    def generate(original: Any, self: Any) -> str:
        password = "".join(mock_random.choices(PASSWORD_CHARACTERS, k=28))
        return json.dumps({"username": self.resource.master_username, "password": password})


def provisioned_clusters() -> None:
    """Only a cluster of engine mode `serverless` has a scaling configuration; moto reports one for each."""
    original: Any = models.DBCluster.scaling_configuration_info

    def scaling_configuration_info(self: Any) -> Any:
        return original.fget(self) if self.engine_mode == "serverless" else None

    models.DBCluster.scaling_configuration_info = property(scaling_configuration_info)  # type: ignore[assignment]


def parameter_source() -> None:
    """A parameter that was set has `Source: user`; moto leaves it out, and Terraform then overlooks it."""
    for owner, name in (
        (models.DBParameterGroup, "update_parameters"),
        (models.DBClusterParameterGroup, "update_cluster_parameters"),
    ):

        @around(owner, name)
        def update(original: Any, self: Any, parameters: Iterable[dict[str, Any]]) -> Any:
            return original(self, [{**parameter, "Source": "user"} for parameter in parameters])
