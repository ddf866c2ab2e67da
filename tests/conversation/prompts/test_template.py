"""Prompts from chat templates, in training, in recall and in the file of predictions."""

import copy
import json
import shutil

import pytest
import torch
from accelerate import Accelerator

from clone import ROOT
from conversation_models import ARCHITECTURE, passages, prompter, samples, single
from ttt_memory.benchmark.own_texts import ANY_LANGUAGE, lines_of
from ttt_memory.conversation.config.asking import RecallConfig
from ttt_memory.conversation.config.training import EpisodeConfig, RunConfig, TrainConfig
from ttt_memory.conversation.models.embedded import build_model
from ttt_memory.conversation.prompts.fact_places import fact_tokens
from ttt_memory.conversation.prompts.prompter import Prompter
from ttt_memory.conversation.prompts.template import ACKNOWLEDGEMENT, ANSWER_ALONE, RENDER_OPTIONS
from ttt_memory.conversation.recall.ask import Recall
from ttt_memory.conversation.recall.naive import answer_naive, write_naive
from ttt_memory.conversation.train.batches import BatchMaker
from ttt_memory.conversation.train.corpus_sampler import Conversation, CorpusSampler
from ttt_memory.conversation.train.train_run import train
from ttt_memory.errors import UserError
from ttt_memory.fast_weights import FastWeightsConfig, inject

TURN = "<|turn|>{{ m['role'] }}\n{{ m['content'] }}<|over|>\n"
CHAT = (
    "{% for m in messages %}" + TURN + "{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}"
)
# It adds a system prompt, and an empty block of thinking where the answer begins.
SYSTEM = (
    "<|turn|>system\nBe helpful.<|over|>\n{% for m in messages %}" + TURN + "{% endfor %}"
    "<|turn|>assistant\n{% if not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
)
# A turn has no tokens of its own at its beginning, so only its context marks it.
BRACKETS = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}"
    "[INST] {{ m['content'] }} [/INST]{% else %} {{ m['content'] }}</s>{% endif %}{% endfor %}"
)
# It trims contents, renames a role, and refuses roles that do not alternate.
TRIMMED = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "<|turn|>{{ 'model' if m['role'] == 'assistant' else 'user' }}\n"
    "{{ m['content'] | trim }}<|over|>\n{% endfor %}<|turn|>model\n"
)
# It adds a system prompt unless the messages begin with one.
DEFAULT = (
    "{% if messages[0]['role'] != 'system' %}<|turn|>system\nBe helpful.<|over|>\n{% endif %}"
    + CHAT
)
TEMPLATES = {
    "chat": CHAT,
    "system": SYSTEM,
    "brackets": BRACKETS,
    "trimmed": TRIMMED,
    "default": DEFAULT,
}


def chat(template: str) -> Prompter:
    """The test tokenizer with a chat template and its special tokens."""
    tokenizer = copy.deepcopy(prompter().tokenizer)
    special = ["<|turn|>", "<|over|>", "[INST]", "[/INST]", "</s>"]
    tokenizer.add_special_tokens({"bos_token": "<s>", "additional_special_tokens": special})
    tokenizer.chat_template = template
    return Prompter(tokenizer)


@pytest.fixture(params=TEMPLATES)
def speaker(request) -> Prompter:
    return chat(TEMPLATES[request.param])


def rendered(speaker: Prompter, contents: list[str]) -> str:
    """Messages of user and assistant by turns, rendered by the template."""
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(contents)]
    return speaker.tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True, **RENDER_OPTIONS
    )


def dialogues(language: str, count: int = 6):
    """Dialogues of one session."""
    return [s for s in single() if s.language == language][:count]


