#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns the files below sql/ into C tables: the statements, the schema and the engine.

Writes statements_OWNER.h and statements_OWNER.c for each folder of sql/statements, and embedded.c;
src/pg/embedded.h declares their types. Refuses what would fail only when it runs: gaps in $n, and
in the numbers of schema files. Refuses statements without a comment at their head; files of the engine
that call one on a floor above them, or each other in a circle (tools/floors.py); and doors whose
comment differs from doors.sql. The engine's files are applied in the order of their calls.
"""
import argparse
import hashlib
import os
import re
import sys

import floors

# A $n in these is no parameter: strings, quoted names, comments, dollar quotes.
OPAQUE = re.compile(
    r"""[eE]'(?:[^'\\]|\\.|'')*'
      | '(?:[^']|'')*'
      | "(?:[^"]|"")*"
      | --[^\n]*
      | /\*.*?\*/
      | \$(?P<tag>[A-Za-z_]\w*)?\$.*?\$(?(tag)(?P=tag))\$""",
    re.VERBOSE | re.DOTALL,
)
SCHEMA_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
TOPIC_NAME = re.compile(r"[a-z][a-z0-9_]*\.sql")
# Who sends a statement: a folder of src; or api, for JSON that awa.h and --json return.
OWNERS = ("pg", "lib", "worker", "api", "cli", "bench")
DOORS = "doors.sql"
DOOR = re.compile(r"^(?:-- Door: (\w+)\.\n)?CREATE OR REPLACE FUNCTION awa\.(\w+)", re.MULTILINE)
ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"})


class Refused(Exception):
    """A file is refused; the text says which one and why."""


def sql_files(folder, pattern, what):
    """The .sql files of a folder, sorted by name; none if there is no such folder."""
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    for name in names:
        if name.endswith(".sql") and not pattern.fullmatch(name):
            raise Refused(f"{folder}/{name}: {what}")
    return [name for name in names if name.endswith(".sql")]


def read(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if "\0" in text:
        raise Refused(f"{path}: holds a NUL character")
    return text


def head_and_body(text):
    """The comment lines at the top of a file, and the rest."""
    lines = text.split("\n")
    n = 0
    while n < len(lines) and lines[n].startswith("--"):
        n += 1
    return lines[:n], "\n".join(lines[n:]).strip("\n") + "\n"


def count_params(path, body):
    """How many parameters a statement has. They must be $1, $2, ... without a gap."""
    used = {int(n) for n in re.findall(r"\$(\d+)", OPAQUE.sub(" ", body))}
    for n in range(1, max(used, default=0) + 1):
        if n not in used:
            raise Refused(f"{path}: uses ${max(used)} but not ${n}")
    return max(used, default=0)


def read_statements(folder):
    """(name, text without the comment, number of parameters) of each statement of an owner."""
    statements = []
    for name in sql_files(folder, TOPIC_NAME, "want noun_verb.sql"):
        path = f"{folder}/{name}"
        head, body = head_and_body(read(path))
        if not [line for line in head if "SPDX" not in line]:
            raise Refused(f"{path}: wants a comment at its head: meaning, parameters, columns")
        if not body.strip():
            raise Refused(f"{path}: is empty")
        statements.append((name[:-4], body.strip(), count_params(path, body)))
    return statements


def read_owners(folder):
    """The statements of each owner. Names are unique: sessions prepare statements by name."""
    strays = [n for n in os.listdir(folder) if n not in OWNERS] if os.path.isdir(folder) else []
    if strays:
        raise Refused(f"{folder}/{strays[0]}: want one of the folders {', '.join(OWNERS)}")
    owners = {owner: read_statements(f"{folder}/{owner}") for owner in OWNERS}
    home = {}
    for owner, statements in owners.items():
        for name, _, _ in statements:
            if name in home:
                raise Refused(f"{folder}/{owner}/{name}.sql: {home[name]} has one of this name")
            home[name] = owner
    return owners


def read_schema(folder):
    """(number, name, text, checksum) of each schema file, numbered 1, 2, ... without a gap."""
    files = []
    for name in sql_files(folder, SCHEMA_NAME, "want NNNN_words.sql"):
        number = int(name[:4])
        if number != len(files) + 1:
            raise Refused(f"{folder}/{name}: the next number is {len(files) + 1:04d}")
        text = read(f"{folder}/{name}")
        files.append((number, name, text, hashlib.sha256(text.encode()).hexdigest()))
    return files


def read_engine(folder):
    """(number, name, text, checksum) of each engine file, in the order of their calls. The doors
    come last: they name functions of all floors."""
    texts = {
        f"{floor}/{name}": read(f"{folder}/{floor}/{name}")
        for floor in floors.ENGINE
        for name in sql_files(f"{folder}/{floor}", TOPIC_NAME, "want topic.sql")
    }
    strays = [name for name in os.listdir(folder) if name not in (*floors.ENGINE, DOORS)]
    if strays:
        raise Refused(f"{folder}/{strays[0]}: want one of the folders {', '.join(floors.ENGINE)}")
    try:
        order = floors.in_order(texts, floors.sql_arrows(texts), floors.ENGINE)
    except floors.Broken as broken:
        raise Refused(f"{folder}: {broken}") from broken
    texts[DOORS] = read(f"{folder}/{DOORS}")
    order.append(DOORS)
    check_doors(folder, texts)
    return [
        (number, name, texts[name], hashlib.sha256(texts[name].encode()).hexdigest())
        for number, name in enumerate(order, 1)
    ]


def check_doors(folder, texts):
    """The comment of a door must name the profile of doors.sql; no other function may name one."""
    table = dict(re.findall(r"^\s+\('(\w+)', '(\w+)', ", texts[DOORS], re.MULTILINE))
    known = set(re.findall(r'^\s+"(\w+)": "', texts[DOORS], re.MULTILINE)) | {"inlined"}
    said = {}
    for text in texts.values():
        for note, name in DOOR.findall(text):
            said[name] = note or "inlined"
    for name in sorted(table.keys() | {n for n, profile in said.items() if profile != "inlined"}):
        wanted = table.get(name, "inlined")
        if name not in said or wanted not in known or said[name] != wanted:
            raise Refused(
                f"{folder}: awa.{name}: {DOORS} says {table.get(name, 'nothing')}, the comment at"
                f" its head says {said.get(name, 'nothing: there is no such function')}"
            )


def literal(text):
    """A C string literal, with one line for each line of text."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", text) or [""]
    return "\n        ".join('"' + line.translate(ESCAPES) + '"' for line in lines)


