"""What must hold for every update rule: the built-in ones and a user's own file."""

import copy
import pickle
from pathlib import Path

import pytest
import torch

from documents import fence
from fast_weights_models import DenseLoop, apart, dense, memory, tiny, tokens
from ttt_memory.errors import UserError
from ttt_memory.fast_weights import FastWeightsConfig, load_state, rules, save, save_state
from ttt_memory.fast_weights import load as saved_fast_weights
from ttt_memory.fast_weights.rules import RULES, load

ROOT = Path(__file__).resolve().parents[2]
OWN = "own"  # the rule of docs/update-rules.md
IMPORTS = "from ttt_memory.fast_weights.rules.factors import FactorRule, FactorState"


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> str:
    """The documented rule as a user's file."""
    path = tmp_path_factory.mktemp("rules") / "my_rule.py"
    path.write_text(fence((ROOT / "docs" / "update-rules.md").read_text(), "python"))
    return str(path)


@pytest.fixture(params=[*RULES, OWN])
def update(request, own) -> str:
    """Every rule's name or file."""
    return own if request.param == OWN else request.param


@pytest.fixture(
    params=[
        {"gate": "top"},
        {"gate": "layer", "read_while_writing": True},
        {"gate": "layer", "recency": 0.3, "learn_recency": True},
        {"gate": "layer", "recency": 0.02, "read_while_writing": True},  # reaches the least ridge
    ],
    ids=str,
)
def options(request, update) -> dict:
    """Each rule, writing alone and read while it is written, with texts that age and without."""
    return {"update": update, **request.param}


def test_a_rule_is_one_file_and_its_name_in_one_list():
    """Every file beside the list that defines a rule is in the list, and no name lacks its file."""
    folder = Path(rules.__file__).parent
    found = {p.stem for p in folder.glob("*.py") if "\nclass Rule(" in p.read_text()}
    assert found == set(RULES)


@pytest.mark.parametrize("lengths", [[21], [5, 3, 4], [9, 14, 6]], ids=str)
def test_equals_the_oracle(options, lengths):
    """Of one text or several: hidden states, dW, what a probe reads, and all gradients."""
    fw, probe = memory(**options), tokens(1, 6, seed=1)
    loop, state, dw = DenseLoop(fw), None, None
    for number, length in enumerate(lengths):
        ids = tokens(1, length, seed=number)
        result = fw.write(ids, state=state)
        state = result.state
        hidden, dw = loop.write(ids[0], torch.ones(length, dtype=torch.float64), dw)
        torch.testing.assert_close(result.hidden[0], hidden, rtol=1e-8, atol=1e-8)
    for layer, found in dense(state).items():
        torch.testing.assert_close(found[0], dw[layer], rtol=1e-8, atol=1e-8)
    read = fw.read(state, input_ids=probe, output_hidden_states=True).hidden_states[-1]
    expected = loop.read(probe[0], dw)
    torch.testing.assert_close(read[0], expected, rtol=1e-8, atol=1e-8)
    parameters = list(fw.fast_parameters())
    ways = torch.randn_like(expected)
    gradients = [
        torch.autograd.grad((out * ways).sum(), parameters, materialize_grads=True)
        for out in (read[0], expected)
    ]
    for found, wanted in zip(*gradients, strict=True):
        scale = wanted.abs().max().clamp_min(1)  # the norms of transformers round to float32
        torch.testing.assert_close(found / scale, wanted / scale, rtol=0, atol=1e-6)


@pytest.mark.parametrize("cuts", [[5], [1, 2, 9], [4, 8]])
def test_split_anywhere_is_the_whole(options, cuts):
    """A second text in parts, KV cache kept: the same state, and the same gradients of it."""
    fw, ids = memory(**options), tokens(2, 13)
    before = fw.write(tokens(2, 6, seed=5)).state
    whole, state, cache = fw.write(ids, state=before), before, None
    for start, stop in zip([0, *cuts], [*cuts, 13], strict=True):
        part = fw.write(
            ids[:, start:stop], state=state, past_key_values=cache, use_cache=True, flush=stop == 13
        )
        state, cache = part.state, part.past_key_values
    assert apart(state, whole.state) < 1e-10
    parameters = list(fw.fast_parameters())
    gradients = [
        torch.autograd.grad(
            sum(dw.sin().sum() for dw in dense(s).values()), parameters, retain_graph=True
        )
        for s in (state, whole.state)
    ]
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