def fast_weights(speaker: Prompter):
    architecture = ARCHITECTURE.model_copy(update={"vocab_size": len(speaker.tokenizer)})
    model = build_model(architecture, speaker.tokenizer, 0).eval()
    return inject(model, FastWeightsConfig(layers=(0, 1), chunk=8, lr=3.0)).eval()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_parts_join_to_the_prompt_of_the_template(speaker, language):
    """As a string and as tokens, with no, one and two texts before the question."""
    first, second = (s.sessions[0].strip() for s in dialogues(language, 2))
    question = "How much?"
    for texts in ([], [first], [first, second]):
        before = [part for text in texts for part in (text, ACKNOWLEDGEMENT[language])]
        expected = rendered(speaker, [*before, question + ANSWER_ALONE[language]])
        pieces = [speaker.text(text, language) for text in texts]
        asked = speaker.question(question, language)
        assert speaker.template.opening + "".join(pieces) + asked == expected
        apart = [speaker.opening, *speaker.texts(texts, [language] * len(texts))]
        apart = [token for ids in [*apart, *speaker.ids([asked])] for token in ids]
        assert speaker.tokenizer.decode(apart) == expected
    (ids,) = speaker.texts([first], [language])
    assert ids == speaker.around(*speaker.ids([first]), language)


def test_an_answer_ends_with_the_token_that_ends_a_turn():
    for name, end in {"chat": "<|over|>", "brackets": "</s>", "trimmed": "<|over|>"}.items():
        speaker = chat(TEMPLATES[name])
        assert speaker.tokenizer.convert_ids_to_tokens(speaker.end) == end
        (encoded,) = speaker.encode(dialogues("en", 1))
        assert all(answer[-1] == speaker.end for answer in encoded.answers)


def test_every_sequence_begins_with_the_start_token_that_the_tokenizer_adds():
    tokenizer = copy.deepcopy(prompter().tokenizer)
    tokenizer.add_special_tokens({"bos_token": "<s>"})
    assert Prompter(tokenizer).opening == []
    from tokenizers.processors import TemplateProcessing

    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.bos_token_id)]
    )
    assert Prompter(tokenizer).opening == [tokenizer.bos_token_id]


def test_recall_asks_the_prompts_of_the_template_and_keeps_them(speaker):
    """Answers are those of the naive reference, and the opening is never written."""
    fw, asked = fast_weights(speaker), dialogues("en", 3)
    config = RecallConfig(max_new_tokens=4, device="cpu", segment_tokens=512)
    engine = Recall(fw, speaker, asked, config)
    for condition in ("A", "B", "C"):
        rows = {(r["sample_id"], r["probe_id"]): r for r in engine.run(condition)}
        for sample in asked:
            text = speaker.text(sample.sessions[0], "en")
            (text_ids,) = speaker.ids([text])
            state = write_naive(fw, [text_ids], speaker.opening)
            assert state.written.item() == len(text_ids)
            for probe in sample.probes:
                row = rows[sample.sample_id, probe.probe_id]
                question = speaker.question(probe.question, "en")
                seen = text if condition == "A" else ""
                assert row["prompt"] == speaker.template.opening + seen + question
                assert row["written"] == (text if condition == "B" else "")
                assert row["written_tokens"] == (len(text_ids) if condition == "B" else 0)
                ids = speaker.ids([question])[0]
                ids = text_ids + ids if condition == "A" else ids
                assert row["prompt_tokens"] == len(speaker.opening + ids)
                held = state if condition == "B" else fw.empty_state(1)
                said = answer_naive(fw, speaker, ids, held, config.max_new_tokens)
                assert row["prediction"] == said.text


def test_training_writes_the_texts_that_recall_writes(speaker):
    """A write_drop_read step writes a rendered dialogue, without the opening before it."""
    config = TrainConfig(
        dialogues_per_step=2, episode=EpisodeConfig(), context_share=0.0, empty_share=0.0
    )
    data = CorpusSampler(samples(), passages(), speaker, 0, 4)
    rendered_ids = {tuple(ids) for s in samples() for ids in speaker.sessions(s)} | {()}
    for step in range(3):
        batch = BatchMaker(data, config).batch(step, 0)
        start = len(speaker.opening)
        for text in batch.texts:
            assert text.written.any()
            for ids, written in zip(text.packed.input_ids, text.written, strict=True):
                assert tuple(ids[written].tolist()) in rendered_ids
                assert ids[:start].tolist() == speaker.opening
                assert not written[:start].any()
        for ids, positions in zip(batch.packed.input_ids, batch.packed.position_ids, strict=True):
            assert ids[:start].tolist() == speaker.opening
            assert positions[start] == start


