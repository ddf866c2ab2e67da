"""The benchmarks measure what they say: their forms agree, and a missed target has a name."""

import importlib
import json
import re
import sys
from collections import Counter
from copy import deepcopy
from functools import cache, partial
from pathlib import Path
from types import ModuleType

import pytest
import torch
import yaml
from snakemake.utils import update_config

from conversation_models import ARCHITECTURE, fast_weights, model, prompter, samples
from fast_weights_models import settings, tiny, tokens
from ttt_memory.benchmark import Sample
from ttt_memory.conversation.config.training import EpisodeConfig, LoraConfig
from ttt_memory.conversation.models.embedded import build_model
from ttt_memory.conversation.models.lora import adapt
from ttt_memory.conversation.models.trained_run import trained_part
from ttt_memory.conversation.prompts.prompter import Prompter
from ttt_memory.conversation.prompts.template import ANSWER_ALONE
from ttt_memory.conversation.recall.write_dialogues import write_texts
from ttt_memory.conversation.train.batches import Batch
from ttt_memory.conversation.train.corpus_sampler import CorpusSampler
from ttt_memory.conversation.train.episodes import EpisodeMaker
from ttt_memory.conversation.train.objective import Objective
from ttt_memory.conversation.train.train_run import choose_trained
from ttt_memory.cost import flop_counter, stopwatch
from ttt_memory.cost.roofline import Count
from ttt_memory.errors import UserError
from ttt_memory.fast_weights import FastWeights, FastWeightsConfig, inject
from ttt_memory.fast_weights.base_model import is_adapter
from ttt_memory.study.config import load
from ttt_memory.study.config.tree import Config

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
CPU = torch.device("cpu")
MEGABYTE = 2**20


@cache
def script(name: str) -> ModuleType:
    """A benchmark as a module; child processes find it by the same name."""
    sys.path.insert(0, str(FOLDER))
    return importlib.import_module(name)


@pytest.mark.parametrize("chunk", [3, 8, 64])
@pytest.mark.parametrize("whole", [False, True])
def test_training_forms_agree(whole, chunk):
    """Loss or output, and every gradient; lengths with and without a partial chunk."""
    bench = script("fast_weights")
    shape = bench.Shape(d=32, ff=48, layers=3, remember=2)
    for length in (8, 17):
        step, fw, x = bench.training_case(shape, whole, chunk, length)
        with torch.no_grad():
            for parameter in fw.fast_parameters():
                parameter += 0.1 * torch.randn_like(parameter)
        found, expected = (step(fw, form, x) for form in ("parallel", "dense-cumulative"))
        assert bench.difference(found, expected) < 1e-4
        reads = chunk < length
        # A text of one chunk reads nothing, so that nothing of the memory is learned.
        assert len(expected) == (1 + 2 * (2 if whole else 1) + (not whole))
        assert any(t.abs().max() > 0 for t in expected[1:3]) == reads


