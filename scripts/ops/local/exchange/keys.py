"""Which key pairs the exchange accepts, and how each API refuses the rest.

Bodies as observed at the vendor in 2024–2026: the data API answers bad or missing keys with nginx's 401 page in HTML,
byte for byte the same for both; the trading API with 401 {"message": "unauthorized."}; a pair of another environment
with 401 code 40110000; a pair that may not read data with 403 {"message": "forbidden."}.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock

from ops.local.exchange.wire import Answer, Refused, Request, as_html, refusal

PAPER = "paper"
LIVE = "live"  # a live account's pair at the paper URL: reads data, is not authorized to trade


@dataclass(frozen=True, kw_only=True)
class KeyPair:
    """One key pair. `account` names whose it is; `sip` entitles to consolidated data of the last 15 minutes."""

    key_id: str
    secret_key: str
    account: str = PAPER
    data: bool = True
    trading: bool = True
    sip: bool = False
    valid_until: datetime | None = None

    def __repr__(self) -> str:
        return f"KeyPair(key_id={self.key_id!r}, secret_key='***', account={self.account!r})"


class KeyRing:
    """The pairs in force. All changes act on the next request."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._pairs: dict[str, KeyPair] = {}
        self._lock = Lock()

    def issue(
        self,
        key_id: str,
        secret_key: str,
        *,
        account: str = PAPER,
        data: bool = True,
        trading: bool = True,
        sip: bool = False,
    ) -> KeyPair:
        """Accept one more pair (or change what an existing key id may do)."""
        pair = KeyPair(key_id=key_id, secret_key=secret_key, account=account, data=data, trading=trading, sip=sip)
        with self._lock:
            self._pairs[key_id] = pair
        return pair

    def revoke(self, key_id: str | None = None) -> None:
        """Refuse a pair from now on; without a key id, every pair."""
        with self._lock:
            if key_id is None:
                self._pairs.clear()
            else:
                self._pairs.pop(key_id, None)

    def replace(self, key_id: str, secret_key: str, *, overlap: timedelta = timedelta()) -> KeyPair:
        """Regenerate: the new pair holds at once and inherits the rights of the newest old one; the old pairs end
        after `overlap` on the exchange's clock (the vendor's own overlap is none)."""
        with self._lock:
            old = list(self._pairs.values())
            rights = old[-1] if old else KeyPair(key_id=key_id, secret_key=secret_key)
            ends = self._now() + overlap
            self._pairs = {p.key_id: replace(p, valid_until=ends) for p in old} if overlap else {}
            pair = replace(rights, key_id=key_id, secret_key=secret_key, valid_until=None)
            self._pairs[key_id] = pair
        return pair

    def check(self, request: Request) -> KeyPair:
        """The pair that a request carries. Raises Refused with the answer of the API that was asked."""
        key_id, secret = request.headers.get("apca-api-key-id", ""), request.headers.get("apca-api-secret-key", "")
        with self._lock:
            pair = self._pairs.get(key_id)
        if pair is None or pair.secret_key != secret or (pair.valid_until and self._now() >= pair.valid_until):
            raise Refused(unauthorized(request))
        if request.about_data and not pair.data:
            raise refusal(403, "forbidden.")
        if not request.about_data and pair.account == LIVE:
            raise refusal(401, "request is not authorized", 40110000)
        if not request.about_data and not pair.trading:
            raise refusal(403, "forbidden.")
        return pair


def unauthorized(request: Request) -> Answer:
    """What the API that was asked answers to a pair that it does not know."""
    return as_html(401, "Authorization Required") if request.about_data else refusal(401, "unauthorized.").answer
