"""Make a trained memory small enough to hand on: a copy with its tensors in bfloat16.

python workflow/scripts/publish.py --help
"""

import argparse
from pathlib import Path

from ttt_memory.conversation.models.publication import publish
from ttt_memory.errors import run


def main() -> None:
    """Parse the command line, copy the memory, and say how large the copy is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, type=Path, help="a trained run's folder")
    parser.add_argument("--curve", type=Path, help="its training curve, Parquet, to go with it")
    parser.add_argument("--out", required=True, type=Path, help="folder of the copy")
    args = parser.parse_args()
    publish(args.model, args.out, args.curve)
    size = sum(path.stat().st_size for path in args.out.rglob("*") if path.is_file())
    print(f"{args.out}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    run(main)
