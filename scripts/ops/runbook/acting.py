"""Acting: what only an act is given, and only while the environment's lock is held."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from ops import clock
from ops.runbook.errors import Failed, Remains
from ops.runbook.finding import Finding
from ops.runbook.interrupts import Interrupts
from ops.runbook.lease import Permit
from ops.runbook.reading import Look, connected, is_no_answer, make_client
from ops.runbook.voice import Voice
from pipeline.settings import Secret
from pipeline.store import Connection

LOGIN_ENDED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "UnrecognizedClientException")


class Notes(Protocol):
    """Where facts are kept: the journal."""

    def fact(self, facts: Mapping[str, Any]) -> None: ...


@dataclass(kw_only=True)
class Hands:
    """What acts are given: clients and connections that may write. Made from a Permit, which only the lock gives."""

    permit: Permit
    look: Look
    voice: Voice
    notes: Notes
    interrupts: Interrupts
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False)

    def client(self, service: str, region: str | None = None) -> Any:
        """A boto3 client. Raises LockLost where the lock is not ours any more."""
        self.permit.require()
        key = (service, region or self.look.region)
        if key not in self._clients:
            self._clients[key] = make_client(self.look.environ, *key)
        return self._clients[key]

    @contextmanager
    def database(self, url: Secret | None = None, *, role: str | None = None) -> Iterator[Connection]:
        """An autocommit connection to the pipeline's database, or to that of `url`, with a role's grants where one is
        named. Raises Refused without one."""
        self.permit.require()
        with connected(url or self.look.database_url(), role) as connection:
            yield connection

    def note(self, **facts: Any) -> None:
        """Writes facts down for later steps and for whoever resumes: before what depends on them. Never a secret."""
        self.notes.fact(facts)

    def say(self, text: str) -> None:
        """One line for the person who watches."""
        self.voice.detail(text)

    def ask_secret(self, what: str) -> Secret:
        """A value typed without echo. Raises Interrupted where nobody is there to type, or they stop it."""
        with self.interrupts.breakable():
            return self.look.veil.secret(self.voice.ask_secret(what))

    def ask(self, question: str) -> str:
        """A line typed in answer. Raises Interrupted where nobody is there, or they stop it."""
        with self.interrupts.breakable():
            return self.voice.ask(question)

    def wait(
        self, what: str, check: Callable[[], Finding], *, every_seconds: float, most_seconds: float, else_: str = ""
    ) -> Finding:
        """Looks until the check holds; the state when it did. An interruption ends it at once.

        An AWS that does not answer is asked again. Raises Failed after `most_seconds`, with what was last seen and
        `else_`, the remedy; Remains where the login ends meanwhile.
        """
        began = self.look.now()
        while True:
            found = _asked(check)
            if found.holds:
                return found
            waited = max(0.0, (self.look.now() - began).total_seconds())  # a clock that was set right went back
            if waited >= most_seconds:
                raise Failed(f"waited {waited:.0f} s for {what}: {found.saw}" + (f"; {else_}" if else_ else ""))
            self.voice.waiting(f"waiting for {what}: {found.saw}", waited, most_seconds)
            with self.interrupts.breakable():
                clock.sleep(every_seconds, self.look.environ)


def _asked(check: Callable[[], Finding]) -> Finding:
    """What the check sees. What stands stays so where only we were cut off; a wait of hours outlives many a login."""
    try:
        return check()
    except (ClientError, BotoCoreError) as error:
        if is_no_answer(error):
            return Finding.no(f"AWS does not answer: {error}")
        if isinstance(error, ClientError) and error.response["Error"]["Code"] in LOGIN_ENDED:
            raise Remains(f"the login has ended ({error}); log in again, then --resume") from error
        raise
