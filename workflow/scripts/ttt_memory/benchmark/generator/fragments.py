"""Fragments: a few hand-written turns that are put into synthetic dialogues, for training.

`data/fragments_<language>.yaml` has the layout of skeletons, but fragments have no id, their
speakers are always a and b, and they may have any number of facts.
"""

from functools import cache

from .skeletons import Skeleton, compile_skeleton
from .values import load_yaml, pools

SPEAKERS = ("a", "b")


@cache
def fragments(language: str) -> tuple[Skeleton, ...]:
    """The fragments of `language`, compiled.

    Raises:
        UserError: a fragment is malformed; the message names the file, its number and the key.
    """
    name = f"fragments_{language}.yaml"
    grammar = pools(language).grammar
    made = []
    for number, entry in enumerate(load_yaml(name), 1):
        slots = dict.fromkeys(SPEAKERS, "given") | entry["slots"]
        whole = {"id": f"fragment {number}", "compose": [], **entry, "slots": slots}
        made.append(compile_skeleton(whole, language, grammar, name))
    return tuple(made)
