# SPDX-License-Identifier: GPL-2.0
"""Conversion of C: shims to helpers of the `kernel` crate, headers to input of its bindings."""

import re

COLUMNS = 80
TAB = 8

HEADER = """\
/* SPDX-License-Identifier: GPL-2.0 */
/* Headers for the helpers of rust/kernel/ext. */
#ifndef RUST_HELPERS_EXT_H
#define RUST_HELPERS_EXT_H

{}
#endif /* RUST_HELPERS_EXT_H */
"""

BINDINGS = """
#ifdef CONFIG_RUST_EXT
{includes}
/* Macros with casts and sums. */
{constants}#endif
"""

TRACE_POINTS = """\
// SPDX-License-Identifier: GPL-2.0
/*
 * Tracepoints of rust/kernel/ext. Modules call them, because the functions
 * that do so are generic or inline.
 */
#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include <trace/events/rust_ext.h>
"""

# Names of the shims begin with either.
PREFIX = r"\b(?:rnull_dio|ext)_"

DEFINITION = re.compile(
    rf"^(?!static)([a-z][\w \*]*?)({PREFIX}\w+)\(([^{{;]*)\)\n\{{(.*?)^\}}\n",
    re.MULTILINE | re.DOTALL,
)
STATIC_FUNCTION = re.compile(r"^static [\w \*]*?(\w+)\(", re.MULTILINE)


def rename(text):
    """Replaces names of this module by the names in the tree."""
    text = re.sub(r"\bbindings::rnull_dio_(?!\w*\[)", "bindings::ext_", text)
    text = text.replace("rust/helpers/trace.h", "include/trace/events/rust_ext.h")
    return text.replace("rnull_dio", "rust_ext").replace("RNULL_DIO", "RUST_EXT")


def header(text):
    """Returns the includes, forward declarations and types; helpers have no prototypes."""
    pattern = r"^(?:#include .*|struct \w+;|struct \w+ \{\n(?:\t.*\n)*\};)\n"
    lines = re.findall(pattern, text, re.MULTILINE)
    includes = "".join(line for line in lines if line.startswith("#"))
    structs = "".join(line for line in lines if not line.startswith("#"))
    return HEADER.format(f"{includes}\n{structs}")


def helpers(text):
    statics = STATIC_FUNCTION.findall(text)
    text = DEFINITION.sub(lambda match: definition(match, statics), text)
    text = text.replace('"helpers.h"', '"ext.h"').replace("rnull_dio_", "rust_helper_ext_")
    text = re.sub(r"\bext_(\w+\()", r"rust_helper_ext_\1", text)
    return rename(text)


def definition(match, statics):
    kind, name, parameters, body = match.groups()
    parameters = re.split(r",\s*", parameters)
    name = re.sub(PREFIX, "rust_helper_ext_", name) + "("
    # Functions that use static ones cannot be inlined.
    if not any(static in body for static in statics):
        kind = f"__rust_helper {kind}"
    if len(kind + name + max(parameters, key=len)) >= COLUMNS:
        kind = kind.rstrip() + "\n"
    return f"{wrap(kind + name, parameters)}\n{{{body}}}\n"


def wrap(begin, parameters):
    """Wraps parameters at COLUMNS and aligns them."""
    column = len(begin.rpartition("\n")[2])
    indent = "\t" * (column // TAB) + " " * (column % TAB)
    lines, width = [begin], column
    for index, parameter in enumerate(parameters):
        last = index == len(parameters) - 1
        if index and width + len(parameter) + 2 > COLUMNS:
            lines.append(indent)
            width = column
        elif index:
            parameter = f" {parameter}"
        parameter += ")" if last else ","
        lines[-1] += parameter
        width += len(parameter)
    return "\n".join(lines)


def bindings(text):
    includes = re.findall(r"^#include <.*>\n", text, re.MULTILINE)
    constants = re.findall(r"^const \w[\w ]* EXT_[^;]*;\n", text, re.MULTILINE)
    return BINDINGS.format(
        includes="".join([*includes, "\n", '#include "../helpers/ext/ext.h"\n']),
        constants="".join(
            constant.replace("EXT_", "RUST_CONST_HELPER_EXT_", 1)
            for constant in constants
            if not re.search("RNULL_DIO|EXT_DIO_|EXT_AIO_", constant)
        ),
    )


def parameters(text):
    lines = re.findall(r"^--opaque-type .*\n", text, re.MULTILINE)
    return "\n# `ext` uses no fields of these.\n" + "".join(lines)


def events(text):
    """Removes the header's path, which <trace/define_trace.h> needs outside of the tree only."""
    text = re.sub(r"\n/\* Below the guard.*?(?=#include <trace/)", "\n", text, flags=re.DOTALL)
    return rename(text)


def trace_points(text):
    names = re.findall(r"^TRACE_EVENT\((\w+),", text, re.MULTILINE)
    exports = "".join(
        f"\nEXPORT_TRACEPOINT_SYMBOL_GPL({name});\nEXPORT_SYMBOL_GPL(rust_do_trace_{name});\n"
        for name in names
    )
    return TRACE_POINTS + exports
