"""Own and public conversations: what is read, what is counted, what is refused."""

import json
from pathlib import Path

import pytest

from conversation_files import ABSTENTION, CONVERSATION, LOCOMO, LONGMEMEVAL, write_all
from ttt_memory.benchmark import read_benchmark, write_benchmark
from ttt_memory.benchmark.importers import LAYOUTS, read_conversations
from ttt_memory.errors import UserError

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def files(tmp_path) -> dict[str, Path]:
    return write_all(tmp_path)


def by_name(samples, probe: str):
    """The first probe of that id, the fact it requires or None, and its sample."""
    for sample in samples:
        facts = {fact.fact_id: fact for fact in sample.facts}
        for found in sample.probes:
            if found.probe_id == probe:
                return found, facts.get(next(iter(found.required_facts), None)), sample
    raise AssertionError(f"no probe {probe}")


def test_our_own_layout(files, tmp_path):
    (sample,) = read_conversations("jsonl", [files["jsonl"]]).samples
    assert (sample.level, sample.split, sample.language) == (1, "imported", "en")
    assert sample.sessions == (
        "Ann: I got a dog, Biscuit.\nBo: Nice! I moved to Oslo.",
        "Ann: Oslo must be cold.",
    )
    dog, place, carl = sample.probes
    assert (dog.gold, dog.accepted, dog.kind) == ("biscuit", ("Bisky",), "pets")
    name, city = sample.facts
    assert sample.sessions[name.session][name.start : name.end] == name.value == "Biscuit"
    assert (place.kind, city.start, city.value) == ("question", -1, "Oslo")  # it stands there twice
    assert (carl.gold, carl.answerable, carl.required_facts) == ("I don't know.", False, ())
    write_benchmark(tmp_path / "b.parquet", [sample], {})
    assert read_benchmark(tmp_path / "b.parquet") == [sample]


def test_a_byte_order_mark_changes_nothing_and_half_an_emoji_is_refused(files):
    for layout in ("jsonl", "locomo", "babi"):
        expected = read_conversations(layout, [files[layout]]).samples
        text = files[layout].read_text(encoding="utf-8")
        files[layout].write_text(text, encoding="utf-8-sig")
        assert read_conversations(layout, [files[layout]]).samples == expected
    text = files["locomo"].read_text(encoding="utf-8-sig")
    half = text.replace('"text": "', r'"text": "\ud83d', 1)
    files["locomo"].write_text(half, encoding="utf-8")
    with pytest.raises(UserError, match=r"locomo.*: not readable as UTF-8 text"):
        read_conversations("locomo", [files["locomo"]])


def test_chinese_conversations_have_chinese_turns_and_refusals(tmp_path):
    entry = {
        "id": 7,
        "sessions": [[{"role": "小王", "content": "我的工号是40713。"}]],
        "questions": [
            {"question": "小王的工号是多少？", "answers": [40713]},
            {"question": "小李呢？", "answers": []},
        ],
    }
    (tmp_path / "zh.jsonl").write_text(json.dumps(entry, ensure_ascii=False), encoding="utf-8")
    (sample,) = read_conversations("jsonl", [tmp_path / "zh.jsonl"]).samples
    assert (sample.language, sample.sample_id) == ("zh", "7")
    assert sample.sessions == ("小王：我的工号是40713。",)
    assert [probe.gold for probe in sample.probes] == ["40713", "不知道。"]
    assert sample.facts[0].start == 8


def test_locomo_by_the_sessions_of_the_evidence(files):
    found = read_conversations("locomo", [files["locomo"]])
    assert [s.sample_id for s in found.samples] == ["c1/1", "c1/1+3", "c1/2"]
    assert found.samples[0].sessions[0].startswith("1:00 pm on 2 May, 2023\nAnn: I bought a red")
    assert found.samples[2].sessions[0].endswith("Ann: Look! [image: a cat on a sofa]")
    bike, fact, _ = by_name(found.samples, "Q1")
    assert (bike.gold, bike.kind, fact.value) == ("A red bike.", "single_hop", "a red bike")
    assert by_name(found.samples, "Q2")[0].gold == "2023"
    both, fact, sample = by_name(found.samples, "Q3")
    assert (both.kind, fact.start, len(sample.sessions)) == ("multi_hop", -1, 2)
    assert by_name(found.samples, "Q5")[0].gold == "Likely yes"
    unknown = by_name(found.samples, "Q6")[0]
    assert (unknown.answerable, unknown.rival) == (False, "a red bike")
    assert (unknown.gold, unknown.accepted[0]) == ("I don't know.", "No information available")
    assert by_name(found.samples, "Q7")[0].gold == "No"
    assert found.counts == {
        "adversarial questions with an answer": 1,
        "answers that are numbers": 1,
        "evidence ids in another form, read all the same": 2,
        "evidence ids whose turn does not exist": 1,
        "questions left out: asked before in the same sample": 1,
        "questions left out: no answer given": 1,
        "questions left out: no evidence that exists": 1,
        "questions without evidence": 1,
        "questions: adversarial": 3,
        "questions: multi_hop": 1,
        "questions: open_domain": 2,
        "questions: single_hop": 3,
        "questions: temporal": 1,
        "sessions": 3,
        "turns": 4,
        "turns with an image": 1,
    }


