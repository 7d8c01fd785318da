"""Whom a connection believes that the server is RDS: the authorities in the image, and nobody else."""

from __future__ import annotations

import hashlib
import ssl
from datetime import UTC, datetime

from pipeline import catalog, store

# What AWS publishes at https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem, pinned by many for years.
PUBLISHED = "e5bb2084ccf45087bda1c9bffdea0eb15ee67f0b91646106e466714f9de3c7e3"


def authorities() -> list[dict[str, str]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(store.RDS_AUTHORITIES)
    return [
        {"name": dict(pair[0] for pair in each["subject"])["commonName"], "until": str(each["notAfter"])}  # type: ignore[index, misc]
        for each in context.get_ca_certs()
    ]


def test_the_file_is_the_one_that_aws_publishes() -> None:
    assert hashlib.sha256(store.RDS_AUTHORITIES.read_bytes()).hexdigest() == PUBLISHED


def test_every_kind_of_root_is_there_for_our_region_and_lasts_for_years() -> None:
    region = catalog.load().region
    known = {each["name"]: each["until"] for each in authorities()}
    for kind in ("RSA2048", "RSA4096", "ECC384"):
        until = ssl.cert_time_to_seconds(known[f"Amazon RDS {region} Root CA {kind} G1"])
        assert datetime.fromtimestamp(until, UTC).year > 2050
