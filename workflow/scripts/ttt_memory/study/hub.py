"""Fetch a repository from the Hugging Face hub at a fixed revision."""

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from requests.exceptions import RequestException

from .. import io
from ..errors import UserError


def fetch(
    hub_id: str, revision: str, out: str | Path, kept: Sequence[str], key: str, kind: str = "model"
) -> None:
    """Fetch the files of the repository that match the patterns `kept` into the folder `out`.

    The folder gets its name when it is complete. `kind` is model or dataset. `key` is the section
    of the configuration that names the repository, for messages.

    Raises:
        UserError: no file matches, or the repository cannot be fetched.
    """
    try:
        with io.beside(out) as folder:
            snapshot_download(
                hub_id,
                repo_type=kind,
                revision=revision,
                local_dir=folder,
                allow_patterns=list(kept),
            )
            # The library adds a folder of its own, whose name starts with a dot.
            if not any(not path.name.startswith(".") for path in folder.glob("*")):
                raise UserError(f"{key}: no file of {hub_id} matches {list(kept)}")
    except (HfHubHTTPError, LocalEntryNotFoundError, RequestException, OSError) as error:
        raise UserError(f"{key}.hub_id {hub_id}: cannot be fetched ({error})") from error
