"""The parameters of a rebuild: what was in the old region's store and nowhere else, asked for, proven, compared."""

from __future__ import annotations

from collections.abc import Mapping

from ops.runbook import account_database, alpaca_pair, alpaca_rotation, running, stored
from ops.runbook.acting import Hands
from ops.runbook.errors import Refused
from ops.runbook.finding import Finding
from ops.runbook.reading import Look
from pipeline.settings import Secret, fingerprint


def given(look: Look) -> dict[str, str]:
    """What --set says, by name. Raises Refused for a name that is none, or a secret's."""
    found = {}
    for text in look.options["set"] or ():
        name, equals, value = str(text).partition("=")
        declared = look.catalog.parameters.get(name)
        if not equals or declared is None:
            raise Refused(f"--set {text}: say NAME=VALUE with a parameter of services.yaml")
        if declared.secret:
            raise Refused(f"--set {name}=…: a secret is asked for without echo, or read from the environment")
        found[name] = value
    return found


def is_good(look: Look) -> Finding:
    """Whether the key pair that was given already is one. Raises Refused where it is not."""
    given(look)
    pair = alpaca_pair.given(look)
    if pair is None:
        return Finding.yes("no secrets were given; they are asked for and proven when it is their turn")
    number = alpaca_rotation.prove(look, pair, ("", ""))
    return Finding.yes(f"both of the provider's APIs accepted {pair.shown}; its account is {number}")


def are_entered(look: Look) -> Finding:
    """Whether each secret is set, and each other parameter what was said, else what the last runs had worked with."""
    secrets = [name for name, each in look.catalog.parameters.items() if each.secret]
    unset = [name for name in secrets if _is_unset(look, name)]
    if unset:
        return Finding.no(f"{len(secrets) - len(unset)} of {len(secrets)} secrets are set; not yet: {', '.join(unset)}")
    if account_database.find(look) is None:
        return Finding.no("there is no database yet that could tell what the last runs worked with")
    wrong = [name for name, value in given(look).items() if stored.load(look, name).value.reveal() != value]
    if wrong:
        return Finding.no(f"{', '.join(wrong)} is not yet what --set says")
    if differing := _differing(look):
        return Finding.no(f"{', '.join(differing)} is not what the last runs worked with")
    return Finding.yes(f"{len(secrets)} secrets are set, and every other parameter is as it was or as it was told")


def _is_unset(look: Look, name: str) -> bool:
    found = stored.find(look, name)
    return found is None or found.unset


def _differing(look: Look) -> list[str]:
    """Parameters that are no secret, that nobody has set here, and that the ledger knows with another value."""
    before = _before(look)
    return [
        name
        for name, each in look.catalog.parameters.items()
        if not each.secret and name in before and name not in given(look)
        and fingerprint(stored.load(look, name).value.reveal()) != before[name]
    ]  # fmt: skip


def _before(look: Look) -> Mapping[str, str]:
    """The fingerprints that the newest runs recorded, by parameter."""
    instance = account_database.load(look)
    with look.database(account_database.master_url(look, instance)) as connection:
        return dict(connection.execute(running.statement("runbook_parameters_before")).fetchall())


def enter(hands: Hands) -> None:
    """Asks for what is missing, proves the pair, then stores. Raises Refused where a value has to be said."""
    look = hands.look
    if differing := [name for name in _differing(look) if name not in given(look)]:
        told = " ".join(f"--set {name}=VALUE" for name in differing)
        raise Refused(
            f"{', '.join(differing)}: the catalogue's first value is not what the last runs worked with; say what it "
            f"was: --resume {told}"
        )
    values = _secrets(hands)
    for name, value in given(look).items():
        if stored.load(look, name).value.reveal() != value:
            path = stored.path(look, name)
            hands.client("ssm").put_parameter(Name=path, Value=value, Type="String", Overwrite=True)
            hands.say(f"stored {path}")
    for name, secret in values.items():
        stored.put(hands, name, secret)
        hands.say(f"stored {stored.path(look, name)}")


def _secrets(hands: Hands) -> dict[str, Secret]:
    """Those that are not set, read or typed; the provider's pair proven. Raises Refused."""
    look = hands.look
    missing = [name for name, each in look.catalog.parameters.items() if each.secret and _is_unset(look, name)]
    values: dict[str, Secret] = {}
    if set(missing) & set(alpaca_pair.NAMES):
        pair = alpaca_pair.given(look) or alpaca_pair.ask(hands)
        number = alpaca_rotation.prove(look, pair, ("", ""))
        hands.say(f"both of the provider's APIs accepted {pair.shown}; its account is {number}")
        values = {name: pair.of(name) for name in alpaca_pair.NAMES}
    for name in missing:
        if name not in values:
            text = look.environ.get(look.catalog.parameters[name].env)
            values[name] = look.veil.secret(text) if text else hands.ask_secret(name)
    return values
