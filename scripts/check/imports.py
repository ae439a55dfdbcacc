#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""imports.py CRATE-FOLDER...: fails if the files of a crate import each other in a circle.

A file imports another one if it names an item that the other one defines, in a `use` or in a path.
Re-exports are followed to the definition, and are not imports themselves. Within a module's folder,
traits do not count, because a trait and the types in its signatures have to name each other.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import rust_source

TRAIT = re.compile(r"\btrait\s+(\w+)")
MOD_FILE = re.compile(r"\bmod (\w+)\s*;")
USE = re.compile(r"(?P<public>\bpub(?:\([^)]*\))?\s+)?\buse\s+(?P<tree>[^;]*);")
ITEM = re.compile(
    r"\b(?:fn|struct|enum|union|trait|type|const|static)\s+(?:mut\s+)?(\w+)|\bmacro_rules!\s*(\w+)"
)
EXPORTED_MACRO = re.compile(r"#\[macro_export\][^{]*?\bmacro_rules!\s*(\w+)")
PATH = re.compile(r"(?<![\w:])\$?(\w+(?:\s*::\s*\w+)+)")


@dataclass(frozen=True)
class Item:
    """An item other than a module, and the file that defines it."""

    file: Path
    is_trait: bool = False


@dataclass(eq=False)
class Module:
    """A module: the part of a file in which its name is the innermost one."""

    path: tuple[str, ...]
    file: Path
    code: str = ""
    parent: "Module | None" = None
    children: dict[str, "Module"] = field(default_factory=dict)
    items: dict[str, "Item"] = field(default_factory=dict)
    # Names from `use`, each with its path, and the modules of glob imports
    names: dict[str, list[str]] = field(default_factory=dict)
    globs: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True)
class Import:
    """An import of FILE in the file SOURCE."""

    source: Path
    line: int
    file: Path


class Crate:
    """The modules of a crate, from its lib.rs on."""

    def __init__(self, folder: Path):
        self.name = folder.name
        self.modules: list[Module] = []
        self.imports: set[Import] = set()
        self.resolving: set[tuple[Module, tuple[str, ...]]] = set()
        self.root = self.load(folder / "lib.rs", folder, (), None)
        for module in self.modules:
            self.find_imports(module)

    # Loading

    def load(
        self, file: Path, folder: Path, path: tuple[str, ...], parent: Module | None
    ) -> Module:
        code = rust_source.code_of(file.read_text())
        return self.add(Module(path, file, code, parent), folder)

    def add(self, module: Module, folder: Path) -> Module:
        """Adds a module with all modules in it; FOLDER has the files of its children."""
        self.modules.append(module)
        module.code, inline = without_mods(module.code)
        for name, code in inline:
            child = Module((*module.path, name), module.file, code, module)
            module.children[name] = self.add(child, folder / name)
        for name in MOD_FILE.findall(module.code):
            file = folder / f"{name}.rs"
            if not file.exists():
                file = folder / name / "mod.rs"
            path = (*module.path, name)
            module.children[name] = self.load(file, folder / name, path, module)
        self.define(module)
        return module

    def define(self, module: Module) -> None:
        for match in ITEM.finditer(module.code):
            module.items.setdefault(match[1] or match[2], Item(module.file))
        for name in TRAIT.findall(module.code):
            module.items[name] = Item(module.file, is_trait=True)
        for name in EXPORTED_MACRO.findall(module.code):
            top(module).items[name] = Item(module.file)
        for match in USE.finditer(module.code):
            for path, name in use_paths(match["tree"]):
                if name == "*":
                    module.globs.append(path)
                else:
                    module.names[name] = path

    # Resolving

    def find_imports(self, module: Module) -> None:
        code = module.code
        for match in USE.finditer(code):
            for path, _ in use_paths(match["tree"]):
                if not match["public"]:
                    self.note(module, match.start("tree"), path)
        for match in PATH.finditer(USE.sub(lambda use: " " * len(use[0]), code)):
            self.note(module, match.start(), re.split(r"\s*::\s*", match[1]))

    def note(self, module: Module, offset: int, path: list[str]) -> None:
        item = self.resolve(module, path)
        if not isinstance(item, Item) or item.file == module.file:
            return
        if not (item.is_trait and in_one_folder(module.file, item.file)):
            line = rust_source.line_of(module.code, offset)
            self.imports.add(Import(module.file, line, item.file))

    def resolve(self, module: Module, path: list[str], depth: int = 0) -> Module | Item | None:
        """Returns the module or the item that a path names, if it is in this crate."""
        # To resolve a glob import may lead to the glob import itself.
        key = (module, tuple(path))
        if depth > 20 or not path or key in self.resolving:
            return None
        self.resolving.add(key)
        start, rest = self.first(module, path, depth)
        while isinstance(start, Module) and rest:
            start, rest = self.member(start, rest[0], depth), rest[1:]
        self.resolving.remove(key)
        return start

    def first(self, module: Module, path: list[str], depth: int):
        """Resolves the first name of a path, which is relative to MODULE."""
        name, rest = path[0], path[1:]
        if name in ("crate", self.name):
            return self.root, rest
        if name == "self":
            return module, rest
        if name == "super":
            return module.parent, rest
        if name in module.names and module.names[name] == path[:1]:
            return None, []
        return self.member(module, name, depth), rest

    def member(self, module: Module, name: str, depth: int):
        if name == "super":
            return module.parent
        if name in module.children:
            return module.children[name]
        if name in module.items:
            return module.items[name]
        if name in module.names:
            return self.resolve(module, module.names[name], depth + 1)
        for glob in module.globs:
            inner = self.resolve(module, glob, depth + 1)
            if isinstance(inner, Module) and inner is not module:
                found = self.member(inner, name, depth + 1) if depth < 20 else None
                if found:
                    return found
        return None


