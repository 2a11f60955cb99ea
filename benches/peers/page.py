"""BENCHMARKS.md from the committed results (benches/results/LEVEL-MAKER.json) and the text of BENCHMARKS.in.md."""

import json
from pathlib import Path

from rows import BATCHES, COMPARISONS, RATIOS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RESULTS = ROOT / "benches" / "results"
TEMPLATE = HERE / "BENCHMARKS.in.md"
PAGE = ROOT / "BENCHMARKS.md"
# Vector levels, as ALEXNET_BURN_SIMD names them, and their names on the page.
LEVELS = {"avx2": "AVX2", "avx512": "AVX-512"}
# The processor's maker, as /proc/cpuinfo names it: processors of one level are not alike.
MAKERS = {"AuthenticAMD": "AMD", "GenuineIntel": "Intel"}
# The columns of the page in their order, with their titles. Those with results are shown.
COLUMNS = {
    f"{level}-{maker.lower()}": f"{title}, {maker}" for level, title in LEVELS.items() for maker in MAKERS.values()
}
MISSING = "not measured"


def load(folder=RESULTS):
    """The results that are there, by column. Each has the machine's data and a record per row (compare.py)."""
    files = {column: folder / f"{column}.json" for column in COLUMNS}
    return {column: json.loads(file.read_text(encoding="utf-8")) for column, file in files.items() if file.exists()}


def page(results, template):
    """The text of the page: the template with each `{{name}}` replaced by what is generated."""
    parts = {"machines": machines, "ratios": ratios, "sides": sides, "layers": layers, "batches": batches}
    for name, part in parts.items():
        assert f"{{{{{name}}}}}" in template, f"the template lacks {{{{{name}}}}}"
        template = template.replace(f"{{{{{name}}}}}", "\n".join(part(results)))
    return template


def written():
    """The page as it has to be for the results that are there."""
    return page(load(), TEMPLATE.read_text(encoding="utf-8"))


def table(head, lines):
    """A table of text in Markdown."""
    head, *lines = ["| " + " | ".join(cells) + " |" for cells in [head, *lines]]
    return [head, "|" + "---|" * (head.count("|") - 1), *lines]


def titles(results):
    """The heads of the columns."""
    return [COLUMNS[column] for column in results]


def by_column(results, name, show):
    """The cell of each column: `show(record)` of the row of that name, or that it was not measured."""
    cells = []
    for found in results.values():
        try:
            cells.append(show(found["rows"][name]))
        except KeyError:
            cells.append(MISSING)
    return cells


def machines(results):
    """A line per column: the machine, versions, and the commit, date and rounds of its rows."""
    lines = []
    for title, found in zip(titles(results), results.values()):
        machine, rows = found["machine"], found["rows"]
        versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        where = f"{machine['processor']}, {machine['threads']} threads, {machine['system']}"
        lines.append(f"- {title}: {where}; {versions}. {measured(rows)}")
    return lines


def measured(rows):
    """When, at which commit and with how many rounds the rows were measured."""
    commits = sorted({row["commit"] for row in rows.values()})
    dates = sorted({row["date"] for row in rows.values()})
    rounds = sorted({row["rounds"] for row in rows.values()})
    text = f"Measured {span(dates)}, {span(rounds)} rounds, "
    if len(commits) == 1:
        return text + f"all rows at commit {commits[0]}."
    of = lambda commit: ", ".join(f"`{name}`" for name, row in rows.items() if row["commit"] == commit)
    return text + "**at different commits**: " + "; ".join(f"{commit} ({of(commit)})" for commit in commits) + "."


def span(values):
    """The first and last of sorted values, as one if they are the same."""
    return f"{values[0]}" if values[0] == values[-1] else f"{values[0]} to {values[-1]}"


def ratios(results):
    """The table of ratios with targets. A figure that misses its target is bold."""

    def show(ratio, record):
        figure = ratio.figure(record)
        return ratio.show(figure) if ratio.is_met(figure) else f"**{ratio.show(figure)}**"

    lines = []
    for ratio in RATIOS:
        target = ("≤ " if ratio.at_most else "≥ ") + ratio.show(ratio.target)
        cells = by_column(results, ratio.row, lambda record, ratio=ratio: show(ratio, record))
        lines.append([ratio.text, target, *cells])
    return table(["", "target", *titles(results)], lines)


def sides(results):
    """The table of all sides of all comparisons."""
    lines = []
    for row in COMPARISONS:
        records = [found["rows"][row.name] for found in results.values() if row.name in found["rows"]]
        names = ["ours", *row.sides] + ["before"] * any("before" in record["sides"] for record in records)
        if not records:
            lines.append([f"`{row.name}`", ", ".join(names), *[MISSING] * len(results)])
            continue
        cells = [[name, *by_column(results, row.name, lambda record, name=name: side(record, name))] for name in names]
        if row.has_limit:
            cells.append(["limit of one image", *by_column(results, row.name, limit)])
        cells[0].insert(0, f"`{row.name}`")
        lines += cells[:1] + [["", *line] for line in cells[1:]]
    return table(["", "side", *titles(results)], lines)


def side(record, name):
    """The figures of one side: median, range, memory; the share of the direct method's limit for ours, else the ratio."""
    found = record["sides"][name]
    median, least, most = (figures(found[key]) for key in ("median", "min", "max"))
    share = f"{record['share']:.0f} % of {record['product_gflops']:.0f} GFLOP/s"
    last = share if name == "ours" else f"{found['ratio']:.2f}×"
    return f"{median} s ({least} to {most}), {found['peak_bytes'] / 1e9:.2f} GB, {last}"


def figures(seconds):
    """Seconds with four digits after the point, or as many as a short step needs."""
    return f"{seconds:.4f}" if seconds >= 0.01 else f"{seconds:.6f}"


def limit(record):
    """The limit of one image as a share of our time."""
    found = record["limit"]
    seconds, rate = figures(found["seconds"]), found["gigabytes_per_second"]
    return f"{found['share']:.0f} %: {seconds} s, weights at {rate:.1f} GB/s"


def layers(results):
    """The table of each layer's forward + backward time in a training step of `alexnet-2012`, fast and direct."""

    def show(name, form):
        def cell(record):
            found = next((layer for layer in record["layers"][form] if layer["name"] == name), None)
            return f"{found['forward_ms']:.1f} + {found['backward_ms']:.1f}" if found else MISSING

        return cell

    names = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    lines = []
    for name in names:
        fast, direct = (by_column(results, "train-2012", show(name, form)) for form in ("ours", "direct"))
        lines.append([name, *(cell for pair in zip(fast, direct) for cell in pair)])
    head = [f"{title}, {form}" for title in titles(results) for form in ("fast", "direct")]
    return table(["layer", *head], lines)


def batches(results):
    """The table of the time per image by batch size."""

    def cells(batch):
        return by_column(results, "batches", lambda record: f"{record['milliseconds'][batch]:.2f} ms")

    columns = [cells(batch) for batch in BATCHES]
    return table(["", *(f"{batch} images" for batch in BATCHES)], [list(line) for line in zip(titles(results), *columns)])
