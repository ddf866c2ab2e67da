"""Take a memory that is trained already as the model of a run.

python workflow/scripts/take_trained.py --help
"""

import argparse
import shutil
from pathlib import Path

from ttt_memory import io
from ttt_memory.conversation import schemas
from ttt_memory.conversation.config.training import ADAPTER, BASE, CURVE, FAST
from ttt_memory.errors import UserError, run
from ttt_memory.study.provenance import provenance


def main() -> None:
    """Parse the command line, and copy the memory and its training curve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", required=True, help="name of the run under `runs`")
    parser.add_argument("--seed", required=True, type=int, help="training seed")
    parser.add_argument("--trained", required=True, type=Path, help="folder of the memory")
    parser.add_argument("--out", required=True, help="folder for the trained run")
    parser.add_argument("--curve", required=True, help="training curve, Parquet")
    args = parser.parse_args()
    if not (args.trained / FAST).is_dir():
        raise UserError(f"--trained: found {str(args.trained)!r}, expected a folder with {FAST}")
    with io.beside(args.out) as folder:
        for part in (FAST, BASE, ADAPTER):
            if (args.trained / part).is_dir():
                shutil.copytree(args.trained / part, folder / part)
    curve = args.trained / CURVE
    rows = []
    if curve.is_file():
        rows = io.read_table(curve, schemas.CURVE).assign(run=args.run, seed=args.seed)
    about = provenance({"trained": str(args.trained)}, seed=args.seed)
    io.write_table(args.curve, rows, schemas.CURVE, about)


if __name__ == "__main__":
    run(main)
