"""Compare the fast weights with numbers of the published code: largest difference per tensor.

    python workflow/scripts/check_reference.py FOLDER

FOLDER holds config.json, weights.{proj,noproj}.safetensors and expected.safetensors, as
`ttt_memory.fast_weights.published` says. Exit status 1 if a difference exceeds 1e-4.
"""

import argparse
import math
from pathlib import Path

from ttt_memory import errors
from ttt_memory.fast_weights.published import compare

TOLERANCE = 1e-4  # absolute, float32


def main() -> None:
    """Parse the arguments, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    folder = parser.parse_args().folder
    worst = 0.0
    for name, difference in compare(folder):
        wrong = math.isnan(difference) or difference > TOLERANCE
        print(f"{difference:9.2e}  {'DIFFERS' if wrong else 'agrees '}  {name}")
        worst = math.inf if math.isnan(difference) else max(worst, difference)
    print(f"{worst:9.2e}  largest; at most {TOLERANCE:.0e} is expected")
    raise SystemExit(worst > TOLERANCE)


if __name__ == "__main__":
    errors.run(main)
