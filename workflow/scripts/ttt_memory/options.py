"""Typed configuration from JSON or YAML. A mistake is reported in one line.

A configuration class derives from `Options`. A script reads its part of the configuration with

    config = options.section(args.config, "benchmark", BenchmarkConfig)
"""

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import ErrorDetails

from .errors import UserError

T = TypeVar("T")
MERGE = "tag:yaml.org,2002:merge"
UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")


class Options(BaseModel):
    """Base of every configuration class. Unknown keys are refused, and values cannot change."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


def _commit_hash(revision: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise ValueError(f"found {revision!r}, expected a 40-digit commit hash")
    return revision


# A branch or a tag may point to something else tomorrow, so only a commit is accepted.
Commit = Annotated[str, AfterValidator(_commit_hash)]


def found(path: str, root: Path) -> str:
    """Where a file or folder of the configuration lies: in the working directory, or below `root`.

    The working directory is looked in first. A path that exists in neither stays as it is.
    """
    below = root / path
    return str(below) if below.exists() and not Path(path).exists() else path


def _found(path: str, info: ValidationInfo) -> str:
    return found(path, info.context["root"]) if info.context else path


# A file or folder to read. Validated with the context `root`, it becomes the place where it is.
InputPath = Annotated[str, AfterValidator(_found)]


def without_nulls(entries: Any) -> Any:
    """The mapping `entries` without those that are null: a preset drops an entry so."""
    if not isinstance(entries, Mapping):
        return entries
    return {name: entry for name, entry in entries.items() if entry is not None}


class _Strict(yaml.SafeLoader):
    """YAML in which a key may not occur twice; PyYAML would ignore the first."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        """Check the mapping as it is written, before anchors are merged into it."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE:
                continue
            if (key.tag, key.value) in seen:
                raise UserError(f"line {key.start_mark.line + 1}: key {key.value!r} occurs twice")
            seen.add((key.tag, key.value))
        return node


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object in which no key occurs twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"key {twice!r} occurs twice")
    return found


def _parsed(text: str) -> Any:
    """The content of JSON or, if it is not JSON, of YAML. Snakemake reads its files so too."""
    try:
        return json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError:
        return yaml.load(text, _Strict)


def read(source: str | Path) -> dict[str, Any]:
    """The mapping in `source`: JSON text that begins with a brace, or the path of a file.

    Raises:
        UserError: there is no such file, it is neither JSON nor YAML, it is not a mapping, or a key
            occurs twice.
    """
    text, where = str(source), "--config"
    if not text.lstrip().startswith("{"):
        path = Path(source)
        where = str(path)
        if not path.is_file():
            raise UserError(f"{path}: no such config file")
        text = path.read_text(encoding="utf-8-sig")
    try:
        data = _parsed(text)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    except yaml.YAMLError as error:
        told = " ".join(str(error).split())
        raise UserError(f"{where}: not readable as JSON or YAML ({told})") from error
    if not isinstance(data, dict):
        raise UserError(f"{where}: expected a mapping of keys, found {type(data).__name__}")
    return data


def validate(kind: type[T], data: Any, where: str = "") -> T:
    """`data` as a `kind` (an `Options` class, a dataclass or any annotation).

    `where` is the file or the key that `data` comes from, for the message.

    Raises:
        UserError: names the first wrong key, what was found and what was expected.
    """
    try:
        return TypeAdapter(kind).validate_python(data)
    except ValidationError as error:
        raise UserError(describe(error, kind, where, data)) from error


def section(source: str | Path, key: str, kind: type[T]) -> T:
    """The part of `source` under the dotted `key`, as a `kind`. If it is missing, all defaults.

    Raises:
        UserError: as `read` and `validate`.
    """
    data: Any = read(source)
    for part in key.split("."):
        data = data.get(part, {}) if isinstance(data, dict) else {}
    return validate(kind, data, key)


def key_of(loc: Iterable[Any], data: Any) -> list[Any]:
    """The keys that lead to the place `loc` of a mistake in `data`.

    Where the key `source` selects one of several classes, pydantic puts the value of `source`
    between the keys. It is removed here.
    """
    key, node = [], data
    for part in loc:
        inside = isinstance(node, Mapping)
        if inside and part not in node and part == node.get("source"):
            continue
        key.append(part)
        node = node.get(part) if inside else None
    return key


def first_of(error: ValidationError) -> ErrorDetails:
    """The mistake to report. An unknown key comes first: it may be a missing key, misspelt."""
    return min(error.errors(include_url=False), key=lambda mistake: mistake["type"] not in UNKNOWN)


def describe(error: ValidationError, kind: type, where: str = "", data: Any = None) -> str:
    """The first mistake in `error` in one line (key, found, expected), and how many more there are.

    `data` is what was validated as a `kind`.
    """
    first, more = first_of(error), error.error_count() - 1
    path = key_of(first["loc"], data)
    key = ".".join(map(str, path))
    key = ".".join(part for part in (where, key) if part) or "config"
    if first["type"] in UNKNOWN:
        schema = TypeAdapter(kind).json_schema()
        known = _keys(schema, path[:-1], data, schema.get("$defs", {}))
        near = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.75)
        text = f"{key}: unknown key" + "".join(f"; is {name!r} meant?" for name in near)
    elif first["type"] in {"missing", "missing_argument"}:
        text = f"{key}: missing"
    elif first["type"] == "union_tag_not_found":
        text = f"{key}.source: missing"
    elif first["type"] == "union_tag_invalid":
        found = first["ctx"]
        text = f"{key}.source: found {found['tag']!r}, expected one of {found['expected_tags']}"
    elif first["type"] == "value_error":
        text = f"{key}: {first['ctx']['error']}"
    else:
        found = json.dumps(first["input"], ensure_ascii=False, default=str)
        text = f"{key}: found {found[:80]}, expected {_expected(first['msg'])}"
    return text + (f" (and {more} more)" if more else "")


def _keys(
    schema: Mapping[str, Any], path: list[Any], data: Any, shared: Mapping[str, Any]
) -> list[str]:
    """The keys that a JSON schema allows at `path` in `data`."""
    schema = shared[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema
    found = data if isinstance(data, Mapping) else {}
    if choice := schema.get("discriminator"):
        branch = choice["mapping"].get(found.get(choice["propertyName"]))
        return _keys({"$ref": branch}, path, data, shared) if branch else []
    if branches := schema.get("anyOf"):
        return [key for branch in branches for key in _keys(branch, path, data, shared)]
    if not path:
        return list(schema.get("properties", ()))
    below = [
        schema.get("properties", {}).get(path[0]),
        *schema.get("patternProperties", {}).values(),
    ]
    below += [schema.get(name) for name in ("additionalProperties", "items")]
    inner = next((node for node in below if isinstance(node, Mapping)), {})
    return _keys(inner, path[1:], found.get(path[0]), shared)


def _expected(message: str) -> str:
    """What pydantic expects: of 'Input should be greater than 0' the last three words."""
    for start in ("Input should be a valid ", "Input should be ", "Value should be "):
        if message.startswith(start):
            return _plain(message[len(start) :].split(", unable to parse")[0])
    return _plain(message[:1].lower() + message[1:])


def _plain(message: str) -> str:
    """The message in terms of YAML (list, mapping) and not of Python (tuple, dictionary)."""
    message = re.sub(r"dictionary( or instance of \w+)?", "a mapping of keys", message)
    return message.replace("tuple", "list").replace(" after validation", "")
