#!/usr/bin/env python3
"""Checks which crates depend on which, and that no files of a crate import each other in a circle.

    .ci/arrows.py [--print]

The arrows between crates are those of ARROWS below and no others. Within a crate, a file imports another by `crate::` or
`super::`, also through names that another file re-exports; tests inside files do not count."""

import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# What each crate may depend on, of this workspace's.
ARROWS = {
    "alexnet-config": set(),
    "alexnet-ops": set(),
    "alexnet-model": {"config", "ops"},
    "alexnet-data": {"ops"},
    "alexnet-analysis": {"ops"},
    "alexnet-weights": {"config", "data", "model", "ops"},
    "alexnet-train": {"analysis", "data", "model", "ops", "weights"},
    "alexnet-study": {"config", "data", "model", "ops", "train"},
    "alexnet-report": {"config", "data", "study", "train"},
    "alexnet-cli": {"analysis", "config", "data", "model", "ops", "report", "study", "train", "weights"},
    "alexnet-web": {"analysis", "config", "data", "model", "ops", "study", "train", "weights"},
    "experiments": {"cli", "data", "ops"},
}


def crates():
    command = ["cargo", "metadata", "--format-version", "1", "--no-deps", "--offline"]
    out = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for package in json.loads(out)["packages"]:
        yield package


def arrows(package):
    normal = [it for it in package["dependencies"] if it["kind"] is None and it.get("path")]
    return {it["name"].removeprefix("alexnet-") for it in normal}


def without_tests(text):
    """The text without what is compiled for tests alone, comments and strings."""
    # In one pass, since a comment may have quotes and a string slashes; a quote as a character begins no string.
    token = r"""//[^\n]*|r(#+)".*?"\1|'\\?"'|"(?:\\.|[^"\\])*\""""
    text = re.sub(token, lambda found: "" if found[0].startswith("//") else '""', text, flags=re.S)
    found = re.search(r"#\[cfg\((?:all\()?test[^\]]*\]\s*(?:pub(?:\([a-z]+\))? )?mod \w+ \{", text)
    return text[: found.start()] if found else text


def imports(text):
    """Paths after `use`, braces spread out, and paths in the text, as lists of names."""
    def spread(prefix, tree):
        tree = tree.strip()
        depth, parts, part = 0, [], ""
        for letter in tree:
            depth += (letter == "{") - (letter == "}")
            if letter == "," and depth == 0:
                parts.append(part)
                part = ""
            else:
                part += letter
        parts.append(part)
        for part in filter(None, map(str.strip, parts)):
            if "{" in part:
                head, inside = part.split("{", 1)
                yield from spread(prefix + [p for p in head.split("::") if p], inside.rsplit("}", 1)[0])
            else:
                yield prefix + re.sub(r"\s+as\s+\w+", "", part).split("::")

    for visible, tree in re.findall(r"\b(pub(?:\([a-z ]+\))? )?use ([^;]+);", text):
        for path in spread([], tree):
            yield bool(visible), path
    for path in re.findall(r"\b((?:crate|super)(?:::\w+)+)", text):
        yield False, path.split("::")


class Crate:
    def __init__(self, source):
        self.source = source
        self.modules = {}  # path of names -> file
        for file in sorted(source.rglob("*.rs")):
            names = list(file.relative_to(source).with_suffix("").parts)
            if names[-1] in ("mod", "lib", "main"):
                names.pop()
            self.modules[tuple(names)] = file
        self.texts = {names: without_tests(file.read_text()) for names, file in self.modules.items()}
        # Modules that are there for tests alone have no edges.
        self.tests = set()
        for names, file in self.modules.items():
            for name in re.findall(r"#\[cfg\(test\)\]\s*(?:pub(?:\([a-z]+\))? )?mod (\w+);", file.read_text()):
                self.tests.add(names + (name,))
        self.exports = {}
        for names, text in self.texts.items():
            for visible, path in imports(text):
                if visible:
                    self.exports[(names, path[-1])] = (names, path)

    def resolve(self, here, path, depth=0):
        """The module that has what a path names."""
        if depth > 8:
            return None
        base = here
        path = list(path)
        if path[0] == "crate":
            base, path = (), path[1:]
        elif path[0] == "self":
            path = path[1:]
        elif path[0] == "super":
            while path and path[0] == "super":
                base, path = base[:-1], path[1:]
        elif here + (path[0],) not in self.modules:
            return None
        while path and base + (path[0],) in self.modules:
            base, path = base + (path[0],), path[1:]
        if path and (base, path[0]) in self.exports:
            where, target = self.exports[(base, path[0])]
            return self.resolve(where, target, depth + 1) or base
        return base

    def edges(self):
        found = {}
        for here, text in self.texts.items():
            if here in self.tests:
                continue
            to = {self.resolve(here, path) for _, path in imports(text)} - {None, here}
            # A module's own submodules are part of it: it hands on what they have.
            found[here] = {module for module in to if module[: len(here)] != here}
        return found


def circles(edges):
    """Strongly connected components of more than one module (Tarjan)."""
    index, low, stack, found, counter = {}, {}, [], [], [0]

    def visit(node):
        index[node] = low[node] = counter[0]
        counter[0] += 1
        stack.append(node)
        for other in edges.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = []
            while True:
                component.append(stack.pop())
                if component[-1] == node:
                    break
            if len(component) > 1:
                found.append(sorted(component))

    sys.setrecursionlimit(10000)
    for node in edges:
        if node not in index:
            visit(node)
    return found


def main():
    bad = False
    for package in sorted(crates(), key=lambda it: it["name"]):
        name, found = package["name"], arrows(package)
        allowed = ARROWS.get(name)
        if "--print" in sys.argv:
            print(f"{name} -> {', '.join(sorted(found)) or '-'}")
        if found != allowed:
            print(f"{name} depends on {sorted(found)} and not on {sorted(allowed or [])}, as .ci/arrows.py has it")
            bad = True
        source = pathlib.Path(package["manifest_path"]).parent / "src"
        if not source.is_dir():
            continue
        for circle in circles(Crate(source).edges()):
            names = ", ".join("::".join(module) or "lib" for module in circle)
            print(f"{name}: these files import each other in a circle: {names}")
            bad = True
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
