"""What Terraform's state bucket is called: the catalogue's region has the plain name, another region one of its own."""

from __future__ import annotations

from pipeline.catalog import Catalog


def name(catalog: Catalog, account: str, region: str | None = None) -> str:
    """The bucket of an account's region, as terraform/bootstrap makes it. Names are one for all of S3, so that the
    bucket of a rebuild elsewhere cannot have the first one's, out of reach or not (docs/decisions/0016)."""
    plain = f"{catalog.project}-state-{account}"
    return plain if region in (None, "", catalog.region) else f"{plain}-{region}"
