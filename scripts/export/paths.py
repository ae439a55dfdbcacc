# SPDX-License-Identifier: GPL-2.0
"""Conversion of Rust paths from a crate beside `kernel` to a module within it."""

import re

USE = r"^(?P<indent> *)use (?P<root>kernel|crate)::(?P<tree>[^;]*);\n"
PATH = (
    r"(?<![\w:])(?:::)?(?P<crate>kernel|crate)::(?:(?P<bindings>bindings\b)|(?P<compat>compat::))?"
)
EITHER = re.compile(f"{USE}|{PATH}", re.MULTILINE)

# Marks the place of the merged imports
HERE = "\0"


def convert(source, module):
    """Converts paths of the crate to paths of `module`, and merges the imports into one."""
    imports = []

    def replace(match):
        if match["crate"]:
            return outside_of_use(match, module)
        paths = [inside(path, match["root"], module) for path in parse(match["tree"])]
        if match["indent"]:
            return print_use(paths)
        first = not imports
        imports.extend(paths)
        return HERE if first else ""

    converted = EITHER.sub(replace, source)
    return converted.replace(HERE, print_use(imports)) if imports else converted


def outside_of_use(match, module):
    if match["bindings"]:
        # Every file that uses bindings imports them.
        return "bindings"
    if match["compat"]:
        # Of a crate beside `kernel`
        return ""
    return "crate::" if match["crate"] == "kernel" else f"crate::{module}::"


def inside(path, root, module):
    if root == "kernel" or path[0] == "bindings":
        return path
    if path[0] == "compat":
        # At the path that it has in `kernel`
        return path[1:]
    return [module, *path]


def parse(tree):
    """Returns the paths of a use tree, each as a list of names."""
    tokens = re.findall(r"[{},]|::|[^{},:\s]+(?: as \w+)?", re.sub(r"//.*", "", tree))
    return list(parse_path(tokens, []))


def parse_path(tokens, prefix):
    path = list(prefix)
    while tokens and tokens[0] not in ",}":
        token = tokens.pop(0)
        if token == "{":
            yield from parse_list(tokens, path)
            return
        if token != "::":
            path.append(token)
    yield path


def parse_list(tokens, prefix):
    while tokens[0] != "}":
        yield from parse_path(tokens, prefix)
        if tokens[0] == ",":
            tokens.pop(0)
    tokens.pop(0)


def print_use(paths):
    root = {}
    for path in paths:
        node = root
        for name in path:
            node = node.setdefault(name, {})
        # For a name that is imported both by itself and with items of it
        node["self"] = {}
    return f"use {print_tree('crate', root)};\n"


def print_tree(name, node):
    names = sorted((child for child in node if child != "self" or len(node) > 1), key=order)
    if name == "self" or not names:
        return name
    if len(names) == 1:
        return f"{name}::{print_tree(names[0], node[names[0]])}"
    items = ",\n".join(print_tree(child, node[child]) for child in names)
    # The comment keeps rustfmt from putting several items on a line.
    return f"{name}::{{\n{items}, //\n}}"


def order(name):
    """Sorts like rustfmt: modules and functions, types, constants."""
    return (name != "self", name[0].isupper(), name.isupper() and len(name) > 1, name)