MESSAGES = [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "That."}]
RULE = [{"role": "system", "content": "Be brief."}]


def stream(speaker: Prompter, messages: list[dict]) -> CorpusSampler:
    """A sampler whose only text is one conversation of the user's own."""
    chats = {0: Conversation(json.dumps(messages), "mine.jsonl, passage own-0")}
    return CorpusSampler([], {ANY_LANGUAGE: [lines_of(messages)]}, speaker, 0, 4, chats)


def streamed(speaker: Prompter, messages: list[dict]) -> tuple[str, str]:
    """The text of a next-token step on that conversation, and the part of it that is written."""
    config = TrainConfig(objective="lm", dialogues_per_step=2)
    (text,) = BatchMaker(stream(speaker, messages), config).batch(0, 0).texts
    ids, written = text.packed.input_ids[0], text.written[0]
    return speaker.tokenizer.decode(ids), speaker.tokenizer.decode(ids[written])


def test_own_conversations_are_rendered_by_the_template_for_training(speaker):
    """All but the opening is written. Without a template, messages are lines of text."""
    options = {"tokenize": False, "add_generation_prompt": False, **RENDER_OPTIONS}
    expected = speaker.tokenizer.apply_chat_template(MESSAGES, **options)
    written = expected.removeprefix(speaker.template.opening)
    assert streamed(speaker, MESSAGES) == (expected, written)
    end = speaker.tokenizer.eos_token
    assert streamed(Prompter(speaker.tokenizer, "none"), MESSAGES)[1] == lines_of(MESSAGES) + end


@pytest.mark.parametrize("template", [CHAT, "{{ bos_token }}" + CHAT, DEFAULT])
def test_a_system_message_of_the_conversation_replaces_that_of_the_template(template):
    speaker, messages = chat(template), RULE + MESSAGES
    options = {"tokenize": False, "add_generation_prompt": False, **RENDER_OPTIONS}
    expected = speaker.tokenizer.apply_chat_template(messages, **options)
    assert streamed(speaker, messages) == (expected, expected.removeprefix("<s>"))


def test_a_conversation_that_a_template_refuses_is_named_before_training():
    data = stream(chat(TRIMMED), MESSAGES[1:])
    with pytest.raises(
        UserError, match=r"mine.jsonl, passage own-0: .* that begin 'That\.' .*alternate"
    ):
        data.passages.check_conversations()
    run = RunConfig(
        fast_weights=FastWeightsConfig(layers=(0,), read_while_writing=True),
        train=TrainConfig(objective="lm", steps=1),
    )
    with pytest.raises(UserError, match="alternate"):
        train(fast_weights(data.prompter), data, run, Accelerator(cpu=True))


def test_facts_are_found_in_the_rendered_dialogue(speaker):
    for sample in dialogues("zh") + dialogues("en"):
        ids, is_fact = fact_tokens(speaker, sample)
        found = speaker.tokenizer.decode(torch.tensor(ids)[is_fact])
        assert all(fact.value.strip() in found for fact in sample.facts[:1])
        assert is_fact.sum() < len(ids) / 2


def test_templates_that_render_no_turns_are_refused_in_one_line():
    with pytest.raises(UserError, match=r"cannot render .* \(no chats here\).*chat_template: none"):
        chat("{{ raise_exception('no chats here') }}")
    counted = "{% for m in messages %}{{ loop.index }}: {{ m['content'] }}\n{% endfor %}"
    with pytest.raises(UserError, match="renders a turn in more than one way"):
        chat(counted)
    tokenizer = chat(CHAT).tokenizer
    assert Prompter(tokenizer, "none").template == prompter().template


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    """Transformers would make one of the special tokens alone."""
    shutil.copy(ROOT / "data" / "models" / "embedded" / "config.json", tmp_path)
    with pytest.raises(UserError, match=r"no tokenizer, expected one of \[.*'tokenizer.json'"):
        Prompter.load(tmp_path)
