"""The workflow run from another folder, as a module, and as snakedeploy deploys it from git."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from clone import ROOT, Clone, copy_repository, jobs_of
from conversation_files import CONVERSATION
from presets import merged
from ttt_memory import __version__
from ttt_memory.conversation.config.training import MEMORY
from ttt_memory.errors import UserError
from ttt_memory.forecast.strategy import REQUIRED
from ttt_memory.study import config

BENCHMARK = "results/smoke/benchmark/benchmark.parquet"
# The names that a run may leave in its folder: results, records, and this test's cache.
LEFT = {"results", ".snakemake", ".cache"}
# What snakedeploy 0.17 writes into workflow/Snakefile for a repository of GitHub.
DEPLOYED = """
configfile: "config/config.yaml"


module ttt_memory:
    snakefile:
        github("owner/ttt-memory", path="workflow/Snakefile", tag="{tag}")
    config:
        config


use rule * from ttt_memory
"""


def executed(folder: Clone, *arguments: str, **environment: str) -> bytes:
    """The benchmark that a run in `folder` makes."""
    result = folder.snakemake(*arguments, **environment)
    assert result.returncode == 0, result.stdout
    return (folder.path / BENCHMARK).read_bytes()


def planned(folder: Clone, *arguments: str, **environment: str) -> dict[str, int]:
    """How many jobs of each rule a dry run in `folder` would run."""
    result = folder.snakemake("--dry-run", "--cores", "1", *arguments, **environment)
    assert result.returncode == 0, result.stdout
    return jobs_of(result.stdout)


@pytest.fixture(scope="module")
def smoke(clone: Clone) -> dict[str, int]:
    """The jobs of the smoke preset in the repository itself, without the target."""
    jobs = clone.planned("--configfile", "config/smoke.yaml")
    del jobs["all"]
    return jobs


@pytest.fixture(scope="module")
def elsewhere(clone: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """Another folder, in which the benchmark was made by the workflow's own Snakefile."""
    folder = Clone(tmp_path_factory.mktemp("elsewhere"))
    asked = ("-s", f"{clone.path}/Snakefile", "--configfile", f"{clone.path}/config/smoke.yaml")
    executed(folder, "--profile", f"{clone.path}/profiles/local", *asked, "--", BENCHMARK)
    return folder


# --- from another folder -----------------------------------------------------------------------


def test_run_from_another_folder_leaves_its_results_there_and_fetches_nothing(
    elsewhere: Clone,
) -> None:
    assert {path.name for path in elsewhere.path.iterdir()} == LEFT
    made = {path.name for path in (elsewhere.path / "results" / "smoke").iterdir()}
    assert made == {"benchmark", "benchmarks", "logs"}


def test_another_folder_has_the_default_and_the_base_model_of_the_workflow(
    clone: Clone, elsewhere: Clone
) -> None:
    asked = ("--dry-run", "--printshellcmds", "-s", f"{clone.path}/workflow/Snakefile")
    result = elsewhere.snakemake(*asked)
    assert result.returncode == 0, result.stdout
    expected = clone.planned()
    expected["default"] = expected.pop("all")
    assert jobs_of(result.stdout) == expected
    assert f" --base {clone.path}/data/models/embedded " in result.stdout


def test_directory_option_is_where_results_go(
    clone: Clone, tmp_path: Path, smoke: dict[str, int]
) -> None:
    asked = ("--directory", str(tmp_path), "--configfile", "config/smoke.yaml")
    assert planned(clone, *asked) == {**smoke, "all": 1}
    assert (tmp_path / ".snakemake").is_dir()


# --- as a module -------------------------------------------------------------------------------


