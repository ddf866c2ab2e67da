"""The Python code of the README and of docs/library.md runs as it stands there."""

import re

import torch

from clone import ROOT
from conversation_models import prompter, samples
from fast_weights_models import tiny

BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def code(page: str) -> str:
    """The one Python block of a page."""
    (block,) = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    return block


def test_the_memory_in_your_own_model(tmp_path, monkeypatch, capsys):
    """Write, drop, ask; then save and load: the state comes back from its file."""
    tokenizer = prompter().tokenizer
    ids = torch.tensor(prompter().ids([samples()[0].sessions[0]]))
    names = {
        "model": tiny(dtype=torch.float32, vocab_size=len(tokenizer), num_hidden_layers=17),
        "tokenizer": tokenizer,
        "dialogue_ids": ids,
    }
    monkeypatch.chdir(tmp_path)
    exec(code("README.md"), names)
    assert capsys.readouterr().out.strip()
    exec(code("docs/library.md"), names)
    assert names["logits"].shape == (1, names["question_ids"].shape[1], len(tokenizer))
    assert names["ids"].shape[1] > names["question_ids"].shape[1]
    assert {path.name for path in tmp_path.iterdir()} == {"my-memory", "dialogue.safetensors"}
    again = names["fw"].read(names["state"], input_ids=names["question_ids"]).logits
    assert again.equal(names["logits"])
