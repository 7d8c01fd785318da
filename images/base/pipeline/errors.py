"""The errors a run may end with; each says what, where and the remedy."""


class PipelineError(Exception):
    """A failure that we understand: its text is for the person on call and needs no traceback.

    `code` is a cause code of SPEC §6 where the failure itself is proof of one, else None.
    """

    code: str | None = None

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class ConfigInvalid(PipelineError):
    """A parameter is missing, unparsable or unknown; the service refuses to start rather than guess."""

    code = "config_invalid"


class DatabaseUnreachable(PipelineError):
    """No connection to PostgreSQL within the time allowed."""

    code = "db_unreachable"


class SchemaDiffers(PipelineError):
    """The database is not at the migration this image was built with."""

    code = "db_schema"


class CalendarEnds(PipelineError):
    """A date outside the sessions table: whether the market is open is unknown, which is not 'closed'."""


class DeadlineExceeded(PipelineError):
    """The run was still going when its deadline passed."""

    code = "task_hang"


class Terminated(PipelineError):
    """ECS (or an operator) asked the run to stop."""