def test_module_is_planned_and_executed_under_other_names(
    clone: Clone, elsewhere: Clone, tmp_path: Path, smoke: dict[str, int]
) -> None:
    (tmp_path / "Snakefile").write_text(
        f"""
configfile: "{clone.path}/config/config.yaml"
configfile: "{clone.path}/config/smoke.yaml"


module ttt:
    snakefile: "{clone.path}/workflow/Snakefile"
    config: config


use rule * from ttt as ttt_*


rule count:
    input: rules.ttt_make_benchmark.output.benchmark
    output: "size.txt"
    shell: "wc -c < {{input}} > {{output}}"
"""
    )
    importing = Clone(tmp_path)
    assert planned(importing) == {f"ttt_{rule}": n for rule, n in smoke.items()} | {
        "ttt_default": 1
    }
    made = executed(importing, "--cores", "1", "--", "size.txt")
    assert made == (elsewhere.path / BENCHMARK).read_bytes()
    assert int((tmp_path / "size.txt").read_text()) == len(made)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("config: dict(recal={})", "config: recal: unknown key; is 'recall' meant?"),
        ('prefix: "there"', "module: found prefix 'there/', expected none: the key `results`"),
    ],
    ids=["wrong key", "prefix"],
)
def test_module_used_wrongly_is_refused_in_one_line(
    clone: Clone, tmp_path: Path, lines: str, told: str
) -> None:
    (tmp_path / "Snakefile").write_text(
        f'module ttt:\n    snakefile: "{clone.path}/workflow/Snakefile"\n    {lines}\n\n\n'
        "use rule * from ttt\n"
    )
    result = Clone(tmp_path).snakemake("--dry-run")
    assert result.returncode != 0
    errors = [line for line in result.stdout.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert errors[0].startswith(f"error: {told}")
    assert "Traceback" not in result.stdout


def test_package_that_snakemake_lacks_is_named_with_its_remedy(
    clone: Clone, tmp_path: Path
) -> None:
    """A catalogue's reader has Snakemake alone in the environment that runs it."""
    missing = "raise ModuleNotFoundError(\"No module named 'pyarrow'\", name='pyarrow')"
    (tmp_path / "pyarrow.py").write_text(missing)
    asked = ("--dry-run", "-s", f"{clone.path}/Snakefile")
    result = Clone(tmp_path).snakemake(*asked, PYTHONPATH=str(tmp_path))
    assert result.returncode != 0
    assert "error: Python package 'pyarrow' is not installed where Snakemake is" in result.stdout
    assert f"--requirement {clone.path}/requirements.lock" in result.stdout


# --- from git ----------------------------------------------------------------------------------


class Hosted:
    """The repository as a host of git repositories has it, reached without a network."""

    def __init__(self, folder: Path):
        self.path = folder / "owner" / "ttt-memory"
        copy_repository(self.path)
        self._git("init", "--initial-branch", "main")
        self.publish("v1.0.0")
        address = f"url.file://{folder}/.insteadOf"
        self.environment = {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": address,
            "GIT_CONFIG_VALUE_0": "https://github.com/",
        }

    def publish(self, tag: str) -> None:
        """Commit every file and give the commit a tag."""
        self._git("add", ".")
        self._git("commit", "--message", tag)
        self._git("tag", tag)

    def _git(self, *arguments: str) -> None:
        identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        command = ["git", *identity, *arguments]
        subprocess.run(command, cwd=self.path, check=True, capture_output=True)


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Hosted:
    return Hosted(tmp_path_factory.mktemp("hosted"))


def test_deployment_from_github_runs_and_a_new_release_reruns_what_it_changed(
    hosted: Hosted, elsewhere: Clone, tmp_path: Path, smoke: dict[str, int]
) -> None:
    deployed = Clone(tmp_path / "deployed")
    # snakedeploy copies both folders, with the files that links in them lead to.
    for folder in ("config", "profiles"):
        shutil.copytree(hosted.path / folder, deployed.path / folder)
    snakefile = deployed.path / "workflow" / "Snakefile"
    snakefile.parent.mkdir()
    snakefile.write_text(DEPLOYED.format(tag="v1.0.0"))
    preset = ("--configfile", "config/smoke.yaml")
    assert planned(deployed, *preset, **hosted.environment) == {**smoke, "default": 1}
    asked = ("--profile", "profiles/local", *preset, "--", BENCHMARK)
    assert executed(deployed, *asked, **hosted.environment) == (
        (elsewhere.path / BENCHMARK).read_bytes()
    )
    scripts = hosted.path / "workflow" / "scripts"
    for release, changed, rerun in [
        ("v1.0.1", "score.py", {}),
        ("v1.0.2", "make_benchmark.py", {"make_benchmark": 1}),
    ]:
        with (scripts / changed).open("a") as file:
            file.write("# One more comment.\n")
        hosted.publish(release)
        snakefile.write_text(DEPLOYED.format(tag=release))
        result = deployed.snakemake("--dry-run", *asked, **hosted.environment)
        assert result.returncode == 0, result.stdout
        assert jobs_of(result.stdout) == rerun


def test_a_commit_of_a_local_repository_is_used_and_not_its_files(
    hosted: Hosted, tmp_path: Path, smoke: dict[str, int]
) -> None:
    """The deployment lies in a repository of its own, which stays as it is."""
    source = f"git+file://{hosted.path}/workflow/Snakefile@v1.0.0"
    (tmp_path / "Snakefile").write_text(
        f'module ttt:\n    snakefile: "{source}"\n\n\nuse rule * from ttt\n'
    )
    subprocess.run(["git", "init", tmp_path], check=True, capture_output=True)
    head = (tmp_path / ".git" / "HEAD").read_bytes()
    edited = hosted.path / "rules" / "common.smk"
    before = edited.read_text()
    edited.write_text("raise SystemExit(1)\n")
    preset = ("--configfile", str(ROOT / "config" / "smoke.yaml"))
    environment = {"GIT_DIR": str(tmp_path / ".git")}
    try:
        assert planned(Clone(tmp_path), *preset, **environment) == {**smoke, "default": 1}
    finally:
        edited.write_text(before)
    assert (tmp_path / ".git" / "HEAD").read_bytes() == head
    assert not [path for path in (tmp_path / ".git" / "objects").rglob("*") if path.is_file()]


# --- where paths of the configuration lead -----------------------------------------------------

IMPORTED = {"benchmark": "mine/x.json", "predictions": {"A": "mine/x.json"}}
TALKS = {"source": "jsonl", "files": ["mine/talks.jsonl"]}
TABLE = {"source": "table", "path": "mine/x.csv", "time": "day", "target": "y"}
ARRAYS = {"source": "arrays", "train": "mine/x.json", "test": "mine/x.json"}
PATHS: list[tuple[dict[str, Any], str]] = [
    ({"base": {"source": "local", "path": "mine"}}, "base.path"),
    ({"base": {"pretrain": {"start": "mine"}}}, "base.pretrain.start"),
    ({"corpus": {"source": "files", "files": ["mine/x.jsonl"]}}, "corpus.files.0"),
    ({"corpus": {"conversations": TALKS}}, "corpus.conversations.files.0"),
    ({"benchmark": TALKS, "recall": {"conditions": ["A", "B"]}}, "benchmark.files.0"),
    ({"imports": {"it": IMPORTED}}, "imports.it.benchmark"),
    ({"imports": {"it": IMPORTED}}, "imports.it.predictions.A"),
    ({"forecast": {"datasets": {"it": ARRAYS}}}, "forecast.datasets.it.train"),
    ({"forecast": {"datasets": {"it": TABLE}}}, "forecast.datasets.it.path"),
    ({"forecast": {"strategies": {"it": "mine/x.py"}}}, "forecast.strategies.it.file"),
    ({"forecast": {"baselines": {"it": "mine/x.py"}}}, "forecast.baselines.it.file"),
    ({"resources": {"train": {"accelerate": "mine/x.yaml"}}}, "resources.train.accelerate"),
    (
        {"runs": {"b-mini": {"fast_weights": {"update": "mine/x.py"}}}},
        "runs.b-mini.fast_weights.update",
    ),
    ({"runs": {"b-mini": {"train": {"start": "mine"}}}}, "runs.b-mini.train.start"),
    ({"runs": {"it": {"trained": "mine"}}}, "runs.it.trained"),
]


def files_in(folder: Path, layers: int) -> Path:
    """`folder` with a file for each key that names one."""
    mine = folder / "mine"
    mine.mkdir(parents=True)
    (mine / "config.json").write_text(json.dumps({"num_hidden_layers": layers}))
    (mine / "x.json").write_text("{}")
    (mine / "x.jsonl").write_text('{"text": "Words."}\n')
    (mine / "x.yaml").write_text("{}")
    (mine / "x.csv").write_text("day,y\n2020-01-01,1.0\n")
    (mine / "talks.jsonl").write_text(json.dumps(CONVERSATION) + "\n")
    memory = mine / MEMORY
    memory.parent.mkdir()
    memory.write_text(json.dumps({"config": {"layers": [0], "update": "mesa"}}))
    functions = ("build", *REQUIRED)
    content = "class Rule: ...\n" + "".join(f"def {name}(*given): ...\n" for name in functions)
    (mine / "x.py").write_text(content)
    return folder


def value_at(loaded: config.Config, key: str) -> str:
    """What a configuration holds under a dotted key."""
    node: Any = loaded.model_dump()
    for part in key.split("."):
        node = node[int(part) if part.isdigit() else part]
    return node


@pytest.mark.parametrize(("keys", "key"), PATHS, ids=[key for _, key in PATHS])
def test_path_is_looked_for_in_the_working_directory_and_then_in_the_workflow(
    keys: dict[str, Any], key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = files_in(tmp_path / "workflow", layers=2)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    asked = merged(keys)
    in_the_workflow = value_at(config.load(asked, root=workflow), key)
    files_in(here, layers=2)
    as_written = value_at(config.load(asked, root=workflow), key)
    assert as_written.startswith("mine")
    assert in_the_workflow == f"{workflow}/{as_written}"


def test_model_is_checked_where_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = files_in(tmp_path / "workflow", layers=2)
    monkeypatch.chdir(files_in(tmp_path / "here", layers=1))
    asked = merged({"base": {"source": "local", "path": "mine"}})
    with pytest.raises(UserError, match="found layer 1, expected 0 to 0: the base has 1 layers"):
        config.load(asked, root=workflow)
    shutil.rmtree("mine")
    assert config.load(asked, root=workflow)


def test_default_model_comes_with_the_workflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = {key: value for key, value in merged().items() if key != "base"}
    base = config.load(asked, root=ROOT).base
    assert base.path == str(ROOT / "data" / "models" / "embedded")


# --- what a catalogue reads --------------------------------------------------------------------


def test_catalogue_finds_what_standardised_usage_asks_for() -> None:
    settings = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert settings["software-stack-deployment"] == {"conda": True}
    assert settings["report"] is True
    for name in ("workflow/Snakefile", "config/README.md", "workflow/schemas/config.schema.json"):
        assert (ROOT / name).is_file(), name
    readme = (ROOT / "README.md").read_text(encoding="utf-8").lower()
    assert "snakemake" in readme
    assert "workflow" in readme
    default = (ROOT / "config" / "config.yaml").resolve()
    assert default == ROOT.resolve() / "config.yaml"


def test_citation_and_changelog_speak_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert citation["authors"] == [{"name": "The ttt-memory authors"}]
    assert citation["version"] == __version__
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in changes