def test_padding_is_never_written_and_rows_never_meet(options):
    """A padded batch is its rows one by one; a row without text stays as it is."""
    fw, ids, more = memory(**options), tokens(3, 14), tokens(3, 7, seed=3)
    mask = torch.arange(14) < torch.tensor([[14], [5], [9]])
    second = torch.arange(7) < torch.tensor([[3], [0], [7]])
    batch = fw.write(more, write_mask=second, state=fw.write(ids, mask).state).state
    lengths = zip(mask.sum(1).tolist(), second.sum(1).tolist(), strict=True)
    for row, (length, after) in enumerate(lengths):
        alone = fw.write(ids[row : row + 1, :length]).state
        if after:
            alone = fw.write(more[row : row + 1, :after], state=alone).state
        assert apart(batch.index([row]), alone) < 1e-10
        assert batch.written[row] == length + after


def test_rows_are_taken_and_put_back(options):
    """`index` and `concat`, from tokens and from the folded form; the next text goes on alike."""
    fw = memory(**options)
    state = fw.write(tokens(2, 5, seed=6)).state
    state = fw.write(tokens(2, 9), state=state, flush=False).state
    for form in (state, state.fold(always=True)):
        again = form.index([1]).concat(form.index([0])).index([1, 0])
        assert apart(again, state) < 1e-10
        more = tokens(2, 7, seed=3)
        for flushed in (True, False):  # the next text, and more of the same
            ends = [fw.flush(s) if flushed else s for s in (again, state)]
            assert apart(*(fw.write(more, state=s).state for s in ends)) < 1e-10
    young = fw.write(tokens(1, 4)).state
    joined = young.concat(state.index([1]))
    assert apart(joined.index([0]), young) < 1e-10
    assert apart(joined.index([1]), state.index([1])) < 1e-10


def test_saved_and_loaded(options, tmp_path):
    """A state goes on after a file as before; its readable form can be kept alone."""
    fw, path = memory(**options), tmp_path / "state.safetensors"
    state, more = fw.write(tokens(2, 5, seed=6)).state, tokens(2, 7, seed=3)
    state = fw.write(tokens(2, 9), state=state, flush=False).state.detach()
    save_state(fw, state, path)
    loaded = load_state(fw, path)
    assert apart(loaded, state) == 0
    assert apart(fw.write(more, state=loaded).state, fw.write(more, state=state).state) == 0
    save_state(fw, state.readable(), path)
    assert apart(load_state(fw, path), state) == 0


def test_a_reading_does_not_write(options):
    """Reading leaves every tensor of a state as it was."""
    fw = memory(**options)
    state = fw.write(tokens(1, 9), flush=False).state.detach()
    before = {i: layer.written.map(torch.clone) for i, layer in state.layers.items()}
    fw.read(state, input_ids=tokens(1, 12, seed=2))
    for i, layer in state.layers.items():
        for name, tensor in layer.written.tensors().items():
            assert tensor.equal(before[i].tensors()[name])


def test_merging_is_writing_one_after_the_other(update):
    """For rules without order; the others say that they cannot. Asked for in doc-to-lora#3, #4."""
    fw = memory(update=update, gate="layer")
    first, texts = tokens(2, 9), tokens(2, 6, seed=1)
    state, apart_written = fw.write(first).state, fw.write(texts).state
    if fw.config.ordered:
        with pytest.raises(ValueError, match="do not add up"):
            state.merge(apart_written)
        return
    expected = state
    for text in texts:
        expected = fw.write(text.expand(2, -1), state=expected).state
    assert apart(state.merge(apart_written), expected) < 1e-10


def test_merged_texts_count_as_part_of_the_last(update):
    """With recency, too: as if written on in the last text; what is held grows no older."""
    fw = memory(update=update, gate="layer", recency=0.3)
    if fw.config.ordered:
        return
    state = fw.write(tokens(2, 4, seed=2), state=fw.write(tokens(2, 9)).state).state
    texts, expected = tokens(2, 6, seed=1), state
    for text in texts:
        same = torch.ones(2, dtype=torch.bool)
        expected = fw.write(text.expand(2, -1), state=expected, same_text=same).state
    merged = state.merge(fw.write(texts).state)
    assert apart(merged, expected) < 1e-10
    more = tokens(2, 5, seed=7)
    assert apart(*(fw.write(more, state=s).state for s in (merged, expected))) < 1e-10


