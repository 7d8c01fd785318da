"""Which texts must never be seen, and the veil over all that is printed, journalled or reported."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from pipeline.settings import Secret

HIDDEN = "***"
SHORTEST = 4  # to hide shorter ones would blot out ordinary words, and no secret of ours is that short


class Veil:
    """The secrets that this process has met. Whoever reads one says so here first."""

    def __init__(self) -> None:
        self._texts: set[str] = set()

    def secret(self, text: str) -> Secret:
        """The text as a Secret, hidden from now on; of an address its password as well."""
        for each in (text, text.strip(), *_password(text)):
            if len(each) >= SHORTEST:
                self._texts.add(each)
        return Secret(text)

    def over(self, value: Any) -> Any:
        """The value with every secret in it hidden: texts, and what holds texts."""
        if isinstance(value, Secret):
            return HIDDEN
        if isinstance(value, str):
            for text in sorted(self._texts, key=len, reverse=True):
                value = value.replace(text, HIDDEN)
            return value
        if isinstance(value, dict):
            return {self.over(key): self.over(each) for key, each in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.over(each) for each in value]
        return value


def _password(text: str) -> tuple[str, ...]:
    """The password of an address, as it is written there and as it is meant."""
    try:
        password = urlsplit(text).password if "://" in text else None
    except ValueError:
        return ()
    return (password, quote(password, safe="")) if password else ()
