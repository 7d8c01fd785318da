"""The ways in which a feed fails."""

from __future__ import annotations

from pipeline.errors import PipelineError

KINDS = (
    "address",  # not an http(s) address
    "connection",  # no connection, or it broke
    "tls",
    "timeout",
    "redirect",  # too many, in circles, or to somewhere that is not http(s)
    "http_status",
    "too_large",
    "encoding",  # a Content-Encoding that cannot be undone
    "not_a_feed",
    "internal",
)


class FeedError(PipelineError):
    """One feed could not be read; the others go on. `kind` is one of KINDS, `status` the HTTP status if any."""

    code = "feed_broken"

    def __init__(self, kind: str, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status
