#!/usr/bin/env python3
"""Puts the page together: web/assemble.py DIST, where the modules race.wasm and look.wasm are already.

Adds the page's own files, a part of Fashion-MNIST, trained weights, the ablations as JSON, the audit, and alexnet.html, which has all of
them in one file. Prints the sizes."""

import base64
import gzip
import json
import pathlib
import re
import shutil
import struct
import sys
import tomllib

WEB = pathlib.Path(__file__).resolve().parent
ROOT = WEB.parent
TEST_IMAGES = 2000
# `views` compares two tests of the same network, and `transfer` begins with trained weights.
LEFT_OUT = {"views", "transfer"}


def write_gzip(path, data):
    # No name and no time in the header, so that the same input makes the same bytes.
    with open(path, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(data)


def images(dist):
    """The training images as they are, and the first test images."""
    source = ROOT / "datasets" / "fashion-mnist-mini"
    if not (source / "train-images-idx3-ubyte.gz").is_file():
        sys.exit(f"{source} has no images; make them: apt-get install dataset-fashion-mnist, then "
                 "python3 datasets/make-fashion-mnist-mini.py /usr/share/datasets/fashion-mnist")
    for name in ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "LICENSE"):
        shutil.copy(source / name, dist / name)
    read = lambda name: gzip.decompress((source / name).read_bytes())
    pixels, labels = read("t10k-images-idx3-ubyte.gz"), read("t10k-labels-idx1-ubyte.gz")
    head = struct.pack(">4I", 0x803, TEST_IMAGES, 28, 28)
    write_gzip(dist / "t10k-images-idx3-ubyte.gz", head + pixels[16:16 + TEST_IMAGES * 784])
    write_gzip(dist / "t10k-labels-idx1-ubyte.gz", struct.pack(">2I", 0x801, TEST_IMAGES) + labels[8:8 + TEST_IMAGES])