@pytest.mark.parametrize(
    ("granularity", "ids"),
    [
        ("before_evidence", ["c1/1", "c1/1+2", "c1/1-3"]),
        ("everything", ["c1/1-3"]),
    ],
)
def test_longer_histories_hold_the_evidence_at_its_place(files, granularity, ids):
    samples = read_conversations("locomo", [files["locomo"]], granularity).samples
    assert [sample.sample_id for sample in samples] == ids
    _, fact, sample = by_name(samples, "Q4")
    assert fact.session == 1
    assert sample.sessions[1][fact.start : fact.end] == "on a sofa"
    assert by_name(samples, "Q9")[2] is samples[-1]  # no evidence: about all of it


def test_verbatim_questions_only(files):
    found = read_conversations("locomo", [files["locomo"]], verbatim=True)
    kept = [probe.probe_id for sample in found.samples for probe in sample.probes]
    assert kept == ["Q1", "Q4"]
    assert found.counts["questions left out: answer not verbatim at one known place"] == 5


def test_long_samples_are_left_out_and_some_are_drawn_from_the_rest(files):
    whole = read_conversations("babi", [files["babi"]])
    assert [len(sample.probes) for sample in whole.samples] == [2, 1, 1]
    some = read_conversations("babi", [files["babi"]], at_most=2).samples
    assert len(some) == 2
    assert [sample for sample in whole.samples if sample in some] == some
    assert read_conversations("babi", [files["babi"]], at_most=2).samples == some
    short = read_conversations("babi", [files["babi"]], characters=60)
    assert short.samples == [whole.samples[0], whole.samples[2]]
    assert short.counts["samples left out: too long"] == 1


def test_drawn_samples_come_from_every_place_of_the_stories(tmp_path):
    lines = [
        f"{n} A went to room {n}." if n % 2 else f"{n} Where is A?\troom\t1" for n in range(1, 9)
    ]
    (tmp_path / "qa1.txt").write_text("\n".join(lines * 50) + "\n")
    drawn = read_conversations("babi", [tmp_path / "qa1.txt"], at_most=50).samples
    assert {sample.sample_id.rsplit("/", 1)[1] for sample in drawn} == {"1", "3", "5", "7"}


def test_babi_asks_about_the_story_up_to_the_question(files):
    first, second, other = read_conversations("babi", [files["babi"]]).samples
    assert first.sessions == ("Mary went to the kitchen.\nJohn went to the garden.",)
    assert [(probe.question, probe.gold) for probe in first.probes] == [
        ("Where is Mary?", "kitchen"),
        ("Where is John?", "garden"),
    ]
    assert second.sessions == (first.sessions[0] + "\nMary went to the hall.",)
    assert second.facts[0].text == "Mary went to the hall."
    assert (first.skeleton_id, other.skeleton_id) == (
        "imported/qa1_places_test/0001",
        "imported/qa1_places_test/0002",
    )
    assert first.probes[0].kind == "qa1_places"
    assert other.facts[0].start == -1  # two lines support it


def test_longmemeval_asks_about_the_sessions_with_the_answer(files):
    found = read_conversations("longmemeval", [files["longmemeval"]])
    first, second = found.samples
    assert first.sessions == ("2023/05/02\nuser: The key is under the mat.\nassistant: Noted.",)
    (probe,) = first.probes
    assert probe.question == "(2023/05/30) Where did I put the key?"
    assert (probe.gold, probe.kind) == ("under the mat", "single-session-user")
    assert first.facts[0].text == "user: The key is under the mat."
    assert (second.probes[0].answerable, second.probes[0].gold) == (False, "I don't know.")
    assert found.counts == {"questions: abstention": 1, "questions: single-session-user": 1}
    whole = read_conversations("longmemeval", [files["longmemeval"]], "everything").samples
    assert [len(sample.sessions) for sample in whole] == [3, 3]
    assert whole[0].facts[0].session == 1


@pytest.mark.parametrize("expected", LAYOUTS)
@pytest.mark.parametrize("given", ["jsonl", "locomo", "babi", "longmemeval"])
def test_another_layout_is_named(files, expected, given):
    if expected == given:
        assert read_conversations(expected, [files[given]]).samples
        return
    with pytest.raises(UserError) as caught:
        read_conversations(expected, [files[given]])
    assert str(caught.value) == (
        f"{files[given]}: expected the layout {expected!r} (source: {expected}); it looks like"
        f" {given!r}: expected source: {given}"
    )


