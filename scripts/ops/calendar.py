"""Writes the exchange sessions table (images/base/pipeline/sessions.csv) from exchange-calendars.

Development only: exchange-calendars costs 0.5 s and 165 MB at start, too much for a one-minute task.
"""

from pathlib import Path

import click
import exchange_calendars
import pandas as pd

TABLE = Path(__file__).resolve().parents[2] / "images/base/pipeline/sessions.csv"


@click.command()
@click.option("--from", "first", default="2006-01-01", show_default=True, help="First date that the table speaks for.")
@click.option(
    "--to", "last", default=None, help="Last date; default: as far ahead as exchange-calendars goes (a year)."
)
@click.option("--out", type=click.Path(path_type=Path), default=TABLE, show_default=False, help="File to write.")
def main(first: str, last: str | None, out: Path) -> None:
    """Write the table; run again (and commit) to extend it."""
    end = pd.Timestamp(last) if last else exchange_calendars.get_calendar("XNYS").last_session
    calendar = exchange_calendars.get_calendar("XNYS", start=pd.Timestamp(first), end=end)
    schedule = calendar.schedule
    lines = [
        f"{day.date()},{row.open:%H:%M},{row.close:%H:%M}"
        for day, row in zip(schedule.index, schedule.itertuples(), strict=True)
    ]
    header = f"# {first}..{end.date()} XNYS regular sessions, UTC; exchange-calendars {exchange_calendars.__version__}"
    out.write_text("\n".join([header, *lines]) + "\n", encoding="ascii")
    click.echo(f"{len(lines)} sessions, {first} to {end.date()}, written to {out}")


if __name__ == "__main__":
    main()
