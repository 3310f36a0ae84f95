"""Docstrings and comments of the package, as words and sentences."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Text:
    """A docstring or a comment, with the place where it begins."""

    path: Path
    line: int
    kind: str  # "docstring" or "comment"
    text: str
    code: str = ""  # of the line on which a comment stands

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text.strip().splitlines()[0]}"

    @property
    def words(self) -> list[str]:
        return re.findall(r"[A-Za-z]+(?:['-][A-Za-z]+)*", self._prose())

    def sentences(self) -> Iterator[str]:
        """Sentences of prose paragraphs: a colon before an enumeration or a formula ends one, too."""
        for paragraph in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\.\.) )", self._prose()):
            yield from re.split(r"(?<=[.!?:])\s+", " ".join(paragraph.split()))

    def _prose(self) -> str:
        """The text without examples, formulas, literals, references and the headings of sections."""
        text = re.sub(r"\.\. math::\n(?:\n|[ ]+.*\n?)*", "", self.text)
        text = re.sub(r"^References\n-+\n(?:.+\n?|\n(?=\s*\.\.))*", "", text, flags=re.M)
        text = re.sub(r"^.*\n(-{3,}|={3,})$", "", text, flags=re.M)
        text = re.sub(r"^[ ]*>>> .*\n?(?:[ ]*\S.*\n?)*", "", text, flags=re.M)  # with their output
        lines = text.splitlines()
        lines = ["" if re.fullmatch(r"\S.* : .*", line) else line for line in lines]  # names and types
        text = re.sub(r"``.+?``|`[^`]+`", "it", "\n".join(lines), flags=re.S)
        return re.sub(r"\bit(,\s+it\b)+", "it", text)  # an enumeration of literals


def texts(folder: Path) -> Iterator[Text]:
    """Docstrings and comments of all modules in a folder."""
    for path in sorted(folder.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        lines = source.splitlines()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                if text := ast.get_docstring(node):
                    yield Text(path, getattr(node, "lineno", 1), "docstring", text)
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT and not re.match(r"#\s*(noqa|type:|fmt:)", token.string):
                line, column = token.start
                code = lines[line - 1][:column].strip()
                yield Text(path, line, "comment", token.string.lstrip("# "), code)
