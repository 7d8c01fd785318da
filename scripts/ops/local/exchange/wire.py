"""What a request and an answer are inside the exchange, and how the vendor words its refusals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NGINX_401 = (
    "<html>\r\n<head><title>401 Authorization Required</title></head>\r\n<body>\r\n"
    "<center><h1>401 Authorization Required</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as the endpoints see it: `query` holds the last value of each parameter, headers are lower-case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def about_data(self) -> bool:
        """Whether it goes to the market data API; everything else under /v2 is the trading API."""
        return self.path.startswith("/v2/stocks")

    def symbols(self) -> set[str]:
        """Every symbol that the query, the path or the body names."""
        named = set(self.query.get("symbols", "").split(",")) | {self.path.rsplit("/", 1)[-1]}
        if self.method == "POST" and self.body:
            order = _object(self.body)
            named.add(str(order.get("symbol", "")))
        return named - {""}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Status, body and headers to send."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json; charset=UTF-8"
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """Raised inside an endpoint to answer at once."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def as_json(value: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(status=status, body=json.dumps(value, separators=(",", ":")).encode(), headers=headers)


def as_html(status: int, title: str) -> Answer:
    page = NGINX_401.replace("401 Authorization Required", f"{status} {title}")
    return Answer(status=status, body=page.encode(), content_type="text/html")


def refusal(status: int, message: str, code: int | None = None, **extra: str) -> Refused:
    """The vendor's error body: {"message"} from the data API, {"code", "message"} and sometimes more from the other."""
    body: dict[str, Any] = {} if code is None else {"code": code}
    return Refused(as_json(body | {"message": message} | extra, status))


def _object(body: bytes) -> dict[str, Any]:
    """A JSON object, or an empty one where the body is anything else."""
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
