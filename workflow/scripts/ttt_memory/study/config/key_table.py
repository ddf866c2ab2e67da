"""A description of the configuration for editors (JSON schema) and for people (table of keys)."""

import json
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from .tree import Config

MARK = "<!-- Below: written by workflow/scripts/export_schema.py. -->\n"


def schema() -> dict[str, Any]:
    """The JSON schema of config.yaml and of the presets."""
    found = Config.model_json_schema()
    found["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return _loosen(found)


def _loosen(node: Any) -> Any:
    """The schema without `required`, since a preset names only the keys that it changes.

    Names of entries, such as runs, must match their pattern.
    """
    if isinstance(node, list):
        return [_loosen(item) for item in node]
    if not isinstance(node, dict):
        return node
    # A preset may leave out `source`. Then an entry can match more than one kind.
    names = {"oneOf": "anyOf"}
    node = {names.get(key, key): _loosen(value) for key, value in node.items()}
    if isinstance(node.get("required"), list):
        del node["required"]
    if "patternProperties" in node:
        node["additionalProperties"] = False
    return node


def keys(
    model: type[BaseModel] = Config, prefix: str = "", defaults: BaseModel | None = None
) -> Iterator[tuple[str, str, str, str]]:
    """A row (key, values, default, meaning) for every key of `model` and of the models in it.

    `defaults` is an instance that holds the defaults, where the model above sets other ones.
    """
    for name, field in model.model_fields.items():
        key = prefix + name
        value = field.get_default() if defaults is None else getattr(defaults, name)
        inner, many = _models(field.annotation)
        if len(inner) > 1:
            for kind in inner:
                source = get_args(kind.model_fields["source"].annotation)[0]
                yield from keys(kind, f"{key}.<name>[{source}].")
        elif inner and many:
            yield from keys(inner[0], f"{key}.<name>.")
        elif inner:
            yield from keys(inner[0], f"{key}.", value if isinstance(value, BaseModel) else None)
        else:
            default = "" if value is PydanticUndefined else f"`{_literal(value)}`"
            values = ", ".join([_values(field.annotation), *_limits(field.metadata)])
            yield key, values, default or "required", field.description or ""
            if listed := _listed(field.annotation):
                yield from keys(listed, f"{key}[].")


def table() -> str:
    """The table in Markdown, with a section for each key of the top level."""
    lines, top = [], ""
    for key, values, default, meaning in keys():
        if key.split(".")[0] != top:
            top = key.split(".")[0]
            lines += ["", f"## `{top}`", ""]
            lines += [str(Config.model_fields[top].description), ""]
            lines += ["| Key | Values | Default | Meaning |", "|---|---|---|---|"]
        cells = (f"`{key}`", values, default, meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines).lstrip("\n") + "\n"


def readme(current: str) -> str:
    """`current`, which is the text of config/README.md, with the table of keys replaced."""
    return current.split(MARK)[0] + MARK + "\n" + table()


def _models(annotation: Any) -> tuple[list[type[BaseModel]], bool]:
    """The model classes in an annotation, and whether it is a mapping from names to them."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _models(arguments[0])
    if origin is dict:
        return _models(arguments[1])[0], True
    if origin in {Union, UnionType}:
        return [model for part in arguments for model in _models(part)[0]], False
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation], False
    return [], False


def _listed(annotation: Any) -> type[BaseModel] | None:
    """The model class of the entries of a list; None if they are values or it is no list."""
    arguments = get_args(annotation) if get_origin(annotation) is tuple else ()
    inner = _models(arguments[0])[0] if Ellipsis in arguments else []
    return inner[0] if inner else None


def _values(annotation: Any) -> str:
    """The values that an annotation allows, in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _values(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in {Union, UnionType}:
        return " or ".join(_values(part) for part in arguments)
    if origin in {tuple, list}:
        if Ellipsis in arguments or origin is list:
            return f"list of {_values(arguments[0])}"
        return "[" + ", ".join(_values(part) for part in arguments) + "]"
    if origin is dict:
        return f"mapping of names to {_values(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mappings"
    names = {
        Any: "any value",
        int: "integer",
        float: "number",
        str: "text",
        bool: "true, false",
        NoneType: "null",
    }
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _limits(metadata: list[Any]) -> Iterator[str]:
    """The limits of a number, or the least number of entries of a list."""
    signs = {"ge": "≥ ", "gt": "> ", "le": "≤ ", "lt": "< ", "min_length": "entries ≥ "}
    for constraint in metadata:
        for name, sign in signs.items():
            if getattr(constraint, name, None) is not None:
                yield f"{sign}{getattr(constraint, name)}"


def _literal(default: Any) -> str:
    """A default as one writes it in YAML on one line."""
    if isinstance(default, str) and default:
        return default
    return json.dumps(default, ensure_ascii=False, default=list)
