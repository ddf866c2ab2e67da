"""The one exception for what a user can fix, and the wrapper that prints it in one line."""

import sys
from collections.abc import Callable


class UserError(Exception):
    """Bad input: the message names the file or key, what was found and what was expected."""


def run(main: Callable[[], None]) -> None:
    """Run a script's `main`; a `UserError` becomes one line on stderr and exit status 2."""
    try:
        main()
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
