"""How much of what was given is used: rows, groups, windows, and what was left out and why."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

SPLITS = ("train", "valid", "test")
SHOWN = 8  # groups named in one line


@dataclass(frozen=True)
class Usage:
    """Counts over the splits of one dataset, by the name of the split."""

    given: dict[str, int] = field(default_factory=dict)  # rows of the split
    used: dict[str, int] = field(default_factory=dict)  # rows of the split that are in a window
    windows: dict[str, int] = field(default_factory=dict)
    scored: dict[str, int] = field(default_factory=dict)  # samples that count
    groups: dict[str, int] = field(default_factory=dict)  # groups with a window; none without them
    left_out: dict[str, int] = field(default_factory=dict)  # rows, by the reason
    short: tuple[str, ...] = ()  # groups of which no split has a window

    @classmethod
    def read(cls, note: Mapping[str, Any]) -> "Usage":
        """What `note` wrote; a file does not keep the order of the splits."""
        counts = {
            name: {split: found[split] for split in SPLITS if split in found}
            for name, found in note.items()
            if name not in ("left_out", "short")
        }
        return cls(**counts, left_out=note["left_out"], short=tuple(note["short"]))

    def note(self) -> dict[str, Any]:
        """All counts as JSON."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """The counts in words, a line for each split and one for each loss."""
        for split, windows in self.windows.items():
            groups = f" of {self.groups[split]} groups" if self.groups else ""
            yield (
                f"{split}: {windows:,} windows{groups} with {self.used[split]:,} of"
                f" {self.given[split]:,} rows; {self.scored[split]:,} samples count"
            )
        if self.left_out:
            yield f"left out: {self.losses()}"
        if self.short:
            yield f"too short for a window: {self.short_groups()}"

    def losses(self) -> str:
        """The rows that were left out, by the reason."""
        return ", ".join(f"{rows:,} rows {reason}" for reason, rows in self.left_out.items())

    def short_groups(self) -> str:
        """The groups that give no window, the first of them by name."""
        more = len(self.short) - SHOWN
        return ", ".join(self.short[:SHOWN]) + (f" and {more:,} more" if more > 0 else "")
