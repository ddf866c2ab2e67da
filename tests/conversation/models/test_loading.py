"""Loading a base model: the same model comes back, and unsafe folders are refused."""

import pytest
import torch

from conversation_models import prompter
from ttt_memory.conversation.config.base_model import ArchitectureConfig, BaseConfig
from ttt_memory.conversation.models.embedded import build_model
from ttt_memory.conversation.models.loading import load_model
from ttt_memory.errors import UserError


def test_a_saved_model_loads_with_the_same_logits(tmp_path):
    architecture = ArchitectureConfig(num_hidden_layers=1, vocab_size=2048)
    model = build_model(architecture, prompter().tokenizer, 0).eval()
    model.save_pretrained(tmp_path)
    ids = torch.tensor([[300, 301]])
    with torch.no_grad():
        assert torch.equal(load_model(tmp_path)(ids).logits, model(ids).logits)


def test_missing_and_unsafe_models_are_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match="no such model folder"):
        load_model(tmp_path / "none")
    (tmp_path / "config.json").write_text("{}")
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="pickle checkpoints are refused"):
        load_model(tmp_path)


def test_a_hub_model_needs_a_revision():
    with pytest.raises(ValueError, match="revision"):
        BaseConfig(source="hub", hub_id="Qwen/Qwen3-8B")
