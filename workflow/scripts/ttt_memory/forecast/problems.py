"""Mistakes in the forecast study's configuration that only the file system shows."""

from collections.abc import Iterator
from pathlib import Path

from .config import ForecastConfig, TableDataset
from .strategy import BASELINES, STRATEGIES, path_of


def problems(config: ForecastConfig, root: Path) -> Iterator[tuple[str, str]]:
    """Pairs of a key below `forecast` and what is wrong with it; paths start at `root`."""
    for kind, folder in (("strategies", STRATEGIES), ("baselines", BASELINES)):
        for name, entry in getattr(config, kind).items():
            if not (root / path_of(entry, folder)).is_file():
                known = ", ".join(sorted(file.stem for file in folder.glob("*.py")))
                yield (
                    f"{kind}.{name}",
                    f"found {entry.file!r}, expected an existing .py file or one of {known}",
                )
    for name, dataset in config.datasets.items():
        for key in ("path",) if isinstance(dataset, TableDataset) else ("train", "valid", "test"):
            path = getattr(dataset, key, None)
            if path and not path.startswith("package:") and not (root / path).is_file():
                yield f"datasets.{name}.{key}", f"found {path!r}, expected an existing file"
