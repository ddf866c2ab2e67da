"""The configuration: what it refuses, the message, and that every key is documented."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from presets import ROOT, merged, preset_config
from ttt_memory import options
from ttt_memory.conversation.config.asking import RecallConfig
from ttt_memory.conversation.config.training import TrainConfig
from ttt_memory.errors import UserError
from ttt_memory.study import config
from ttt_memory.study.config import base_folder, files, key_table

# The link to config.yaml is no preset.
FILES = [path for path in (ROOT / "config").glob("*.yaml") if not path.is_symlink()]
PRESETS = sorted(path.stem for path in FILES)


def run(**keys: Any) -> dict[str, Any]:
    return {"runs": {"write-drop-read": {"fast_weights": keys}}}


NOTHING = {"plain": 0, "after": 0, "before": 0, "several": 0}
REFUSED = [
    ({"recal": {}}, "recal: unknown key; is 'recall' meant?"),
    ({"recall": {"shard": 2}}, "recall.shard: unknown key; is 'shards' meant?"),
    ({"recall": {"nonsense": 2}}, "recall.nonsense: unknown key"),
    (
        {"forecast": {"strategies": {"mine": {"fil": "x.py"}}}},
        "forecast.strategies.mine.fil: unknown key; is 'file' meant?",
    ),
    (run(chunks=8), "runs.write-drop-read.fast_weights.chunks: unknown key; is 'chunk' meant?"),
    (
        run(chunk=0),
        "runs.write-drop-read.fast_weights.chunk: found 0, expected greater than or equal to 1",
    ),
    (
        run(chunk=10**6),
        "runs.write-drop-read.fast_weights.chunk: found 1000000, expected at most the",
    ),
    (run(lr=-0.1), "runs.write-drop-read.fast_weights.lr: found -0.1, expected greater than 0"),
    (
        run(layers=[0, 2]),
        "runs.write-drop-read.fast_weights.layers: found layer 2, expected 0 to 1",
    ),
    (
        run(update="delta"),
        "runs.write-drop-read: train.share_distractors adds up states that were",
    ),
    (
        run(update="hebbian", decay=0.9),
        "runs.write-drop-read: train.share_distractors adds up states that were",
    ),
    (
        run(read_while_writing=True, gate="layer"),
        "runs.write-drop-read: train.share_distractors adds up states that were",
    ),
    (
        {"runs": {"write-drop-read": {"train": {"episode": {"several": [6, 2]}}}}},
        "runs.write-drop-read.train.episode: several: found [6, 2], expected the smaller number",
    ),
    (
        {"runs": {"write-drop-read": {"train": {"episode": {"distractor_tokens": [-5, 9]}}}}},
        "runs.write-drop-read.train.episode.distractor_tokens.0: found -5, expected greater",
    ),
    (
        {"runs": {"write-drop-read": {"train": {"episode": {"step_mix": NOTHING}}}}},
        "runs.write-drop-read.train.episode.step_mix: every frequency is 0, expected one above it",
    ),
    (
        {"base": {"architecture": {"num_attention_heads": 2, "num_key_value_heads": 3}}},
        "base.architecture: num_key_value_heads: found 3, expected a divisor of the 2 heads",
    ),
    ({"base": {"revision": "main"}}, "base.revision: found 'main', expected a 40-digit commit"),
    ({"recall": {"distances": [-1]}}, "recall.distances.0: found -1, expected greater than or"),
    ({"recall": {"dialogues": []}}, "recall.dialogues: found [], expected list should have at"),
    ({"recall": {"conditions": ["A", "A"]}}, "recall.conditions: found ['A', 'A'], expected each"),
    ({"results": ""}, 'results: found "", expected string should have at least 1 character'),
    ({"recall": {"shards": 9}}, "recall.shards: found 9, expected at most the 8 samples"),
    ({"recall": {"conditions": ["A", "X"]}}, "recall.conditions.1: found \"X\", expected 'A', 'B'"),
    ({"recall": {"sweep_split": "none"}}, "recall.sweep_split: found 'none', expected one of"),
    ({"benchmark": {"levels": [1, 2]}}, "benchmark.levels: found [1, 2], expected 3 too"),
    ({"benchmark": {"levels": [2, 3]}}, "benchmark.levels: found [2, 3], expected 1 too"),
    ({"report": {"split": "all_new"}}, "report.split: unknown key"),
    (
        {"runs": {"base": {"conditions": ["D"]}}, "recall": {"conditions": ["A", "B"]}},
        "runs.base.conditions: found ['D'], expected some of recall.conditions ['A', 'B']",
    ),
    ({"report": {"baseline": "absent"}}, "report.baseline: found 'absent', expected one of"),
    (
        {"resources": {"most_mem_mb": 6000, "recall": {"mem_mb": 6001}}},
        "resources.recall.mem_mb: found 6001, expected at most resources.most_mem_mb (6000)",
    ),
    (
        {"resources": {"most_runtime": 9, "score": {"runtime": 10}}},
        "resources.benchmark.runtime: found 60, expected at most resources.most_runtime (9)",
    ),
    ({"resources": {"most_runtime": 0}}, "resources.most_runtime: found 0, expected greater"),
    (
        {"runs": {"write-drop-read": {"seeds": [1, 1]}}},
        "runs.write-drop-read.seeds: found [1, 1], expected each",
    ),
    (
        {"runs": None, "forecast": None},
        "runs: found none, expected at least one run, or a forecast study",
    ),
    (
        {"runs": {"write-drop-rea": {"train": {}}}},
        "runs.write-drop-rea.fast_weights: missing; is run 'write-drop-read' meant?",
    ),
    (
        {"runs": {"write-drop-read-2": {"lik": "write-drop-read"}}},
        "runs.write-drop-read-2.lik: unknown key; is 'like' meant?",
    ),
    ({"runs": {2024: {}}}, "runs.2024.[key]: found 2024, expected string"),
    ({"imports": None}, "imports: found null, expected a mapping of keys"),
    ({"imports": {"p": None}}, "imports.p: null drops an entry, but no entry has this name"),
    (
        {"forecast": {"strategies": {"titan": None}}},
        "forecast.strategies.titan: null drops an entry, but no entry has this name",
    ),
    (
        {"forecast": {"baselines": {"mean": None}}},
        "forecast.baselines.mean: null drops an entry, but no entry has this name",
    ),
    (
        {"runs": {"write-drop-rea": None}},
        "runs.write-drop-rea: null drops an entry, but no entry has this name;",
    ),
    ({"runs": {"mine": None}}, "runs.mine: null drops an entry, but no entry has this name"),
    (
        {"forecast": {"datasets": {"sinwav": None}}},
        "forecast.datasets.sinwav: null drops an entry, but no entry has this name; is 'sinwav",
    ),
    ({"recall": None}, "recall: found null, expected a mapping of keys"),
    ({"runs": {"x": {"like": "y"}}}, "runs: run 'x', key like: found 'y', expected one of"),
    ({"runs": {"a/b": {"like": "write-drop-read"}}}, 'runs.a/b.[key]: found "a/b", expected'),
    (
        {"base": {"source": "local", "path": "nowhere"}},
        "base.path: found 'nowhere', expected an existing model folder",
    ),
    (
        {"base": {"source": "local", "path": "config"}},
        "base.path: 'config' holds no config.json, expected a hub-format folder",
    ),
    ({"base": {"source": "hub"}}, "base: source 'hub' needs hub_id and revision"),
    ({"base": {"source": "package"}}, "base: source 'package' needs packages: a list of name,"),
    (
        {"base": {"packages": [{"nam": "a"}]}},
        "base.packages.0.nam: unknown key; is 'name' meant?",
    ),
    ({"base": {"packages": [{"name": "a"}]}}, "base.packages.0.version: missing"),
    (
        {"base": {"packages": [{"sha256": "b179"}]}},
        "base.packages.0.name: missing",
    ),
    (
        {"base": {"source": "gguf", "path": "none.gguf"}},
        "base.path: found 'none.gguf', expected an existing file that ends in .gguf",
    ),
    (
        {"base": {"source": "gguf", "path": "README.md"}},
        "base.path: found 'README.md', expected an existing file that ends in .gguf",
    ),
    (
        {"imports": {"p": {"benchmark": "no.json", "predictions": {"A": "no.json"}}}},
        "imports.p.benchmark: found 'no.json', expected an existing file",
    ),
    ({"imports": {"p": {"benchmark": "no.json"}}}, "imports.p.predictions: missing"),
    (
        {"forecast": {"datasets": {"sinwave": {"length": 2}}}},
        "forecast.datasets.sinwave.length: found 2, expected greater than or equal to 3",
    ),
    (
        {"forecast": {"datasets": {"w": {"source": "wine"}}}},
        "forecast.datasets.w.source: found 'wine', expected one of 'sine', 'switch', 'arrays',"
        " 'table'",
    ),
    ({"forecast": {"datasets": {"w": {"length": 9}}}}, "forecast.datasets.w.source: missing"),
    (
        {"forecast": {"datasets": {"w": {"source": "arrays", "train": "a.npy", "test": "b.npy"}}}},
        "forecast.datasets.w.train: found 'a.npy', expected an existing file",
    ),
    (
        {"forecast": {"strategies": {"mine": "mine.py"}}},
        "forecast.strategies.mine: found 'mine.py', expected an existing .py file or one of",
    ),
    (
        {"forecast": {"strategies": {"mine": "config/smoke.yaml"}}},
        "forecast.strategies.mine: 'config/smoke.yaml' is not valid Python",
    ),
    (
        {"forecast": {"strategies": {"mine": "benchmarks/recall.py"}}},
        "forecast.strategies.mine: 'benchmarks/recall.py' has no function init_memory_state, "
        "expected a file that defines init_memory_state, compute_keys_values, ",
    ),
    (
        {"forecast": {"baselines": {"mine": "benchmarks/recall.py"}}},
        "forecast.baselines.mine: 'benchmarks/recall.py' has no function build",
    ),
    (
        {"forecast": {"comparison": {"compared_with": "muon"}}},
        "forecast.comparison.compared_with: found 'muon', expected one of the strategies",
    ),
    (
        {"forecast": {"comparison": {"reference": "mesa"}}},
        "forecast.comparison.reference: is now called forecast.comparison.compared_with",
    ),
    ({"resources": {"train": {"gpus": 1}}}, "resources.train.gpus: unknown key"),
]


@pytest.mark.parametrize(("overlay", "message"), REFUSED, ids=[text for _, text in REFUSED])
def test_mistake_is_one_line_with_file_key_found_and_expected(
    overlay: dict[str, Any], message: str, tmp_path: Path
) -> None:
    preset = tmp_path / "mine.yaml"
    preset.write_text(yaml.safe_dump(overlay))
    files = {str(preset): None, str(ROOT / "config.yaml"): None}
    with pytest.raises(UserError) as caught:
        config.load(merged(overlay), files, ROOT)
    assert str(caught.value).startswith(f"{preset}: {message}")
    assert "\n" not in str(caught.value)


def test_a_run_with_a_name_of_its_own_is_not_taken_for_another() -> None:
    with pytest.raises(UserError, match=r"runs\.mine\.fast_weights: missing$"):
        config.load(merged({"runs": {"mine": {}}}), root=ROOT)


@pytest.mark.parametrize("layer", [36, 40])
def test_layer_beyond_a_local_base_is_refused(layer: int, tmp_path: Path) -> None:
    shape = {"num_hidden_layers": 36, "max_position_embeddings": 40960}
    (tmp_path / "config.json").write_text(json.dumps(shape))
    base = {"base": {"source": "local", "path": str(tmp_path)}}
    assert config.load(merged(base, run(layers=[35])), root=ROOT)
    with pytest.raises(UserError, match=rf"found layer {layer}, expected 0 to 35: the base has 36"):
        config.load(merged(base, run(layers=[0, layer])), root=ROOT)


def test_layers_of_a_multimodal_base_are_those_of_its_language_part(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"text_config": {"num_hidden_layers": 3}}))
    base = {"base": {"source": "local", "path": str(tmp_path)}}
    with pytest.raises(UserError, match="found layer 3, expected 0 to 2"):
        config.load(merged(base, run(layers=[3])), root=ROOT)


def test_the_file_that_sets_the_key_is_named(tmp_path: Path) -> None:
    weak, strong = tmp_path / "weak.yaml", tmp_path / "strong.yaml"
    weak.write_text("recall: {rows: 0, shards: 1}")
    strong.write_text("recall: {shards: 2}")
    given = files.read({"--config": {"seed": 1}, str(strong): None, str(weak): None})
    assert files.blame(("recall", "rows"), given) == str(weak)
    assert files.blame(("recall", "shards"), given) == str(strong)
    assert files.blame(("seed",), given) == "--config"
    assert files.blame(("recall", "absent"), given) == str(strong)
    assert files.blame(("absent",), given) == "default"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recall:\n  shards: 1\n  rows: &n 2\n  shards: *n\n", "line 4: key 'shards' occurs twice"),
        ('{"recall": {"shards": 1,\t"shards": 2}}', "key 'shards' occurs twice"),
        ("a: {<<: {x: 1}, y: 1, y: 2}", "line 1: key 'y' occurs twice"),
    ],
)
def test_a_key_twice_in_a_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    preset = tmp_path / "mine.yaml"
    preset.write_text(text)
    with pytest.raises(UserError) as caught:
        config.load(merged({}), {str(preset): None}, ROOT)
    assert str(caught.value) == f"{preset}: {message}"
    if text.startswith("{"):
        with pytest.raises(UserError, match=f"--config: {message}"):
            options.read(text)


@pytest.mark.parametrize(
    "text",
    [
        "b: &b {rows: 1}\nx: &x {<<: *b, rows: 2}\nc: {<<: *x}",
        "b: &b {rows: 1}\nc:\n  <<: *b\n  <<: {shards: 1}",
        '{1: x, "1": y}',
        '{\n\t"recall": {"rows": 1}\n}',
    ],
)
def test_what_snakemake_reads_is_read_alike(text: str, tmp_path: Path) -> None:
    """Anchors with changes, two merges, keys of two types, JSON with tabs."""
    preset = tmp_path / "mine.yaml"
    preset.write_text(text)
    expected = json.loads(text) if "\t" in text else yaml.safe_load(text)
    assert options.read(preset) == expected


def test_null_drops_an_entry_of_any_preset_below(tmp_path: Path) -> None:
    """Of the one between, too; without files nobody says what there was."""
    middle = {"runs": {"mine": {"like": "write-drop-read"}}}
    files = {
        "--config": {"runs": {"mine": None}},
        "middle": middle,
        str(ROOT / "config.yaml"): None,
    }
    assert config.load(merged({"runs": {"mine": None}}), files, ROOT)
    assert config.load(merged({"runs": {"mine": None}}), root=ROOT)


def test_a_run_like_another_differs_only_in_the_keys_it_sets() -> None:
    extra = {
        "first": {"like": "write-drop-read", "differs": "chunk", "fast_weights": {"chunk": 4}},
        "second": {"like": "first", "train": {"regime": "frozen"}},
    }
    runs = config.load(merged({"runs": extra}), root=ROOT).runs
    first = runs["write-drop-read"].fast_weights.model_copy(update={"chunk": 4})
    assert (runs["first"].fast_weights, runs["first"].train) == (
        first,
        runs["write-drop-read"].train,
    )
    assert runs["first"].seeds == runs["write-drop-read"].seeds
    assert (runs["first"].label, runs["first"].differs) == ("first", "chunk")
    frozen = runs["write-drop-read"].train.model_copy(update={"regime": "frozen"})
    assert (runs["second"].fast_weights, runs["second"].train) == (first, frozen)
    assert runs["second"].differs == ""


def test_run_like_itself_is_refused() -> None:
    circle = {"runs": {"a": {"like": "b"}, "b": {"like": "a"}}}
    with pytest.raises(UserError, match="key like: found 'a', expected one of"):
        config.load(merged(circle), root=ROOT)


def test_null_drops_a_run() -> None:
    runs = config.load(merged({"runs": {"b-mini": None}}), root=ROOT).runs
    assert set(runs) == {"base", "write-drop-read"}


@pytest.mark.parametrize("forecast", [None, {"datasets": {"sinwave": None}}])
def test_the_forecast_study_can_be_switched_off(forecast: dict[str, Any] | None) -> None:
    assert config.load(merged({"forecast": forecast}), root=ROOT).forecast.datasets == {}


def test_configuration_never_changes() -> None:
    loaded = config.load(merged(), root=ROOT)
    with pytest.raises(ValueError, match="frozen"):
        loaded.recall.shards = 5


def test_schema_and_table_of_keys_are_current() -> None:
    schema = json.loads((ROOT / "workflow" / "schemas" / "config.schema.json").read_text())
    assert schema == key_table.schema(), "run python workflow/scripts/export_schema.py"
    guide = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
    assert guide == key_table.readme(guide), "run python workflow/scripts/export_schema.py"


def test_another_package_digest_or_type_has_a_folder_of_its_own() -> None:
    first = {"name": "a-model", "version": "1.0", "file": "f", "sha256": "0" * 64}
    settings = [
        {"packages": [first]},
        {"packages": [{**first, "version": "1.1"}]},
        {"packages": [{**first, "sha256": "1" * 64}]},
        {"packages": [first, first]},
        {"packages": [first], "dtype": "bfloat16"},
    ]
    bases = [{"base": {"source": "package", **given}} for given in settings]
    folders = {base_folder.model_folder(config.load(merged(base), root=ROOT)) for base in bases}
    assert len(folders) == len(settings)
    assert {folder.parent for folder in folders} == {Path("data/models/converted")}


def test_every_key_is_explained() -> None:
    rows = list(key_table.keys())
    assert len(rows) > 100
    assert [key for key, _, _, meaning in rows if not meaning.strip()] == []


@pytest.mark.parametrize("name", ["config.yaml", *(f"config/{preset}.yaml" for preset in PRESETS)])
def test_schema_accepts_every_preset_and_each_names_it(name: str) -> None:
    text = (ROOT / name).read_text()
    validator = Draft202012Validator(key_table.schema())
    assert list(validator.iter_errors(yaml.safe_load(text))) == []
    written = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    expected = ROOT / "workflow" / "schemas" / "config.schema.json"
    assert (ROOT / name).parent.joinpath(written).resolve() == expected


@pytest.mark.parametrize(
    "wrong",
    [{"recal": {}}, {"runs": {"a b": {}}}, run(chunk=0), {"recall": {"conditions": ["X"]}}],
)
def test_schema_refuses_what_the_configuration_refuses(wrong: dict[str, Any]) -> None:
    assert not Draft202012Validator(key_table.schema()).is_valid(wrong)


def test_reading_the_configuration_does_not_import_torch() -> None:
    """Every Snakemake process reads it, on a cluster also that of every job."""
    code = "import sys, ttt_memory.study.config; sys.exit('torch' in sys.modules)"
    path = {"PYTHONPATH": str(ROOT / "workflow" / "scripts")}
    assert subprocess.run([sys.executable, "-c", code], env=path, check=False).returncode == 0


def test_section_reads_json_text_and_yaml_files_alike(tmp_path: Path) -> None:
    path = tmp_path / "part.yaml"
    path.write_text("recall: {shards: 3}\nelse: 1")
    kind = RecallConfig
    assert options.section(path, "recall", kind).shards == 3
    assert options.section('{"recall": {"shards": 3}}', "recall", kind).shards == 3
    assert options.section("{}", "recall", kind) == kind()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("absent.yaml", "absent.yaml: no such config file"),
        ("{broken", "--config: not readable as JSON or YAML"),
        ('{"recall": [1]}', "recall: found [1], expected"),
        ('{"recall": {"shards": "many"}}', 'recall.shards: found "many", expected integer'),
    ],
)
def test_unreadable_section_is_one_line(source: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        options.section(source, "recall", RecallConfig)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("keys", "trains"),
    [
        ({}, True),
        ({"steps": 0}, False),
        ({"context_share": 1.0}, False),
        ({"context_share": 0.98, "empty_share": 0.02}, False),
        ({"context_share": 0.9}, True),
        # A frozen base has no step without the fast weights.
        ({"context_share": 1.0, "regime": "frozen"}, True),
        ({"context_share": 1.0, "objective": "lm"}, True),
        ({"steps": 0, "start": "a/trained/memory"}, True),
    ],
)
def test_which_training_leaves_the_memory_as_it_was(keys, trains):
    assert TrainConfig(**keys).memory_is_trained == trains


def test_a_run_is_asked_under_its_own_conditions_or_under_all():
    found = preset_config("smoke")
    assert [found.runs["base"].asked_under(name) for name in "ABC"] == [True, False, True]
    assert all(map(found.runs["write-drop-read"].asked_under, found.recall.conditions))


def memory(folder: Path, **config: Any) -> None:
    """A folder that holds as much of a trained memory as the configuration reads."""
    (folder / "fast_weights").mkdir(parents=True)
    text = json.dumps({"config": {"layers": [1], "update": "hebbian", **config}})
    (folder / "fast_weights" / "fast_weights.json").write_text(text)


def test_a_run_with_a_trained_memory_has_its_fast_weights(tmp_path: Path) -> None:
    for seed in (0, 3):
        memory(tmp_path / "many" / str(seed), chunk=32)
    overlay = {"runs": {"write-drop-read": {"trained": str(tmp_path / "many"), "seeds": [0, 3]}}}
    run = config.load(merged(overlay), root=ROOT).runs["write-drop-read"]
    assert (run.fast_weights.layers, run.fast_weights.chunk) == ((1,), 32)
    assert run.fast_weights.update == "hebbian"
    assert [run.memory(seed).name for seed in run.seeds] == ["0", "3"]


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ([0, 1], "runs.write-drop-read.seeds: found [0, 1], expected one"),
        (5, "runs.write-drop-read.seeds: found 5"),
    ],
)
def test_one_memory_serves_one_seed(tmp_path: Path, seeds: Any, message: str) -> None:
    memory(tmp_path / "one")
    overlay = {"runs": {"write-drop-read": {"trained": str(tmp_path / "one"), "seeds": seeds}}}
    with pytest.raises(UserError) as caught:
        config.load(merged(overlay), root=ROOT)
    assert message in str(caught.value)


def test_the_memories_of_all_seeds_have_the_same_fast_weights(tmp_path: Path) -> None:
    memory(tmp_path / "many" / "0", chunk=32)
    memory(tmp_path / "many" / "1", chunk=64)
    overlay = {"runs": {"write-drop-read": {"trained": str(tmp_path / "many"), "seeds": [0, 1]}}}
    with pytest.raises(UserError, match=r"1/fast_weights.* has other fast weights than .*0/fast"):
        config.load(merged(overlay), root=ROOT)


def test_a_run_like_a_trained_one_that_says_how_it_is_trained_is_trained(tmp_path: Path) -> None:
    memory(tmp_path / "one")
    runs = {
        "write-drop-read": {"trained": str(tmp_path / "one")},
        "same": {"like": "write-drop-read", "conditions": ["A"]},
        "longer": {"like": "write-drop-read", "train": {"steps": 7}},
    }
    found = config.load(merged({"runs": runs}), root=ROOT).runs
    assert found["same"].trained == found["write-drop-read"].trained
    assert (found["longer"].trained, found["longer"].train.steps) == (None, 7)


def test_every_seed_needs_its_memory(tmp_path: Path) -> None:
    memory(tmp_path / "many" / "0")
    overlay = {"runs": {"write-drop-read": {"trained": str(tmp_path / "many"), "seeds": [0, 1]}}}
    with pytest.raises(UserError, match=r"\.trained: found no .*for seed 1"):
        config.load(merged(overlay), root=ROOT)
