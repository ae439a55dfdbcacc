#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""sizes.py FILE...: fails if a function is longer than 50 lines, or a Rust file than 400.

Unit tests do not count: modules and files of the name tests, and files in folders of that name.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import rust_source

FUNCTION_LIMIT = 50
FILE_LIMIT = 400

# A function of C begins with a line that is not indented, and its body with a brace in column 0.
C_FUNCTION = re.compile(r"^(?=\w)[^;{}#]*?(\w+)\([^;{}]*\)\n\{\n.*?^\}", re.MULTILINE | re.DOTALL)
SHELL_FUNCTION = re.compile(r"^([\w-]+)\(\) [({]\n.*?^[)}]", re.MULTILINE | re.DOTALL)

# Name, first line, number of lines
Function = tuple[str, int, int]


def rust_functions(text: str) -> Iterator[Function]:
    code = rust_source.code_of(text)
    for function in rust_source.functions(code):
        first = rust_source.line_of(code, function.start)
        yield function.name, first, rust_source.line_of(code, function.end - 1) - first + 1


def python_functions(text: str) -> Iterator[Function]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno, node.end_lineno - node.lineno + 1


def matched_functions(pattern: re.Pattern[str]) -> Callable[[str], Iterator[Function]]:
    def functions(text: str) -> Iterator[Function]:
        for match in pattern.finditer(text):
            yield match[1], text.count("\n", 0, match.start()) + 1, match[0].count("\n") + 1

    return functions


LANGUAGES = {
    "rust": rust_functions,
    "python": python_functions,
    "c": matched_functions(C_FUNCTION),
    "shell": matched_functions(SHELL_FUNCTION),
}


def language(path: Path, text: str) -> str:
    by_suffix = {".rs": "rust", ".py": "python", ".c": "c", ".h": "c", ".sh": "shell"}
    by_interpreter = "python" if "python" in text.partition("\n")[0] else "shell"
    return by_suffix.get(path.suffix, by_interpreter)


def are_tests(path: Path) -> bool:
    return path.suffix == ".rs" and "tests" in (*path.parts[:-1], path.stem)


def without_tests(text: str) -> int:
    """Returns the number of lines outside of modules `tests`."""
    code = rust_source.code_of(text)
    tests = [mod for mod in rust_source.inline_mods(code) if mod.name == "tests"]
    return text.count("\n") - sum(code.count("\n", mod.start, mod.end) + 1 for mod in tests)


def findings(path: Path) -> Iterator[str]:
    if are_tests(path):
        return
    text = path.read_text()
    kind = language(path, text)
    if kind == "rust" and (lines := without_tests(text)) > FILE_LIMIT:
        yield f"{path}: {lines} lines; a file has at most {FILE_LIMIT}"
    for name, line, lines in LANGUAGES[kind](text):
        if lines > FUNCTION_LIMIT:
            yield f"{path}:{line}: {name}: {lines} lines; a function has at most {FUNCTION_LIMIT}"


def main() -> int:
    found = [finding for name in sys.argv[1:] for finding in findings(Path(name))]
    for finding in found:
        print(finding)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
