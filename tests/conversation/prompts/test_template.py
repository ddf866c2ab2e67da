"""Chat templates: every prompt is the template's own, in training, in recall and in the file."""

import copy
import json

import pytest
import torch
from accelerate import Accelerator

from conversation_models import ARCHITECTURE, passages, prompter, samples
from ttt_memory.benchmark.own_texts import ANY_LANGUAGE, lines_of
from ttt_memory.conversation.config.asking import RecallConfig
from ttt_memory.conversation.config.training import EpisodeConfig, RunConfig, TrainConfig
from ttt_memory.conversation.models.embedded import build_model
from ttt_memory.conversation.prompts.prompter import Prompter
from ttt_memory.conversation.prompts.template import ACKNOWLEDGEMENT, ANSWER_ALONE, RENDER_OPTIONS
from ttt_memory.conversation.recall.conditions import Recall
from ttt_memory.conversation.recall.diagnostics import fact_tokens
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
# A system prompt of its own; thinking that is switched off where the answer begins.
SYSTEM = (
    "<|turn|>system\nBe helpful.<|over|>\n{% for m in messages %}" + TURN + "{% endfor %}"
    "<|turn|>assistant\n{% if not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
)
# The beginning of the sequence and of a turn are told apart only by what precedes them.
BRACKETS = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}"
    "[INST] {{ m['content'] }} [/INST]{% else %} {{ m['content'] }}</s>{% endif %}{% endfor %}"
)
# Contents are trimmed, roles renamed and held to alternate.
TRIMMED = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "<|turn|>{{ 'model' if m['role'] == 'assistant' else 'user' }}\n"
    "{{ m['content'] | trim }}<|over|>\n{% endfor %}<|turn|>model\n"
)
# A system prompt of its own unless the messages bring one.
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
    """The test tokenizer, with special tokens of chats and a template."""
    tokenizer = copy.deepcopy(prompter().tokenizer)
    special = ["<|turn|>", "<|over|>", "[INST]", "[/INST]", "</s>"]
    tokenizer.add_special_tokens({"bos_token": "<s>", "additional_special_tokens": special})
    tokenizer.chat_template = template
    return Prompter(tokenizer)


@pytest.fixture(params=TEMPLATES)
def speaker(request) -> Prompter:
    return chat(TEMPLATES[request.param])


def rendered(speaker: Prompter, contents: list[str]) -> str:
    """What the template makes of the user's and the assistant's messages."""
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(contents)]
    return speaker.tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True, **RENDER_OPTIONS
    )


def dialogues(language: str, count: int = 6):
    return [s for s in samples() if s.language == language][:count]


def fast_weights(speaker: Prompter):
    architecture = ARCHITECTURE.model_copy(update={"vocab_size": len(speaker.tokenizer)})
    model = build_model(architecture, speaker.tokenizer, 0).eval()
    return inject(model, FastWeightsConfig(layers=(0, 1), chunk=8, lr=3.0)).eval()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_pieces_make_the_prompts_of_the_template(speaker, language):
    """With none, one and two texts before the question: the string, and its tokens."""
    first, second = (s.dialogue.strip() for s in dialogues(language, 2))
    question = "How much?"
    for texts in ([], [first], [first, second]):
        read = [part for text in texts for part in (text, ACKNOWLEDGEMENT[language])]
        expected = rendered(speaker, [*read, question + ANSWER_ALONE[language]])
        pieces = [speaker.text(text, language) for text in texts]
        asked = speaker.question(question, language)
        assert speaker.template.opening + "".join(pieces) + asked == expected
        apart = [speaker.opening, *speaker.texts(texts, [language] * len(texts))]
        apart = [token for ids in [*apart, *speaker.ids([asked])] for token in ids]
        assert speaker.tokenizer.decode(apart) == expected
    (ids,) = speaker.texts([first], [language])
    assert ids == speaker.around(*speaker.ids([first]), language)


def test_the_end_of_an_answer_is_the_templates_end_of_a_turn():
    for name, end in {"chat": "<|over|>", "brackets": "</s>", "trimmed": "<|over|>"}.items():
        speaker = chat(TEMPLATES[name])
        assert speaker.tokenizer.convert_ids_to_tokens(speaker.end) == end
        (encoded,) = speaker.encode(dialogues("en", 1))
        assert all(answer[-1] == speaker.end for answer in encoded.answers)