def statements_header(owner, statements):
    guard = f"AWA_STATEMENTS_{owner.upper()}_H"
    names = "".join(
        f"#define SQL_{name.upper()} (&awa__statements_{owner}[{n}])\n"
        for n, (name, _, _) in enumerate(statements)
    )
    return (
        "/* Made by tools/embed.py. */\n"
        f'#ifndef {guard}\n#define {guard}\n\n#include "pg/embedded.h"\n\n'
        f"/* sql/statements/{owner}; the last one has no name. */\n"
        f"extern const struct awa__sql awa__statements_{owner}[];\n\n{names}\n#endif\n"
    )


def statements_table(owner, statements):
    rows = "".join(
        f'    {{ .name = "{name}", .nparams = {nparams},\n      .text = {literal(text)} }},\n'
        for name, text, nparams in statements
    )
    return (
        "/* Made by tools/embed.py. */\n"
        f'#include "statements_{owner}.h"\n\n#include <stddef.h>\n\n'
        f"const struct awa__sql awa__statements_{owner}[] = {{\n"
        f"{rows}    {{ .name = NULL }},\n}};\n"
    )


def file_rows(files):
    rows = [
        f'    {{ .number = {number}, .name = "{name}",\n      .checksum = "{checksum}",\n'
        f"      .text = {literal(text)} }},\n"
        for number, name, text, checksum in files
    ]
    return "".join(rows) + "    { .name = NULL },\n"


def files_tables(schema, engine, bootstrap):
    whole = hashlib.sha256("\n".join(f"{f[1]} {f[3]}" for f in engine).encode()).hexdigest()
    return (
        "/* Made by tools/embed.py. */\n"
        '#include "pg/embedded.h"\n\n#include <stddef.h>\n\n'
        f"const struct awa__sql_file awa__schema_files[] = {{\n{file_rows(schema)}}};\n\n"
        f"const struct awa__sql_file awa__engine_files[] = {{\n{file_rows(engine)}}};\n\n"
        f'const char awa__engine_checksum[] = "{whole}";\n\n'
        f"const char awa__bootstrap[] =\n        {literal(bootstrap)};\n"
    )


def write_if_changed(path, text):
    """Writes a file, unless it is equal already: then nothing that uses it is compiled again."""
    if os.path.exists(path) and read(path) == text:
        return
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def write_depfile(path, target, root):
    """Lists folders, too: a file that is added or removed changes the time of its folder."""
    paths = [root]
    for folder, _, names in os.walk(root):
        paths.append(folder)
        paths += [os.path.join(folder, name) for name in names if name.endswith(".sql")]
    escaped = " ".join(p.replace(" ", "\\ ") for p in paths)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{target}: {escaped}\n")


def embed(args):
    root = args.sql
    for owner, statements in read_owners(f"{root}/statements").items():
        path = f"{args.to}/statements_{owner}"
        write_if_changed(f"{path}.h", statements_header(owner, statements))
        write_if_changed(f"{path}.c", statements_table(owner, statements))
    write_if_changed(
        f"{args.to}/embedded.c",
        files_tables(
            read_schema(f"{root}/schema"),
            read_engine(f"{root}/engine"),
            read(f"{root}/bootstrap.sql"),
        ),
    )
    if args.depfile:
        write_depfile(args.depfile, "embedded.c", root)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sql", help="the folder with schema/, engine/ and statements/")
    parser.add_argument("to", help="the folder to write into")
    parser.add_argument("--depfile", help="for ninja: what the outputs are made from")
    try:
        embed(parser.parse_args())
    except (Refused, OSError, UnicodeDecodeError) as error:
        sys.exit(f"embed: {error}")


if __name__ == "__main__":
    main()
