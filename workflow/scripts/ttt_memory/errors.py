"""The exception for mistakes that a user can fix, and how a script prints it in one line."""

import sys
from collections.abc import Callable


class UserError(Exception):
    """Bad input. The message names the file or the key, what was found and what was expected."""


def run(main: Callable[[], None]) -> None:
    """Run a script's `main`. A `UserError` is printed on stderr in one line; exit status 2."""
    try:
        main()
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