def test_a_tokenizer_that_begins_texts_begins_every_sequence():
    tokenizer = copy.deepcopy(prompter().tokenizer)
    tokenizer.add_special_tokens({"bos_token": "<s>"})
    assert Prompter(tokenizer).opening == []
    from tokenizers.processors import TemplateProcessing

    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.bos_token_id)]
    )
    assert Prompter(tokenizer).opening == [tokenizer.bos_token_id]


def test_recall_asks_what_the_template_renders_and_keeps_it(speaker):
    """Condition A, B and C; every answer is the oracle's, and the opening is never written."""
    fw, asked = fast_weights(speaker), dialogues("en", 3)
    config = RecallConfig(max_new_tokens=4, device="cpu", segment_tokens=512)
    engine = Recall(fw, speaker, asked, config)
    for condition in ("A", "B", "C"):
        rows = {(r["sample_id"], r["probe_id"]): r for r in engine.run(condition)}
        for sample in asked:
            text = speaker.text(sample.dialogue, "en")
            (read,) = speaker.ids([text])
            state = write_naive(fw, read, speaker.opening)
            assert state.written.item() == len(read)
            for probe in sample.probes:
                row = rows[sample.sample_id, probe.probe_id]
                question = speaker.question(probe.question, "en")
                seen = text if condition == "A" else ""
                assert row["prompt"] == speaker.template.opening + seen + question
                assert row["written"] == (text if condition == "B" else "")
                assert row["written_tokens"] == (len(read) if condition == "B" else 0)
                ids = speaker.ids([question])[0]
                ids = read + ids if condition == "A" else ids
                assert row["prompt_tokens"] == len(speaker.opening + ids)
                held = state if condition == "B" else fw.empty_state(1)
                said = answer_naive(fw, speaker, ids, held, config.max_new_tokens)
                assert row["prediction"] == said.text


def test_training_writes_what_recall_writes(speaker):
    """What a write_drop_read step writes is a rendered dialogue; before it stands the opening."""
    config = TrainConfig(
        dialogues_per_step=2, episode=EpisodeConfig(), context_share=0.0, empty_share=0.0
    )
    data = CorpusSampler(samples(), passages(), speaker, 0, 4)
    texts = [s.dialogue for s in samples()]
    read = {tuple(ids) for ids in speaker.texts(texts, [s.language for s in samples()])}
    for step in range(3):
        batch = BatchMaker(data, config).batch(step, 0)
        start = len(speaker.opening)
        (document,) = batch.texts
        for ids, written in zip(document.packed.input_ids, document.written, strict=True):
            assert tuple(ids[written].tolist()) in read
            assert ids[:start].tolist() == speaker.opening
            assert not written[:start].any()
        for ids, positions in zip(batch.packed.input_ids, batch.packed.position_ids, strict=True):
            assert ids[:start].tolist() == speaker.opening
            assert positions[start] == start


MESSAGES = [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "That."}]
RULE = [{"role": "system", "content": "Be brief."}]


def stream(speaker: Prompter, messages: list[dict]) -> CorpusSampler:
    """Own texts: one conversation."""
    chats = {0: Conversation(json.dumps(messages), "mine.jsonl, passage own-0")}
    return CorpusSampler([], {ANY_LANGUAGE: [lines_of(messages)]}, speaker, 0, 4, chats)


def streamed(speaker: Prompter, messages: list[dict]) -> tuple[str, str]:
    """What a next-token step reads of such texts, and what of it is written."""
    config = TrainConfig(objective="lm", dialogues_per_step=2)
    (document,) = BatchMaker(stream(speaker, messages), config).batch(0, 0).texts
    ids, written = document.packed.input_ids[0], document.written[0]
    return speaker.tokenizer.decode(ids), speaker.tokenizer.decode(ids[written])


def test_own_conversations_are_trained_on_as_the_template_renders_them(speaker):
    """All of it but what opens every sequence is written; with no template, lines."""
    options = {"tokenize": False, "add_generation_prompt": False, **RENDER_OPTIONS}
    expected = speaker.tokenizer.apply_chat_template(MESSAGES, **options)
    written = expected.removeprefix(speaker.template.opening)
    assert streamed(speaker, MESSAGES) == (expected, written)
    end = speaker.tokenizer.eos_token
    assert streamed(Prompter(speaker.tokenizer, "none"), MESSAGES)[1] == lines_of(MESSAGES) + end


@pytest.mark.parametrize("template", [CHAT, "{{ bos_token }}" + CHAT, DEFAULT])
def test_a_system_message_of_ones_own_takes_the_place_of_the_templates(template):
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