def write(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def catalogue(dist):
    folder = ROOT / "experiments"
    manifest = (ROOT / "datasets" / "fashion-mnist-mini.toml").read_text()
    ablations = {path.stem: path.read_text() for path in sorted((folder / "ablations").glob("*.toml"))}
    write(dist / "catalogue.json", {
        "manifest": manifest,
        "classes": tomllib.loads(manifest)["classes"],
        "scale": (folder / "scales" / "mini.toml").read_text(),
        "ablations": {name: toml for name, toml in ablations.items() if name not in LEFT_OUT},
    })


def found(statement):
    """The audit's finding in words."""
    if statement["untested"]:
        return statement["untested"].rstrip(".")
    seeds = f"{statement['seeds']} of {statement['registered']} seeds"
    return statement["verdict"] + ("" if statement["complete"] else f" so far, {seeds}")


def audit(dist):
    """The statements of docs/audit.json, each with its race or the reason why it has none."""
    result = json.loads((ROOT / "docs" / "audit.json").read_text())
    planned = {it["id"]: it for it in tomllib.loads((ROOT / "experiments/audits/paper.toml").read_text())["statements"]}
    rows = []
    for statement in result["statements"]:
        plan = planned[statement["id"]]
        row = {key: statement.get(key) for key in ("id", "section", "text", "paper", "interval", "difference", "delta", "unit")}
        row["found"] = found(statement).replace("`", "")
        if "design" in plan:
            design = tomllib.loads((ROOT / f"experiments/designs/{plan['design']}.toml").read_text())
            ablation = tomllib.loads((ROOT / f"experiments/ablations/{design['ablation']}.toml").read_text())
            row["race"] = {"ablation": design["ablation"], "left": ablation["base"]["name"], "right": plan["arm"]}
        rows.append(row)
    settings = ", ".join(f"{name} ({it['runs']} runs)" for name, it in result["settings"].items())
    write(dist / "audit.json", {"statements": rows, "note": f"Settings of the audit: {settings}. All numbers, and what is not run, are in docs/audit.md."})


def without_custom_sections(wasm):
    """A module without the sections that tools read, such as wasm-bindgen's descriptions of functions that nothing calls."""
    kept, at = [wasm[:8]], 8
    while at < len(wasm):
        size, shift, place = 0, 0, at + 1
        while True:  # LEB128
            byte, place = wasm[place], place + 1
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        if wasm[at] != 0:
            kept.append(wasm[at:place + size])
        at = place + size
    return b"".join(kept)


def flat(entry, folder):
    """A script and the modules that it imports as one script without imports. Each module is a function with its exports."""
    order, seen = [], set()

    def visit(path):
        if path in seen:
            return
        seen.add(path)
        for found in re.findall(r'^import .*?"(\./[\w./-]+)";', path.read_text(), flags=re.M):
            visit((path.parent / found).resolve())
        order.append(path)

    visit((folder / entry).resolve())
    parts = []
    for path in order:
        text = path.read_text()
        exported = re.findall(r"^export (?:async )?(?:function\*?|class|const) (\w+)", text, flags=re.M)
        text = re.sub(r'^import (\{[^}]*\}) from "\./([\w-]+)\.js";', lambda it: f"const {it[1]} = module_{it[2]};", text, flags=re.M)
        text = re.sub(r"^export (?:\{\};)?", "", text, flags=re.M).replace("import.meta.url", "location.href")
        parts.append(f"const module_{path.stem} = (() => {{\n{text}\nreturn {{ {', '.join(exported)} }};\n}})();")
    return "\n".join(parts)


def one_file(dist):
    """alexnet.html: the page with its scripts and files inside."""
    safe = lambda text: text.replace("</script", "<\\/script")
    page = (WEB / "index.html").read_text()
    page = page.replace('<link rel="stylesheet" href="style.css">', f"<style>\n{(WEB / 'style.css').read_text()}</style>")
    scripts = [f'<script type="text/plain" id="worker:{name}">{safe(flat(f"{name}.js", WEB / "worker"))}</script>' for name in ("race", "look")]
    for path in sorted(dist.iterdir()):
        if path.suffix in (".wasm", ".gz", ".json", ".safetensors"):
            content = base64.b64encode(path.read_bytes()).decode()
            scripts.append(f'<script type="text/plain" id="file:{path.name}">{content}</script>')
    scripts.append(f"<script>{safe(flat('main.js', WEB / 'js'))}</script>")
    page = page.replace('<script type="module" src="js/main.js"></script>\n', "")
    (dist / "alexnet.html").write_text(page.replace("</body>", "\n".join(scripts) + "\n</body>"))


def sizes(dist):
    files = [path for path in sorted(dist.rglob("*")) if path.is_file() and path.name != "alexnet.html"]
    sent = {path: path.stat().st_size if path.suffix == ".gz" else len(gzip.compress(path.read_bytes(), 9)) for path in files}
    for name in ("race.wasm", "look.wasm"):
        print(f"{name}: {(dist / name).stat().st_size:,} bytes, {sent[dist / name]:,} after gzip")
    print(f"web/dist: {sum(sent.values()):,} bytes after gzip; alexnet.html: {(dist / 'alexnet.html').stat().st_size:,} bytes")


def main():
    dist = pathlib.Path(sys.argv[1])
    for name in ("index.html", "style.css"):
        shutil.copy(WEB / name, dist / name)
    for name in ("js", "worker"):
        shutil.copytree(WEB / name, dist / name, dirs_exist_ok=True)
    for module in ("race.wasm", "look.wasm"):
        (dist / module).write_bytes(without_custom_sections((dist / module).read_bytes()))
    images(dist)
    catalogue(dist)
    audit(dist)
    shutil.copy(ROOT / "experiments" / "weights" / "mini.safetensors", dist / "mini.safetensors")
    one_file(dist)
    sizes(dist)


main()
