"""Code blocks of a Markdown document."""

import re


def fence(text: str, language: str) -> str:
    return re.search(rf"```{language}\n(.*?)```", text, re.S)[1]
