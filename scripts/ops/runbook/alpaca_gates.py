"""What must be true before a key pair is rotated: it is read where it is stored, and it really is the key."""

from __future__ import annotations

from ops.runbook import alpaca_pair, alpaca_provider, diagnosis, stored
from ops.runbook.alpaca_provider import Answers, Verdict
from ops.runbook.errors import Refused
from ops.runbook.finding import Finding
from ops.runbook.reading import Look

# The stored pair is asked about so often that a provider that refuses every third good one is seen with 99.8 %.
TIMES = 8
OURS = frozenset(("key_rejected", "key_swapped", "not_entitled"))
# They explain no missing bar: what watches is at fault, not what is watched.
BESIDE = frozenset(
    ("alarm_missing", "alarm_no_action", "alarm_disabled", "subscription_unconfirmed", "watcher_silent", "bars_gap")
)


def names_are_read(look: Look) -> Finding:
    """Whether every task that is declared to read the pair is deployed so that it gets exactly these parameters."""
    alpaca_pair.current(look)
    wrong, count = [], 0
    for service, sources in stored.readers(look, alpaca_pair.NAMES):
        count += 1
        for parameter in service.environment:
            if parameter.name in alpaca_pair.NAMES:
                wanted = f":parameter{stored.path(look, parameter.name)}"
                if not sources.get(parameter.env, "").endswith(wanted):
                    wrong.append(f"{service.name} gets {parameter.env} from {sources.get(parameter.env, 'nowhere')}")
    if wrong or not count:
        told = "; ".join(wrong) or "no task is declared to read the pair"
        raise Refused(f"what is stored would not be what is read: {told}; run make plan apply ENV={look.environment}")
    return Finding.yes(f"{count} tasks read both parameters by the names that are written here")


def provider_is_clear(look: Look) -> Finding:
    """Whether the provider says the same each time, so that its word can be taken for the new pair as well."""
    pair = alpaca_pair.current(look)
    if not alpaca_pair.is_set(pair):
        return Finding.yes("no pair is stored yet")
    return _judge(alpaca_provider.ask(look, pair, TIMES), planned=bool(look.options["planned"]))


def _judge(answers: Answers, *, planned: bool) -> Finding:
    if answers.inconsistent:
        raise Refused(
            f"the provider contradicts itself about the stored pair: {answers.inconsistent}. That is not the key, and "
            "a new one would fare no better; see status.alpaca.markets and wait"
        )
    if answers.ever(Verdict.UNANSWERED):
        raise Refused(
            f"the provider does not answer as it should ({answers.told}), so no new pair could be proven; wait for it"
        )
    if answers.always(Verdict.ACCEPTED) and not planned:
        raise Refused(
            f"the stored pair was accepted {len(answers.all)} of {len(answers.all)} times, so it is not the key; run "
            "scripts/diagnose, or add --planned after a leak or by the calendar"
        )
    return Finding.yes(f"about the stored pair it says each time the same: {answers.told}")


def nothing_else_explains_it(look: Look) -> Finding:
    """Whether the diagnosis blames the key, and the key alone."""
    if look.options["planned"]:
        return Finding.yes("planned: no symptom is to be explained")
    return diagnosis.judge(diagnosis.ask(look), OURS, BESIDE, "the key")
