"""Whether there is room for logs: a job that finds none cannot say so in its log."""

import tempfile
from pathlib import Path

from ..io import ALMOST_FULL, writable


def require_room(folder: Path) -> None:
    """Check that a small file can be written in `folder`, if there is such a folder.

    Raises:
        UserError: it cannot.
    """
    if not folder.is_dir():
        return
    with writable(folder), tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(ALMOST_FULL))
