"""A key pair: where a new one comes from, whether it has the shape of one, and which pairs the store holds."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from ops.runbook import stored
from ops.runbook.acting import Hands
from ops.runbook.errors import Refused
from ops.runbook.reading import Look
from ops.runbook.stored import NEXT
from pipeline.settings import Secret, fingerprint

KEY_ID, SECRET_KEY = NAMES = ("alpaca_key_id", "alpaca_secret_key")  # as the catalogue calls them
GIVEN = {KEY_ID: "ALPACA_NEW_KEY_ID", SECRET_KEY: "ALPACA_NEW_SECRET_KEY"}
# What Alpaca's look like; an id is upper case throughout, a secret never is.
ID_SHAPE = re.compile(r"[PAC]K[A-Z0-9]{14,26}")
SECRET_SHAPE = re.compile(r"[A-Za-z0-9_/+=-]{32,64}")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Key id and secret key."""

    key_id: Secret
    secret_key: Secret

    def of(self, name: str) -> Secret:
        return self.key_id if name == KEY_ID else self.secret_key

    @property
    def fingerprints(self) -> dict[str, str]:
        """By parameter name, as runs record them."""
        return {name: fingerprint(self.of(name).reveal()) for name in NAMES}

    @property
    def shown(self) -> str:
        """Enough to find it on the provider's page."""
        text = self.key_id.reveal()
        return f"{text[:4]}…{text[-2:]}" if len(text) > 10 else "***"


def given(look: Look) -> Pair | None:
    """The new pair that the shell or stdin gave, as it was given; None where a person is to be asked."""
    if not look.secrets and look.options.get("from_stdin"):
        lines = [*sys.stdin.read().split("\n"), "", ""]
        look.secrets.update({name: look.veil.secret(line) for name, line in zip(NAMES, lines, strict=False)})
    for name, variable in GIVEN.items():
        if look.environ.get(variable):
            look.secrets.setdefault(name, look.veil.secret(look.environ[variable]))
    if not look.secrets.keys() >= set(NAMES):
        return None
    return Pair(key_id=look.secrets[KEY_ID], secret_key=look.secrets[SECRET_KEY])


def ask(hands: Hands) -> Pair:
    """The new pair, typed without echo where it was not given."""
    for name, what in ((KEY_ID, "new key id"), (SECRET_KEY, "new secret key")):
        if name not in hands.look.secrets:
            hands.look.secrets[name] = hands.ask_secret(what)
    found = given(hands.look)
    assert found
    return found


def require_shape(pair: Pair) -> None:
    """Raises Refused with what is wrong with the two texts, without repeating them."""
    key_id, secret = pair.key_id.reveal(), pair.secret_key.reveal()
    for what, text in (("key id", key_id), ("secret key", secret)):
        if problem := _blank(text):
            raise Refused(f"the new {what} {problem}; copy it again, alone")
    if ID_SHAPE.fullmatch(secret) and not ID_SHAPE.fullmatch(key_id):
        raise Refused("the two are swapped: what was given as the secret key is a key id")
    if not ID_SHAPE.fullmatch(key_id):
        raise Refused(
            f"the new key id does not look like one (PK… or AK…, 16 to 28 characters; these are {len(key_id)})"
        )
    if not SECRET_SHAPE.fullmatch(secret):
        raise Refused(f"the new secret key does not look like one (32 to 64 characters; these are {len(secret)})")


def _blank(text: str) -> str:
    if not text.strip():
        return "is empty"
    if "\n" in text or "\r" in text:
        return "has a line break in it"
    if re.search(r"\s", text):
        return "has a space in it"
    return ""


# ── what the store holds ─────────────────────────────────────────────────────────────────────────────────────────────


def current(look: Look) -> Pair:
    """The pair that tasks are given. Raises Refused where a parameter is missing."""
    return Pair(key_id=stored.load(look, KEY_ID).value, secret_key=stored.load(look, SECRET_KEY).value)


def is_set(pair: Pair) -> bool:
    """Whether both values are there, and not what Terraform writes at first."""
    return stored.UNSET not in (pair.key_id.reveal(), pair.secret_key.reveal())


def staged(look: Look) -> Pair | None:
    """The pair that waits beside, or None where it is not complete."""
    found = [stored.find(look, name + NEXT) for name in NAMES]
    if found[0] is None or found[1] is None:
        return None
    return Pair(key_id=found[0].value, secret_key=found[1].value)


def old(look: Look) -> Pair | None:
    """The pair before the new one: the one that this run noted, else the newest in the history that differs."""
    noted: Mapping[str, int] = look.facts.get("old_versions", {})
    now = current(look).fingerprints
    found = []
    for name in NAMES:
        if name in noted:
            found.append(next((each for each in stored.history(look, name) if each.version == noted[name]), None))
        else:
            found.append(stored.before(look, name, now[name]))
    key_id, secret = found
    if key_id is None and secret is None:
        return None
    kept = current(look)
    made = Pair(key_id=key_id.value if key_id else kept.key_id, secret_key=secret.value if secret else kept.secret_key)
    return made if is_set(made) else None
