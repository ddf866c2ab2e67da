"""What an edit reruns: a finished study is edited in every way, and Snakemake asked what it plans.

    python tests/helpers/invalidation.py

prints a table of every edit, with the rules that it reruns, and exits 1 where they are not those
expected. It also writes the examples of docs/invalidation.md. The study's outputs are made up and
recorded by Snakemake itself (`--touch`); the edits and the dry runs are real. Files from which the
same is expected are edited at once: each job then names the inputs that it would rerun for.
"""

import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from clone import ROOT, Clone, copy_repository
from dryrun import DryRuns, Job
from edits import EDITS, appended
from expectations import RULES, own, with_all_that_follows

DOCUMENT = ROOT / "docs" / "invalidation.md"
BEGIN = "<!-- These rows are written by tests/helpers/invalidation.py. -->\n"
END = "<!-- End of the written rows. -->\n"
SCRIPTS = Path("workflow", "scripts")
Expected = dict[str, frozenset[str]]  # rules by file
CONFIG = ("--configfile", "config/smoke.yaml", "config/made.yaml")
# The edits that docs/invalidation.md shows, and why they rerun what they do.
EXAMPLES = {
    "touch of every file": "Content is compared, not times.",
    "comment in config.yaml": "The values are compared, not the text.",
    "key `resources.recall.threads`": "Threads shape no result. The record holds all keys.",
    "ttt_memory/report/page.py": "Only the report runs this file.",
    "key `scoring.viable`": "Predictions are kept; only scores and the verdict use the key.",
    "key `recall.max_new_tokens`": "The trained models are kept and asked again.",
    "key `benchmark.seed`": "Other probes; models do not train on the benchmark.",
    "key `corpus.dialogues`": "Models train on the corpus, so everything after it follows.",
    "ttt_memory/conversation/train/objective.py": "Runs train with it; the base model does not.",
    "ttt_memory/fast_weights/rules/mesa.py": "An update rule's file is an input of its own runs.",
    "ttt_memory/fast_weights/rules/delta.py": "No run of this study uses this rule.",
    "ttt_memory/cost/data_sheets.py": "Only the cost command and benchmarks use it.",
    "ttt_memory/forecast/strategies/mesa.py": "A strategy's file is an input of its own jobs.",
    "own strategy mine.py": "The same holds for a file of your own.",
    "ttt_memory/fast_weights/naive.py": "Only tests run the readable reference form.",
    "record lost: metrics of a run": "A result without its record is not trusted.",
}


@dataclass(frozen=True)
class Row:
    """An edit, and the rules that it should and would rerun."""

    edit: str
    expected: frozenset[str]
    planned: frozenset[str]


@dataclass(frozen=True)
class Finished:
    """A study that Snakemake takes for finished, though nothing was computed."""

    clone: Clone
    dry_runs: DryRuns

    def planned(self, *presets: str) -> list[Job]:
        """The jobs that Snakemake would run."""
        return self.dry_runs(self.clone.path, *CONFIG, *presets)


@contextmanager
def finished(folder: Path) -> Iterator[Finished]:
    """A finished study in `folder`: strategies and baselines, one run, imported predictions."""
    clone, dry_runs = copy_repository(folder), DryRuns()
    (folder / "config" / "made.yaml").write_text(yaml.safe_dump(study()))
    (folder / "theirs.json").write_text("{}")
    built_in = folder / "workflow/scripts/ttt_memory/forecast/strategies/mesa.py"
    (folder / "mine.py").write_bytes(built_in.read_bytes())
    try:
        made = Finished(clone, dry_runs)
        for job in made.planned():
            for output in job.outputs:
                make_up(folder / output)
        touched = clone.snakemake("--profile", "local", "--touch", *CONFIG)
        assert touched.returncode == 0, touched.stdout
        assert made.planned() == []
        yield made
    finally:
        dry_runs.close()


def study() -> dict:
    """What is laid over config/smoke.yaml; baselines of libraries may not be installed."""
    forecast = ROOT / SCRIPTS / "ttt_memory" / "forecast"
    names = {
        kind: {
            file.stem: file.stem
            for file in sorted((forecast / kind).glob("*.py"))
            if "NEEDS_PACKAGE" not in file.read_text(encoding="utf-8")
        }
        for kind in ("strategies", "baselines")
    }
    return {
        "results": "results/made",
        "runs": {"b-mini": None, "write-drop-read": {"sweeps": False}},
        "recall": {"conditions": ["A", "B"]},
        "imports": {"theirs": {"benchmark": "theirs.json", "predictions": {"A": "theirs.json"}}},
        "forecast": {**names, "strategies": {**names["strategies"], "mine": "mine.py"}},
    }


def make_up(output: Path) -> None:
    """An output with any content."""
    if output.name == "model":  # a trained run is a folder
        output.mkdir(parents=True)
        output /= "config.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(f"made up: {output.name}\n")


def code_files() -> list[str]:
    """Every file that a script may run or read, from the scripts' folder."""
    files = (path for path in (ROOT / SCRIPTS).rglob("*") if path.is_file())
    return sorted(str(path.relative_to(ROOT / SCRIPTS)) for path in files if path.suffix != ".pyc")


