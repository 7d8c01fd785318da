"""A private AWS on loopback: moto's server with AWS's manners, its state kept between runs."""

from ops.local.aws.emulator import LocalAws, LocalAwsFailed, Running

__all__ = ["LocalAws", "LocalAwsFailed", "Running"]
