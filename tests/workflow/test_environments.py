"""conda, Docker and Apptainer install what the lock pins, and the profiles use what there is."""

import re
import tomllib
from itertools import chain
from types import SimpleNamespace

import pytest
import yaml
from packaging.requirements import Requirement
from snakemake.logging import logger
from snakemake_executor_plugin_slurm.partitions import get_best_partition, read_partition_file

from clone import ROOT, Clone, jobs_of
from presets import merged, preset_config
from ttt_memory.study import config

ENVIRONMENTS = ROOT / "envs"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PYTHON = "3.11"
LIMITS = {"most_mem_mb": 9000, "most_runtime": 800}


def canonical(name: str) -> str:
    return name.lower().replace("_", "-")


def pins() -> dict[str, str]:
    """Lines of the lock by the package they pin."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pinned = [line for line in lines if line and not line.startswith("#")]
    return {canonical(line.split("==")[0]): line for line in pinned}


def test_lock_pins_what_the_package_asks_for_and_no_platform() -> None:
    assert pins()["torch"] == "torch==2.13.0"
    assert not [name for name in pins() if name.startswith(("nvidia", "triton"))]
    extras = PROJECT["optional-dependencies"]
    # The page in the browser and the baselines of libraries are installed by those who want them,
    # beside what is pinned.
    beside = ("web", "baselines")
    pinned = [texts for name, texts in extras.items() if not name.startswith(beside)]
    for text in chain(PROJECT["dependencies"], *pinned):
        wanted = Requirement(text)
        version = pins()[canonical(wanted.name)].split("==")[1]
        assert wanted.specifier.contains(version), wanted


WORKFLOW = {
    Requirement(text).name: Requirement(text).specifier
    for text in PROJECT["optional-dependencies"]["workflow"]
}


def test_snakefile_asks_for_the_snakemake_that_the_package_asks_for() -> None:
    asked = re.search(r'^min_version\("([\d.]+)"\)$', (ROOT / "Snakefile").read_text(), re.M)
    assert str(WORKFLOW["snakemake"]) == f">={asked[1]}"


@pytest.mark.parametrize(
    ("package", "version"),
    [("snakemake", "9.19.0"), ("snakemake-executor-plugin-slurm", "2.7.0")],
)
def test_versions_with_known_faults_are_refused(package: str, version: str) -> None:
    assert not WORKFLOW[package].contains(version)


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_conda_installs_every_dependency_as_locked(name: str) -> None:
    environment = yaml.safe_load((ENVIRONMENTS / f"{name}.yaml").read_text())
    assert f"python ={PYTHON}" in environment["dependencies"]
    packages = next(part["pip"] for part in environment["dependencies"] if isinstance(part, dict))
    options = [line for line in packages if line.startswith("-")]
    assert [line.rsplit("/", 1)[1] for line in options] == (["cpu"] if name == "cpu" else [])
    names = [canonical(Requirement(text).name) for text in PROJECT["dependencies"]]
    assert sorted(set(packages) - set(options)) == sorted(pins()[name] for name in names)


@pytest.mark.parametrize("name", ["Dockerfile", "apptainer.def"])
def test_images_install_the_lock_torch_first(name: str) -> None:
    text = (ENVIRONMENTS / name).read_text()
    assert re.search(rf"(?i)^from:? python:{PYTHON}-slim$", text, re.M)
    torch, rest = (text.index(part) for part in ("grep '^torch=='", "--requirement"))
    assert torch < rest
    assert text.count("requirements.lock") >= 3


# --- profiles ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("visible", "gpus"), [("0", 1), ("2,5,7", 3), ("", 1)])
def test_local_profile_has_a_job_for_each_gpu(
    monkeypatch: pytest.MonkeyPatch, visible: str, gpus: int
) -> None:
    from snakemake.cli import parse_args

    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    _, args = parse_args(["--profile", "local", "--dry-run"])
    assert args.resources["gpu"] == gpus


def test_partition_file_sends_gpu_jobs_to_a100_nodes_and_others_to_cpu_nodes() -> None:
    partitions = read_partition_file(ROOT / "profiles" / "slurm" / "partitions.yaml")
    means = preset_config("qwen3-8b").resources
    for rule, wants in means.of_rules.items():
        resources = {name: value for name, value in wants.model_dump().items() if value}
        job = SimpleNamespace(name=rule, threads=wants.threads, resources=resources)
        expected = "gpu" if wants.gpu else "cpu"
        assert (rule, get_best_partition(partitions, job, logger)) == (rule, expected)


@pytest.mark.parametrize(
    ("limits", "memory", "minutes"),
    [({}, [5000, 10000, 15000], [300, 600, 900]), (LIMITS, [5000, 9000, 9000], [300, 600, 800])],
    ids=["no limits", "limits"],
)
def test_an_attempt_asks_for_more_than_the_one_before_it_up_to_the_limits(
    limits: dict[str, int], memory: list[int], minutes: list[int]
) -> None:
    """The functions that Snakemake calls, as the rules have them."""
    train = {"mem_mb": 5000, "runtime": 300}
    names = {"CONFIG": config.load(merged({"resources": {"train": train, **limits}}), root=ROOT)}
    exec((ROOT / "rules" / "inputs.smk").read_text(encoding="utf-8"), names)
    asked = names["resources_of"]("train")
    assert [asked["mem_mb"](None, attempt) for attempt in (1, 2, 3)] == memory
    assert [asked["runtime"](None, attempt) for attempt in (1, 2, 3)] == minutes


def test_every_job_is_a_submission_of_its_own(clone: Clone) -> None:
    """Jobs of a group run one after the other, and one that fails takes the others with it.

    snakemake#4223, #2508; snakemake-executor-plugin-slurm#110, #456, #469.
    """
    (clone.path / "config" / "many.yaml").write_text("recall: {shards: 8}")
    asked = ("--configfile", "config/smoke.yaml", "config/many.yaml")
    result = clone.snakemake("--profile", "slurm", "--dry-run", *asked)
    assert result.returncode == 0, result.stdout
    assert jobs_of(result.stdout)["recall"] > 100
    assert "Group job" not in result.stdout
