"""A base model from a GGUF file of the user or of a package: planned, made, refused."""

import json
from pathlib import Path

import pytest

import gguf_files
from clone import Clone, copy_repository, jobs_of
from gguf_files import sha256, the_only_index, wheel
from presets import merged
from ttt_memory.study import config
from ttt_memory.study.config import base_folder

SMALL = Path("data", "models", "converted", "small-float32")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy of the repository beside a GGUF file, which a preset names."""
    made = copy_repository(tmp_path_factory.mktemp("own"))
    gguf_files.write(made.path / "small.gguf", gguf_files.small_model())
    (made.path / "own.yaml").write_text("base: {source: gguf, path: small.gguf}")
    return made


SMOLLM2 = ("config/smollm2.yaml", "config/smollm2-train.yaml")
OWN = ("--configfile", "config/smoke.yaml", "own.yaml")


def test_smollm2_is_planned_from_its_package(clone: Clone) -> None:
    planned = clone.planned("--configfile", *SMOLLM2[:1])
    assert planned["convert_model"] == planned["take_trained"] == 1
    assert planned["train"] == 1  # the base as it is: no step
    assert not {"fetch_model", "train_base", "forecast"} & set(planned)
    training = clone.planned("--configfile", *SMOLLM2)
    assert training["train"] == 3
    assert "take_trained" not in training


@pytest.mark.parametrize("name", ["smollm2-hub", "qwen3-0.6b"])
def test_the_presets_of_hub_models_are_planned_over_it(clone: Clone, name: str) -> None:
    planned = clone.planned("--configfile", *SMOLLM2, f"config/{name}.yaml")
    assert {"fetch_model", "train"} <= set(planned)
    assert "convert_model" not in planned


def test_an_own_file_is_converted_once_and_again_only_if_it_changes(own: Clone) -> None:
    folder, target = own.path / SMALL, str(SMALL / "config.json")
    result = own.snakemake("--profile", "local", *OWN, "--", target)
    assert result.returncode == 0, result.stdout
    origin = json.loads((folder / "origin.json").read_text())
    assert (origin["file"], origin["license"]) == ("small.gguf", "mit")
    assert origin["sha256"] == sha256((own.path / "small.gguf").read_bytes())
    assert "train" in own.planned(*OWN)
    assert "convert_model" not in own.planned(*OWN)
    code = own.path / "workflow/scripts/ttt_memory/conversation/models/gguf_file.py"
    code.write_bytes(code.read_bytes() + b"# One more comment.\n")
    assert own.planned(*OWN, "--", target) == {}
    asked = ("--config", "base={dtype: bfloat16}")
    assert own.planned(*OWN, *asked)["convert_model"] == 1
    gguf_files.write(own.path / "small.gguf", gguf_files.small_model(seed=1))
    assert own.planned(*OWN, "--", target) == {"convert_model": 1}


def test_a_layer_that_the_converted_model_lacks_is_refused(own: Clone) -> None:
    layers = "runs={write-drop-read: {fast_weights: {layers: [2]}}}"
    converted = own.snakemake("--profile", "local", *OWN, "--", str(SMALL / "config.json"))
    assert converted.returncode == 0, converted.stdout
    result = own.snakemake("--profile", "local", "-n", *OWN, "--config", layers)
    assert "layers: found layer 2, expected 0 to 1" in result.stdout


@pytest.fixture
def index(own: Clone, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which pip looks for packages; one of them holds a small model in two parts."""
    folder = own.path / "index"
    folder.mkdir(exist_ok=True)
    gguf_files.write(own.path / "whole.gguf", gguf_files.small_model())
    content = (own.path / "whole.gguf").read_bytes()
    for number, part in enumerate((content[:1000], content[1000:])):
        wheel(folder, f"part{number}", {"part": part})
    the_only_index(folder, monkeypatch)
    return folder


def parts(own: Clone, *digests: str) -> tuple[str, str]:
    """The options that name both packages, and the model's config.json, which they lead to."""
    packages = [
        {"name": f"part{n}", "version": "1.0", "file": "part", "sha256": digest}
        for n, digest in enumerate(digests)
    ]
    base = {"source": "package", "packages": packages}
    (own.path / "parts.json").write_text(json.dumps({"base": base}))
    folder = base_folder.model_folder(config.load(merged({"base": base})))
    return "parts.json", str(folder / "config.json")


def test_a_package_in_parts_is_fetched_joined_and_converted(own: Clone, index: Path) -> None:
    content = (own.path / "whole.gguf").read_bytes()
    preset, target = parts(own, sha256(content[:1000]), sha256(content[1000:]))
    asked = ("--configfile", "config/smoke.yaml", preset, "--", target)
    result = own.snakemake("--profile", "local", *asked)
    assert result.returncode == 0, result.stdout
    origin = json.loads((own.path / target).with_name("origin.json").read_text())
    assert origin["sha256"] == sha256(content)
    assert [part["license"] for part in origin["packages"]] == ["MIT", "MIT"]
    kept = (own.path / target).parent.parent.rglob("*")
    assert not [path for path in kept if path.suffix in (".gguf", ".whl")]
    assert own.planned(*asked) == {}


def test_a_wrong_digest_ends_in_one_line_and_leaves_nothing(own: Clone, index: Path) -> None:
    content = (own.path / "whole.gguf").read_bytes()
    preset, target = parts(own, sha256(content[:1000]), "0" * 64)
    asked = ("--configfile", "config/smoke.yaml", preset, "--", target)
    result = own.snakemake("--profile", "local", *asked)
    assert result.returncode != 0
    assert "error: base.packages.1.sha256: part of part1 1.0 has" in result.stdout
    assert "Traceback" not in result.stdout
    assert "convert_model" in jobs_of(own.snakemake("--profile", "local", "-n", *asked).stdout)
    assert not (own.path / target).parent.exists()