def grow(megabytes: int) -> int:
    """Peak of a function that holds so much; for a fresh process."""
    torch.zeros(8).add(1)
    return stopwatch.peak_bytes(partial(torch.ones, megabytes * MEGABYTE // 4), CPU)


def test_peak_memory_is_what_is_held():
    """Within 5 MB of 100, though the caller held more before."""
    ballast = torch.ones(50 * MEGABYTE)
    del ballast
    assert stopwatch.in_child(grow, 100) == pytest.approx(100 * MEGABYTE, abs=5 * MEGABYTE)


def test_counted_flops_and_bytes():
    """A product, a solve and attention on the CPU, forward and backward."""
    a, b = torch.rand(3, 4), torch.rand(4, 5)
    assert flop_counter.count(lambda: a @ b) == Count(2 * 3 * 4 * 5, 4 * (12 + 20 + 15))
    assert flop_counter.count(lambda: a.T[None]) == Count(0, 0)
    lower = torch.eye(4).expand(2, 4, 4).clone()
    right = torch.rand(2, 4, 3)
    solve = partial(torch.linalg.solve_triangular, lower, right, upper=False)
    assert flop_counter.count(solve).flops == 2 * 4 * 4 * 3
    q = torch.rand(1, 2, 8, 4, requires_grad=True)

    def attend() -> None:
        torch.nn.functional.scaled_dot_product_attention(q, q, q).sum().backward()

    product = 2 * 2 * 8 * 8 * 4
    assert flop_counter.count(attend).flops == (2 + 5) * product


def test_bound_is_the_slower_of_both():
    """Ten FLOPs at five a second, a hundred bytes at ten a second."""
    ceilings = stopwatch.Ceilings({"float32": 5.0}, 10.0)
    assert ceilings.bound(Count(10, 5), "float32") == 2
    assert ceilings.bound(Count(10, 100), "float32") == 10


def test_a_missed_target_has_a_name(monkeypatch, capsys):
    """The whole command on a tiny model: its table, and the one target that cannot be met."""
    bench = script("fast_weights")
    tiny = "fast_weights.py --d 32 --ff 48 --layers 2 --remember 1 --rounds 1 --threads 1 --check"
    monkeypatch.setattr(sys, "argv", [*tiny.split(), "--lengths", "512", "--chunks", "64"])
    monkeypatch.setattr(bench, "LEAST_TIME", float("inf"))
    monkeypatch.setattr(bench, "LEAST_MEMORY", 0.0)
    monkeypatch.setattr(bench, "MOST_OVERHEAD", float("inf"))
    # Peaks of fresh processes have a test above; here none is judged.
    monkeypatch.setattr(stopwatch, "in_child", lambda function, *given: function(*given))
    with pytest.raises(SystemExit) as missed:
        bench.main()
    assert "layer, T = 512, chunk 64, parallel" in capsys.readouterr().out
    assert str(missed.value).count("time ratio") == 2
    assert "memory" not in str(missed.value)


def test_the_gpu_table_on_a_tiny_model(tmp_path, monkeypatch, capsys):
    """Every part of it runs, on a CPU too; what holds more than it may is named."""
    bench = script("gpu")
    config = {
        "runs": {
            "write-drop-read": {
                "fast_weights": {"layers": [0, 6], "chunk": 64},
                "train": {"regime": "frozen", "dialogues_per_step": 2},
            }
        },
        "recall": {"rows": 4, "probe_rows": 32, "max_new_tokens": 2},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    tiny = f"gpu.py --shape tiny --device cpu --config {tmp_path / 'config.json'}"
    sizes = "--runs write-drop-read --samples 3 --steps 2 --lengths 64 --rounds 1 --check"
    monkeypatch.setattr(sys, "argv", f"{tiny} {sizes}".split())
    monkeypatch.setattr(bench, "MOST_GIB", 0.0)
    with pytest.raises(SystemExit) as missed:
        bench.main()
    parts = ["write, T = 64", *(f"recall {c}" for c in "ABCD"), "training write-drop-read"]
    printed = capsys.readouterr().out
    for part in parts:
        assert re.search(rf"{part}: \d\.\d GiB > 0 GiB", str(missed.value))
        assert part in printed
    assert "300 samples, A to D:" in printed


@pytest.mark.parametrize("jobs", [10, 1000])
def test_what_grows_is_jobs_of_one_kind(jobs):
    scale = script("scale")
    shards = loaded(scale.preset("shards", jobs))
    assert len(shards.recall.conditions) * shards.recall.shards == pytest.approx(jobs, abs=3)
    study = loaded(scale.preset("strategies", jobs)).forecast
    assert len(study.datasets) * len(study.strategies) * len(study.seeds) == jobs
    assert not study.baselines


def loaded(overlay: dict) -> Config:
    """config.yaml under a benchmark's preset, checked."""
    data = yaml.safe_load((FOLDER.parent / "config.yaml").read_text())
    update_config(data, overlay)
    return load(data, root=FOLDER.parent)


def chain(*rules: str):
    """Jobs each of which waits for the one before."""
    found = script("cluster").Graph(dict(enumerate(rules)))
    for job in range(1, len(rules)):
        found.needs[job] = 1
        found.next[job - 1].append(job)
    return found


SURE = {"wait": 1e-9, "failures": 0.0, "per_second": 1e9, "poll": 1.0}
TIMES = {"train": [10.0], "recall": [4.0]}


def test_a_chain_takes_its_sum_however_many_nodes():
    cluster = script("cluster")
    jobs = chain("train", "recall", "all")
    assert cluster.bound(jobs, TIMES) == (14.0, 14.0)
    for nodes in (1, 8):
        end, busy, lost = cluster.simulate(jobs, TIMES, cluster.Cluster(nodes, **SURE), seed=0)
        assert end == pytest.approx(14, abs=3.1)  # each end is noticed at a poll
        assert (busy, lost) == (14.0, 0)


def test_independent_jobs_share_the_nodes():
    cluster = script("cluster")
    jobs = cluster.Graph(dict.fromkeys(range(8), "train"))
    ends = [
        cluster.simulate(jobs, TIMES, cluster.Cluster(nodes, **SURE), seed=0)[0]
        for nodes in (1, 2, 8)
    ]
    assert ends == pytest.approx([80, 40, 10], abs=1.1)


def test_what_always_fails_is_given_up_after_its_retries():
    cluster = script("cluster")
    means = cluster.Cluster(2, **{**SURE, "failures": 1.0}, retries=3)
    _, busy, lost = cluster.simulate(chain("train", "recall"), TIMES, means, seed=0)
    assert lost == 1  # what waits for it never starts
    assert 0 < busy < 4 * 10


def test_the_simulated_graph_is_snakemake_s():
    jobs = script("cluster").graph("config/smoke.yaml")
    (last,) = (job for job, rule in jobs.rules.items() if rule == "all")
    assert jobs.needs[last] == 3 - 1  # index.html and RESULTS.md are of one job
    assert not jobs.next[last]
    first = {jobs.rules[job] for job in jobs.rules if not jobs.needs[job]}
    assert first == {"make_benchmark", "make_corpus", "make_series"}


@torch.no_grad()
def test_a_text_is_read_back_from_its_state():
    """All but the first token, of which no value speaks; next to nothing from a state of rank 0."""
    bench = script("readback")
    sizes = {"hidden_size": 32, "intermediate_size": 48, "head_dim": 8, "num_attention_heads": 4}
    rule = {"layers": (2,), "chunk": 64, "target": "input_embed", "update": "mesa", "lr": 3.0}
    fw = inject(tiny(dtype=torch.float32, **sizes), settings(**rule))
    ids = tokens(1, 24)
    state = fw.write(ids).state
    written = bench.Written(bench.Attack(fw, 2), ids[0], state, torch.ones(24))
    assert min(written.found(state)) > 22 / 24
    for form in (state.readable(), state.compact(state.nbytes)):
        assert written.found(form)[1] > 20 / 24
    assert max(written.found(state.compact(17))[1:]) < 0.3


@torch.no_grad()
def test_what_is_off_costs_the_model_nothing():
    """Bit for bit: an adapter that is off, and a memory in which nothing is written."""
    bench = script("side_effects")
    base, adapted = tiny(dtype=torch.float32), tiny(dtype=torch.float32)
    adapt(adapted, LoraConfig(rank=2))
    for name, factor in adapted.named_parameters():
        if is_adapter(name):
            torch.nn.init.normal_(factor, std=0.3)
    fw = inject(adapted, settings(layers=(1,), update="mesa")).eval()
    texts = [(tokens(1, 24)[0].tolist(), 1), (tokens(1, 30, seed=1)[0].tolist(), 12)]
    untouched = bench.losses(base, texts)
    assert (bench.losses(bench.without_adapter(fw), texts) == untouched).all()
    plain = bench.losses(fw.plain, texts)
    assert (plain != untouched).all()
    empty = partial(fw.read, fw.empty_state(1).readable())
    assert (bench.losses(empty, texts) == plain).all()
    assert bench.described(untouched, untouched).endswith("same, bit for bit")
    ids, start = texts[1]
    logits = base(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
    by_hand = -sum(logits[i - 1, ids[i]] for i in range(start, len(ids))) / (len(ids) - start)
    assert untouched[1] == pytest.approx(by_hand.item(), rel=1e-5)


def test_only_the_words_behind_a_question_change():
    """And what the untrained model then answers is scored."""
    bench = script("base_prompts")
    tokenizer = deepcopy(prompter().tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|turn|>", "<|over|>"]})
    tokenizer.chat_template = (
        "{% for m in messages %}<|turn|>{{ m['role'] }} {{ m['content'] }}<|over|>{% endfor %}"
        "{% if add_generation_prompt %}<|turn|>assistant {% endif %}"
    )
    usual = Prompter(tokenizer)
    asked, words = usual.question("Who?", "en"), ANSWER_ALONE["en"]
    assert asked.count(words) == 1
    other = bench.worded(usual, "\nIn a word.")
    assert other.question("Who?", "en") == asked.replace(words, "\nIn a word.")
    assert other.question("谁？", "zh") == usual.question("谁？", "zh")
    assert usual.question("Who?", "en") == asked
    with pytest.raises(UserError, match="expected a model with a chat template"):
        bench.worded(prompter(), "")
    told = [s for s in samples() if s.language == "en"][:3]
    shape = ARCHITECTURE.model_copy(update={"vocab_size": len(tokenizer)})
    fw = inject(build_model(shape, tokenizer, 0).eval(), settings(layers=(0,)))
    count, exact, within = bench.scores(fw, other, told)
    assert count == sum(len(s.probes) for s in told)
    assert 0 <= exact <= within <= 1


@torch.no_grad()
def test_what_a_dearer_refusal_would_answer():
    """The margin is above 0 where the token comes first; where it does not, nothing changes."""
    bench = script("refusals")
    told = [s for s in samples() if s.language == "en" and len(s.probes) > 1][:6]
    fw, prompts = fast_weights(), prompter()
    for condition in ("A", "B"):
        usual = [said for sample in told for said in usual_first_tokens(fw, sample, condition)]
        token = Counter(usual).most_common(1)[0][0]
        asked = bench.ask(fw, prompts, told, condition, token)
        assert len(asked) == sum(len(s.probes) for s in told)
        assert [a.margin > 0 for a in asked] == [first == token for first in usual]
        assert {a.dialogue for a in asked} == set(range(len(told)))
    apart = [bench.Asked(0, True, -1.0, True), bench.Asked(0, False, 2.0, False)]
    assert bench.told_apart(apart) == 1
    assert bench.told_apart([*apart, bench.Asked(1, True, 3.0, False)]) == 0.5


def usual_first_tokens(fw: FastWeights, sample: Sample, condition: str) -> list[int]:
    """The first token of the usual answer to each probe, from a pass over the question alone."""
    prompts, texts = prompter(), prompter().sessions(sample)
    state = write_texts(fw, prompts, [texts], 512).readable() if condition == "B" else None
    forward = fw.plain if state is None else partial(fw.read, state)
    before = [t for text in texts for t in text] if condition == "A" else []
    found = []
    for probe in sample.probes:
        question = prompts.ids([prompts.question(probe.question, "en")])[0]
        ids = torch.tensor([[*prompts.opening, *before, *question]])
        found.append(forward(input_ids=ids).logits[0, -1].argmax().item())
    return found


def test_plain_fine_tuning_learns_the_same_answers():
    """All forms have the same answers; packed probes have the loss of one row for each probe."""
    bench = script("training")
    job = bench.configuration()
    adapter = job.train.model_copy(update={"lora": LoraConfig(rank=2)})
    fast = FastWeightsConfig(layers=(0, 1), chunk=512, update="mesa", gate="top")
    job = job.model_copy(update={"train": adapter, "fast_weights": fast})
    network = model()
    trained_part(network, adapter)
    fw, prompts = inject(network, fast), prompter()
    choose_trained(fw, "lora")
    chosen = [s for s in samples() if s.language == "en"][:3]
    told = prompts.encode(chosen, [list(range(3))] * 3)
    steps = {form: bench.made(form, fw, prompts, told, job) for form in bench.FORMS}
    assert {step.answers for step in steps.values()} == {steps[bench.OURS].answers}
    assert steps[bench.ONCE].tokens < steps[bench.EVERY].tokens
    for step in steps.values():
        bench.once(fw, step)
        trained = [p for name, p in fw.model.named_parameters() if is_adapter(name)]
        assert any(p.grad is not None and p.grad.abs().max() > 0 for p in trained)
    packed = EpisodeMaker(CorpusSampler([], {}, prompts, 0, 3), EpisodeConfig()).probes(
        [[example] for example in told], [example.context for example in told]
    )
    expected = Objective(fw, adapter)(Batch("context", packed=packed)).own
    assert steps[bench.EVERY].loss().item() == pytest.approx(expected, rel=1e-5)


@torch.no_grad()
def test_recency_returns_the_later_of_two_values():
    """Without it both come back alike; a key that nothing changed is recalled as well with it."""
    bench = script("recency")
    draw = bench.Sessions.random(0)
    alike = list(bench.measured(bench.least_squares, draw))
    assert alike[2] == pytest.approx(alike[3], abs=0.1)
    recent = list(bench.measured(partial(bench.least_squares, factor=0.5), draw))
    assert recent[2] > 0.95
    assert abs(recent[3]) < 0.05
    assert recent[4:] == pytest.approx(alike[4:], abs=0.01)
    assert list(bench.measured(bench.with_delta_step, draw))[2] > 0.9
    tagged = draw.tagged(0.5)
    assert tagged.asked().shape == (bench.TOKENS, bench.FF + 2)
    torch.testing.assert_close(tagged.keys.norm(dim=-1), torch.ones(bench.SESSIONS, bench.TOKENS))
