"""Write workflow/schemas/config.schema.json and the table of keys in config/README.md.

python workflow/scripts/export_schema.py [--root FOLDER]
"""

import argparse
from pathlib import Path

from ttt_memory import errors, io
from ttt_memory.study.config import key_table


def main() -> None:
    """Write both files anew from the configuration classes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(__file__).parents[2],
        help="folder that contains workflow/ and config/ (default: this repository)",
    )
    root = parser.parse_args().root
    guide = root / "config" / "README.md"
    if not guide.is_file():
        raise errors.UserError(f"{guide}: no such file")
    io.write_json(root / "workflow" / "schemas" / "config.schema.json", key_table.schema())
    io.write_text(guide, key_table.readme(guide.read_text(encoding="utf-8")))


if __name__ == "__main__":
    errors.run(main)