def in_one_folder(one: Path, other: Path) -> bool:
    """Returns whether two files are in one folder, with the file of the module beside it."""
    folders = [{file.parent, file.with_suffix("")} for file in (one, other)]
    return one.parent in folders[1] or other.parent in folders[0]


def top(module: Module) -> Module:
    return top(module.parent) if module.parent else module


def without_mods(code: str) -> tuple[str, list[tuple[str, str]]]:
    """Returns the code with inline modules blanked, and the code of each of them, at its line."""
    mods, end = [], 0
    blanked = code
    for mod in rust_source.inline_mods(code):
        if mod.start < end:
            continue
        end = mod.end
        body = code.index("{", mod.start) + 1
        mods.append((mod.name, blank(code, 0, body)[: end - 1]))
        blanked = blank(blanked, mod.start, end)
    return blanked, mods


def blank(code: str, start: int, end: int) -> str:
    return code[:start] + re.sub(r"[^\n]", " ", code[start:end]) + code[end:]


def use_paths(tree: str) -> Iterator[tuple[list[str], str]]:
    """Gives the paths of a use tree, and the name that each has from then on; "*" for a glob."""
    tokens = re.findall(r"[{},*]|::|\w+", tree)
    yield from tree_paths(tokens, [])


def tree_paths(tokens: list[str], prefix: list[str]) -> Iterator[tuple[list[str], str]]:
    path = list(prefix)
    while tokens and tokens[0] not in ",}":
        token = tokens.pop(0)
        if token == "{":
            while tokens[0] != "}":
                yield from tree_paths(tokens, path)
                if tokens[0] == ",":
                    tokens.pop(0)
            tokens.pop(0)
            return
        if token == "*":
            yield path, "*"
            return
        if token == "as":
            yield path, tokens.pop(0)
            return
        if token != "::":
            path.append(token)
    if path[-1] == "self" and len(path) > 1:
        path.pop()
    yield path, path[-1]


def circles(imports: set[Import]) -> Iterator[set[Path]]:
    """Gives the largest sets of files that all import each other, directly or not."""
    after: dict[Path, set[Path]] = {}
    for each in imports:
        after.setdefault(each.source, set()).add(each.file)
    reached = {file: reachable(file, after) for file in after}
    done: set[Path] = set()
    for file in sorted(after):
        if file in reached[file] and file not in done:
            circle = {other for other in reached[file] if file in reached.get(other, ())}
            done |= circle
            yield circle


def reachable(file: Path, after: dict[Path, set[Path]]) -> set[Path]:
    found: set[Path] = set()
    todo = list(after.get(file, ()))
    while todo:
        if (each := todo.pop()) not in found:
            found.add(each)
            todo += after.get(each, ())
    return found


def main() -> int:
    status = 0
    for folder in sys.argv[1:]:
        imports = Crate(Path(folder)).imports
        for circle in circles(imports):
            status = 1
            print(f"{len(circle)} files import each other in a circle:")
            inner = [each for each in imports if {each.source, each.file} <= circle]
            for each in sorted(inner, key=lambda each: (each.source, each.line)):
                print(f"  {each.source}:{each.line}: {each.file}")
    return status


if __name__ == "__main__":
    sys.exit(main())
