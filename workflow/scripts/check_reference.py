"""Compare with numbers of the published code: largest difference per tensor.

    python workflow/scripts/check_reference.py FOLDER

FOLDER holds numbers of the fast weights (config.json, weights.{proj,noproj}.safetensors and
expected.safetensors, as `ttt_memory.fast_weights.reference` says) or of the forecaster
(neural_memory.safetensors and mac_titan.safetensors, as
`ttt_memory.forecast.published.reference` says).
Exit status 1 if a difference exceeds 1e-4, or 1e-5 in a single step of the forecaster's memory.
"""

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

from ttt_memory import errors
from ttt_memory.fast_weights import reference as fast_weights_reference
from ttt_memory.forecast.published import reference as forecast_reference

TOLERANCE = 1e-4  # absolute, float32


def differences(folder: Path) -> Iterator[tuple[str, float, float]]:
    """Name, difference and tolerance of every expected tensor of `folder`."""
    if forecast_reference.is_forecast(folder):
        for name, difference in forecast_reference.compare(folder):
            yield name, difference, forecast_reference.tolerance(name)
    else:
        for name, difference in fast_weights_reference.compare(folder):
            yield name, difference, TOLERANCE


def main() -> None:
    """Parse the arguments, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    folder = parser.parse_args().folder
    largest, differ = 0.0, False
    for name, difference, tolerance in differences(folder):
        wrong = math.isnan(difference) or difference > tolerance
        print(f"{difference:9.2e}  {'DIFFERS' if wrong else 'agrees '}  {name}")
        largest = math.inf if math.isnan(difference) else max(largest, difference)
        differ |= wrong
    print(f"{largest:9.2e}  largest; {'some differ' if differ else 'all agree'}")
    raise SystemExit(differ)


if __name__ == "__main__":
    errors.run(main)