def matrix(made: Finished) -> list[Row]:
    """A row for each file of the code, then one for each other edit."""
    together: dict[frozenset[str], Expected] = defaultdict(dict)
    for file in code_files():
        wanted = with_all_that_follows(own(file))
        # Strategies do not follow from one another.
        together[frozenset(label.split(":")[0] for label in wanted)][file] = wanted
    rows = [row for group in together.values() for row in code_rows(made, group)]
    rows.sort(key=lambda row: ("/" in row.edit, row.edit))
    for edit in EDITS:
        with edit.made(made.clone.path) as presets:
            planned = frozenset(labels(made.planned(*presets)))
        rows.append(Row(edit.name, with_all_that_follows(edit.rules), planned))
    return rows


def code_rows(made: Finished, group: Expected) -> Iterator[Row]:
    """A row for each file of a group from which the same rules are expected, from one dry run.

    A job that reruns for another job's output names no files. So a file can be seen to rerun less
    than it would alone, where others of its group set off what comes before, but never more.

    Raises:
        RuntimeError: Snakemake plans a job that none of the edits explains, or the reverse.
    """
    with ExitStack() as stack:
        for file in group:
            stack.enter_context(appended(made.clone.path / SCRIPTS / file))
        jobs = made.planned()
    found = {file: rerun_for(str(SCRIPTS / file), jobs) for file in group}
    explained = {job.outputs for own_jobs in found.values() for job in own_jobs}
    if explained != {job.outputs for job in jobs}:
        raise RuntimeError(f"{sorted(labels(jobs))}: planned, but not from {list(group)} alone")
    for file, own_jobs in found.items():
        yield Row(file, group[file], frozenset(labels(own_jobs)))


def rerun_for(file: str, jobs: list[Job]) -> list[Job]:
    """The planned jobs that name `file` as their reason, and those that take what they make."""
    found = [job for job in jobs if file in job.updated()]
    for job in found:  # grows on the way
        found.extend(next_ for next_ in jobs if next_ not in found and job.outputs & next_.inputs)
    return found


def labels(jobs: Iterable[Job]) -> set[str]:
    """The rules of the jobs; where not all strategies are among them, each with its own."""
    jobs = list(jobs)
    strategies = {job.wildcards["strategy"] for job in jobs if job.rule == "forecast"}
    every = {name for kind in ("strategies", "baselines") for name in study()["forecast"][kind]}
    rules = {job.rule for job in jobs if job.rule != "forecast"}
    if strategies == every:
        return {*rules, "forecast"}
    return rules | {f"forecast:{name}" for name in strategies}


def table(rows: Iterable[Row]) -> str:
    """Markdown: a row for each edit, a column for each rule."""
    rules = [rule for rule in RULES if rule != "all"]
    lines = ["| Edit | " + " | ".join(rules) + " |", "|---" * (len(rules) + 1) + "|"]
    for row in rows:
        cells = (cell(row, rule) for rule in rules)
        lines.append(f"| {row.edit} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def cell(row: Row, rule: str) -> str:
    """● expected and planned; else which of the two is missing."""
    wanted, planned = (
        {name for name in names if name.split(":")[0] == rule}
        for names in (row.expected, row.planned)
    )
    if wanted != planned:
        return f"expected {sorted(wanted)}, planned {sorted(planned)}"
    return " ".join(sorted(wanted)).replace(f"{rule}:", "").replace(rule, "●")


def examples(rows: Iterable[Row]) -> str:
    """Markdown: the edits that the document shows, what they rerun, and why."""
    planned = {row.edit: row.planned for row in rows}
    lines = ["| Edit | What reruns | Why |", "|---|---|---|"]
    for edit, why in EXAMPLES.items():
        lines.append(f"| {edit} | {reruns(planned[edit])} | {why} |")
    return "\n".join(lines) + "\n"


def reruns(planned: frozenset[str]) -> str:
    """The rules in the order of the workflow, a strategy's jobs by its name."""
    ordered = sorted(planned, key=lambda label: RULES.index(label.split(":")[0]))
    names = (label.replace("forecast:", "forecast of ") for label in ordered if label != "all")
    return ", ".join(names) or "nothing"


def with_examples(document: str, rows: Iterable[Row]) -> str:
    """The document with its rows brought up to date."""
    before, after = document.split(BEGIN)
    return f"{before}{BEGIN}\n{examples(rows)}\n{END}{after.split(END)[1]}"


def main() -> int:
    """Print the table and write the examples; 1 if any edit reruns other rules than expected."""
    with tempfile.TemporaryDirectory() as folder, finished(Path(folder, "clone")) as made:
        rows = matrix(made)
    text = with_examples(DOCUMENT.read_text(encoding="utf-8"), rows)
    DOCUMENT.write_text(text, encoding="utf-8")
    wrong = [row for row in rows if row.expected != row.planned]
    print(table(rows))
    print(f"{len(rows)} edits, {len(rows) - len(wrong)} rerun exactly what is expected")
    if wrong:
        print(f"\n{len(wrong)} do not:\n\n{table(wrong)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