@pytest.mark.parametrize("recency", [0.3, 1.0])
def test_a_text_counts_once_whatever_its_segments(update, recency):
    """Segments of a text are one text; two texts in a row are not, if texts have an age."""
    fw = memory(update=update, gate="layer", recency=recency, chunk=4)
    first, second = tokens(2, 4), tokens(2, 7, seed=1)
    waiting = fw.write(first, flush=False).state  # at the end of a chunk: no token is pending
    expected = fw.write(second, state=waiting).state
    ended = fw.flush(waiting)
    segment = fw.write(second, state=ended, same_text=torch.tensor([True, False])).state
    text = fw.write(second, state=ended).state
    assert apart(segment.index([0]), expected.index([0])) == 0
    assert apart(segment.index([1]), text.index([1])) == 0
    assert (apart(text, expected) > 1e-3) == (recency < 1)


def test_a_file_of_ones_own_is_told_what_it_lacks(tmp_path):
    """One line that names the file: not there, not Python, without a rule, with half of one."""
    path = tmp_path / "mine.py"
    for content, message in (
        (None, "found no such file"),
        ("def", "expected Python"),
        ("ORDERED = print", "literal"),
        ("x = 1", "found no class Rule"),
        ("class Rule: pass", r"expected a class Rule\(UpdateRule\)"),
        ("ORDERED = 0\nclass Rule: pass", "found ORDERED 0, expected True or False"),
        ("REQUIRES = ['decay']\nclass Rule: pass", "expected a dictionary of keys"),
        (f"{IMPORTS}\nclass Rule(FactorRule): pass", "expected Rule.State, a class of its own"),
        (f"{IMPORTS}\nclass Rule(FactorRule): State = FactorState", "a class of its own"),
        (f"{IMPORTS}\nclass S(FactorState): pass\nclass Rule(FactorRule): State = S", "abstract"),
        (
            f"{IMPORTS}\nORDERED = False\nclass S(FactorState): pass\n"
            "class Rule(FactorRule): State = S",
            "found S.mergeable False, expected True",
        ),
        ("import nowhere\nclass Rule: pass", "No module named 'nowhere'"),
    ):
        if content is not None:
            path.write_text(content)
        load.cache_clear()
        rules._module.cache_clear()
        with pytest.raises(UserError, match=message) as error:
            load(str(path))
        assert str(path) in str(error.value)
    path.write_text("x = 1")
    with pytest.raises(ValueError, match="found no class Rule"):
        FastWeightsConfig(layers=(0,), update=str(path))  # before any work
    for wrong in ("hebian", "mine"):
        with pytest.raises(ValueError, match=f"found '{wrong}', expected one of hebbian, delta"):
            FastWeightsConfig(layers=(0,), update=wrong)


def test_what_a_rule_requires(tmp_path):
    """`REQUIRES` of a file is checked with the configuration."""
    path = tmp_path / "strict.py"
    for declaration in ('REQUIRES = {"decay": 1.0}', 'REQUIRES: dict = {"decay": 1.0}'):
        path.write_text(f"{declaration}\nclass Rule: pass")
        FastWeightsConfig(layers=(0,), update=str(path))
        with pytest.raises(ValueError, match=r"requires {'decay': 1\.0}, found {'decay': 0\.5}"):
            FastWeightsConfig(layers=(0,), update=str(path), decay=0.5)


def test_a_saved_rule_goes_with_what_was_saved(own, tmp_path, monkeypatch):
    """Loaded from another folder it is the same rule; a state of the rule before an edit is not."""
    rule, ids = tmp_path / "mine.py", tokens(1, 9)
    rule.write_text(Path(own).read_text())
    fw = memory(update=str(rule))
    state = fw.write(ids).state
    save(fw, tmp_path / "saved")
    save_state(fw, state, tmp_path / "state")
    rule.write_text(rule.read_text().replace("torch.sign", "torch.tanh"))
    monkeypatch.chdir(tmp_path.parent)
    again = saved_fast_weights(tmp_path / "saved", tiny())
    assert apart(again.write(ids).state, state) == 0
    assert apart(load_state(again, tmp_path / "state"), state) == 0
    with pytest.raises(UserError, match="written by other fast weights"):
        load_state(memory(update=str(rule)), tmp_path / "state")


def test_the_readable_form_is_made_once_and_kept_apart():
    """Also in inference mode; a copy and a file of the state do not contain it."""
    with torch.no_grad():
        written = memory(update="mesa").write(tokens(2, 9)).state.layers[0].written
    small = len(pickle.dumps(written))
    with torch.inference_mode():
        assert written.readable() is written.readable()
    assert not written.readable().values.is_inference()
    assert len(pickle.dumps(written)) == small
    assert copy.deepcopy(written).readable() is not written.readable()
