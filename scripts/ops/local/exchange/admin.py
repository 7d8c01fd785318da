"""The exchange's controls over HTTP, for tests and chaos in another process: faults, keys, clock, stats.

Every request carries the header X-Admin-Token. Bodies are JSON objects; a mistake is answered 400 with what is known.

    GET    /admin/faults              list        POST   /admin/faults {"kind": …, …}     add → the fault with its id
    DELETE /admin/faults[/ID]         take back one, or all
    POST   /admin/keys  {"action": "issue" | "replace" | "revoke", "key_id", "secret_key", "overlap_seconds", rights}
    GET    /admin/clock               now         POST   /admin/clock {"now": ISO or null}
    GET    /admin/stats               requests by method, path and status
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ops.local.exchange import faults
from ops.local.exchange.wire import Answer, Request, as_json

if TYPE_CHECKING:
    from ops.local.exchange.server import Exchange


class _Mistake(Exception):
    """An admin request that cannot be done; the text says why."""


def answer(exchange: Exchange, request: Request) -> Answer:
    """Do one admin request."""
    if not hmac.compare_digest(request.headers.get("x-admin-token", ""), exchange.admin_token):
        return as_json({"error": "X-Admin-Token does not match; it was printed at the start"}, 401)
    name = request.path.split("/")[2]
    if name not in _ACTIONS:
        return as_json({"error": f"no /admin/{name}; there are {', '.join(_ACTIONS)}"}, 404)
    try:
        return as_json(_ACTIONS[name](exchange, request))
    except (_Mistake, faults.UnknownFault, ValueError, TypeError, KeyError) as error:
        return as_json({"error": f"{type(error).__name__}: {error}"}, 400)


def _body(request: Request) -> dict[str, Any]:
    body = json.loads(request.body or b"{}")
    if not isinstance(body, dict):
        raise _Mistake("the body must be a JSON object")
    return body


def _faults(exchange: Exchange, request: Request) -> Any:
    if request.method == "POST":
        return faults.to_json(exchange.faults.add(faults.from_json(_body(request))))
    if request.method == "DELETE":
        wanted = request.path.removeprefix("/admin/faults").strip("/")
        if not wanted:
            exchange.faults.clear()
        elif not exchange.faults.remove(wanted):
            raise _Mistake(f"no fault {wanted!r}")
    return [faults.to_json(f) for f in exchange.faults.all()]


def _keys(exchange: Exchange, request: Request) -> Any:
    body = _body(request)
    action, key_id = body.pop("action", None), body.pop("key_id", None)
    if action == "revoke":
        exchange.keys.revoke(key_id)
    elif action == "issue":
        exchange.keys.issue(key_id, **body)
    elif action == "replace":
        overlap = timedelta(seconds=float(body.get("overlap_seconds", 0)))
        exchange.keys.replace(key_id, body["secret_key"], overlap=overlap)
    else:
        raise _Mistake(f"action is {action!r}; there are issue, replace, revoke")
    return {"done": action, "key_id": key_id}


def _clock(exchange: Exchange, request: Request) -> Any:
    if request.method == "POST":
        text = _body(request)["now"]
        now = datetime.fromisoformat(text) if text else None
        exchange.set_now(now.replace(tzinfo=UTC) if now and now.tzinfo is None else now)
    return {"now": exchange.now().isoformat()}


def _stats(exchange: Exchange, request: Request) -> Any:
    return {
        "now": exchange.now().isoformat(),
        "symbols": len(exchange.market.symbols),
        "bars": len(exchange.market),
        "requests": dict(exchange.statuses),
        "faults": [faults.to_json(f) for f in exchange.faults.all()],
    }


_ACTIONS: dict[str, Callable[[Exchange, Request], Any]] = {
    "faults": _faults,
    "keys": _keys,
    "clock": _clock,
    "stats": _stats,
}