def test_texts_without_questions_and_absent_files_are_named(tmp_path):
    texts = tmp_path / "texts.jsonl"
    texts.write_text('{"text": "A page."}\n')
    with pytest.raises(UserError, match="it looks like texts without questions"):
        read_conversations("jsonl", [texts])
    texts.write_text("hello\n")
    with pytest.raises(UserError, match="it looks like none of"):
        read_conversations("jsonl", [texts])
    with pytest.raises(UserError, match=r"no.json: no such file; expected one from data/locomo10"):
        read_conversations("locomo", [tmp_path / "no.json"])


def changed(entry: dict, *path, to: object = None) -> dict:
    """A copy of `entry` in which the value at `path` is replaced, or dropped."""
    copy = json.loads(json.dumps(entry))
    *above, last = path
    node = copy
    for part in above:
        node = node[part]
    if to is None:
        del node[last]
    else:
        node[last] = to
    return copy


QUESTION = ("questions", 0)
FAULTS = [
    ("jsonl", changed(CONVERSATION, "id"), "line 1: field 'id' is missing"),
    ("jsonl", changed(CONVERSATION, "sessions", to=[[]]), "sessions[0]: found [], expected one"),
    (
        "jsonl",
        changed(CONVERSATION, "sessions", 0, 1, "content"),
        "line 1: sessions[0][1]: found fields ['role'], expected 'speaker' and 'text', or 'role'",
    ),
    (
        "jsonl",
        changed(CONVERSATION, "sessions", 0, 0, "text", to=[]),
        "line 1: sessions[0][0].text: found [], expected text that is not empty",
    ),
    (
        "jsonl",
        changed(CONVERSATION, *QUESTION, "answers"),
        "question 1: field 'answers' is missing",
    ),
    (
        "jsonl",
        changed(CONVERSATION, *QUESTION, "answers", to="x"),
        "question 1: field 'answers': found \"x\", expected a list",
    ),
    (
        "jsonl",
        changed(CONVERSATION, *QUESTION, "about", to="unanswerable"),
        "question 1: field 'about': found \"unanswerable\" and answers, expected another word",
    ),
    ("jsonl", changed(CONVERSATION, "questions", to=[]), "found no question to ask"),
    ("locomo", [changed(LOCOMO, "qa")], "conversation 'c1': field 'qa' is missing"),
    (
        "locomo",
        [changed(LOCOMO, "qa", 0, "category", to=6)],
        "conversation 'c1': question 1: category: found 6, expected one of [1, 2, 3, 4, 5]",
    ),
    (
        "locomo",
        [changed(LOCOMO, "conversation", "session_1", 1, "text")],
        "conversation 'c1': session_1: turn 2: field 'text' is missing",
    ),
    (
        "longmemeval",
        [changed(LONGMEMEVAL, "haystack_dates", to=["2023/05/01"])],
        "question 'q1': found 3 sessions, 3 ids and 1 dates, expected as many of each",
    ),
    (
        "longmemeval",
        [LONGMEMEVAL, ABSTENTION | {"question_id": "q1_abs", "haystack_sessions": [[], [], [3]]}],
        "question 'q1_abs': haystack_sessions[2][0]: found 3, expected an object",
    ),
]


@pytest.mark.parametrize(("layout", "content", "message"), FAULTS, ids=[m for *_, m in FAULTS])
def test_a_fault_is_named_with_file_and_field(layout, content, message, tmp_path):
    file = tmp_path / "file.json"
    file.write_text(json.dumps(content))
    with pytest.raises(UserError) as caught:
        read_conversations(layout, [file])
    assert str(caught.value).startswith(str(file))
    assert message in str(caught.value)


BROKEN_STORIES = [
    ("1 A went.\n2 B went.\nC went.\n", "line 3: found 'C went.', expected a number, a space"),
    ("1 A went.\n2 B went.\n4 C went.\n", "line 3: found number 4, expected 3 or 1"),
    ("1 Where is A?\thall\t1\n2 B went.\n", "line 1: expected statements, then a question"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN_STORIES)
def test_a_line_that_is_no_line_of_a_story_is_named(text, message, tmp_path):
    file = tmp_path / "qa1.txt"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        read_conversations("babi", [file])
    assert f"{file}: {message}" in str(caught.value)


@pytest.mark.skipif(not SHARED.exists(), reason="no ../shared/data beside this clone")
def test_the_public_files_are_read_whole():
    locomo = read_conversations("locomo", [SHARED / "locomo" / "locomo5.json"], "everything")
    assert len(locomo.samples) == 5
    assert sum(len(sample.probes) for sample in locomo.samples) == 998
    counts = locomo.counts
    assert sum(n for name, n in counts.items() if name.startswith("questions: ")) == 999
    assert counts["evidence ids whose turn does not exist"] == 2
    assert counts["answers that are numbers"] == 6
    for file in sorted((SHARED / "babi").glob("*.txt")):
        stories = read_conversations("babi", [file])
        assert stories.counts["questions"] == 1000
        assert all(fact.start >= 0 for sample in stories.samples for fact in sample.facts)
