"""Tiny files in every layout of conversations, all written for the tests."""

import json
from pathlib import Path

TURNS = [
    {"speaker": "Ann", "text": "I got a dog, Biscuit."},
    {"role": "Bo", "content": "Nice! I moved to Oslo."},
]
LATER = [{"speaker": "Ann", "text": "Oslo must be cold."}]
CONVERSATION = {
    "id": "a",
    "sessions": [TURNS, LATER],
    "questions": [
        {"question": "What is Ann's dog called?", "answers": ["biscuit", "Bisky"], "about": "pets"},
        {"question": "Where does Bo live?", "answers": ["Oslo"]},
        {"question": "Who is Carl?", "answers": []},
    ],
}


def said(dia_id: str, text: str, speaker: str = "Ann", **more: str) -> dict:
    return {"speaker": speaker, "dia_id": dia_id, "text": text, **more}


def asked(question: str, category: int, evidence: list[str], **more: object) -> dict:
    return {"question": question, "category": category, "evidence": evidence, **more}


LOCOMO = {
    "sample_id": "c1",
    "conversation": {
        "speaker_a": "Ann",
        "speaker_b": "Bo",
        "session_1_date_time": "1:00 pm on 2 May, 2023",
        "session_1": [said("D1:1", "I bought a red bike."), said("D1:2", "Good!", "Bo")],
        "session_2_date_time": "3 May, 2023",
        "session_2": [said("D2:1", "Look!", blip_caption="a cat on a sofa", img_url="x")],
        "session_3_date_time": "4 May, 2023",
        "session_3": [said("D3:1", "Bo paints and sings.", "Bo")],
        "session_4_date_time": "5 May, 2023",
    },
    "qa": [
        asked("What did Ann buy?", 4, ["D1:1"], answer="A red bike."),
        asked("When was that?", 2, ["D1:1"], answer=2023),
        asked("What do they like?", 1, ["D1:1; D3:1"], answer="bikes, painting"),
        asked("Where is the cat?", 4, ["D:2:01"], answer="on a sofa"),
        asked("Is Ann sporty?", 3, ["D1:1", "D9:9"], answer="Likely yes; she has a bike"),
        asked("What did Bo buy?", 5, ["D1:1"], adversarial_answer="a red bike"),
        asked("Did Bo buy it?", 5, ["D1:1"], adversarial_answer="Yes", answer="No"),
        asked("What else?", 4, ["D1:1"]),
        asked("Why?", 3, [], answer="Fun"),
        asked("What did Ann buy?", 5, ["D1:2"], adversarial_answer="a red bike"),
    ],
}
BABI = """\
1 Mary went to the kitchen.
2 John went to the garden.
3 Where is Mary?\tkitchen\t1
4 Where is John?\tgarden\t2
5 Mary went to the hall.
6 Where is Mary?\thall\t5
1 Eve took the milk.
2 Eve went to the hall.
3 Where is the milk?|hall|1 2
"""


def message(content: str, role: str = "user", **more: bool) -> dict:
    return {"role": role, "content": content, **more}


LONGMEMEVAL = {
    "question_id": "q1",
    "question_type": "single-session-user",
    "question": "Where did I put the key?",
    "answer": "under the mat",
    "question_date": "2023/05/30",
    "haystack_session_ids": ["s1", "s2", "s3"],
    "haystack_dates": ["2023/05/01", "2023/05/02", "2023/05/03"],
    "haystack_sessions": [
        [message("Hello."), message("Hi.", "assistant")],
        [message("The key is under the mat.", has_answer=True), message("Noted.", "assistant")],
        [message("Bye.")],
    ],
    "answer_session_ids": ["s2"],
}
ABSTENTION = LONGMEMEVAL | {"question_id": "q2_abs", "question": "Where is the lamp?"}


def write_all(folder: Path) -> dict[str, Path]:
    """A file of each layout in `folder`, by the layout's name."""
    texts = {
        "jsonl": ("own.jsonl", json.dumps(CONVERSATION) + "\n"),
        "locomo": ("locomo.json", json.dumps([LOCOMO])),
        "babi": ("qa1_places_test.txt", BABI),
        "longmemeval": ("long.json", json.dumps([LONGMEMEVAL, ABSTENTION])),
    }
    for name, text in texts.values():
        (folder / name).write_text(text, encoding="utf-8")
    return {layout: folder / name for layout, (name, _) in texts.items()}
