"""The half of AWS that an emulator leaves out: what is deployed fires, is permitted or refused, runs, fails, alarms."""

from ops.local.plane.invocation import EndedTask, Invocation, Minute, Refusal
from ops.local.plane.plane import Plane

__all__ = ["EndedTask", "Invocation", "Minute", "Plane", "Refusal"]
