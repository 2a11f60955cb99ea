#!/usr/bin/env python3
"""The report page in a real headless browser: no console error, the right numbers, controls that work.

    apt-get install chromium chromium-driver python3-selenium
    tests/browser/check.py target/debug/experiments [FOLDER FOR SCREENSHOTS]
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

PROGRAM = str(pathlib.Path(sys.argv[1]).resolve())
PICTURES = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None


def experiments(*words):
    return subprocess.run([PROGRAM, *map(str, words)], check=False, capture_output=True, text=True)


def study_of(out):
    path = out / "ablations" / "lrn-mini" / "study.json"
    return path, json.loads(path.read_text())


def many_runs(template, out, arms, seeds):
    """A study of arms × seeds runs, all of them copies of one."""
    path, study = study_of(template)
    run = template / study["arms"][0]["runs"][0]
    record = (run / "run.json").read_text()
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    rows = [dict(row, epoch=epoch, step=epoch * 100) for epoch in range(1, 16) for row in rows if row["split"] != "test"]
    study["seeds"] = list(range(seeds))
    made = []
    for arm in range(arms):
        one = json.loads(json.dumps(study["arms"][0]))
        one["name"] = f"arm-{arm}"
        one["config"]["recipe"]["learning_rate"] = 0.001 * (arm + 1)
        one["runs"] = []
        for seed in range(seeds):
            folder = out / f"run-{arm}-{seed}"
            folder.mkdir(parents=True)
            (folder / "run.json").write_text(record)
            result = json.loads((run / "result.json").read_text())
            result["tests"][0]["top1_error"] += 0.001 * arm + 0.0001 * (seed * 7 % 13)
            (folder / "result.json").write_text(json.dumps(result))
            (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            one["runs"].append(folder.name)
        made.append(one)
    study["arms"] = made
    target = out / "ablations" / "lrn-mini"
    target.mkdir(parents=True)
    (target / "study.json").write_text(json.dumps(study))


class Page:
    def __init__(self, browser, path):
        self.browser = browser
        browser.get(path.as_uri())

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector):
        return [element.text for element in self.all(selector)]

    def run(self, script):
        return self.browser.execute_script(f"return {script}")

    def picture(self, name):
        if PICTURES:
            PICTURES.mkdir(parents=True, exist_ok=True)
            height = self.run("document.documentElement.scrollHeight")
            size = self.browser.get_window_size()
            self.browser.set_window_size(size["width"], min(height + 200, 4000))
            self.browser.save_screenshot(str(PICTURES / f"{name}.png"))
            self.browser.set_window_size(size["width"], size["height"])

    def no_errors(self):
        log = [entry for entry in self.browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
        assert not log, log


def check_numbers(page, report):
    rows = page.all("table.arms tbody tr")
    assert len(rows) == len(report["arms"])
    for row, arm in zip(rows, report["arms"]):
        text = row.text.replace("−", "-")
        assert arm["name"] in text, text
        if arm["mean"] is not None:
            assert f"{arm['mean']:.2f} ± {arm['sd']:.2f}" in text, (text, arm["mean"])
        if arm["difference"]:
            low, high = arm["difference"]["interval_95"]
            assert f"{arm['difference']['mean']:+.2f} [{low:+.2f}, {high:+.2f}]" in text, text
            low, high = arm["difference"]["interval_adjusted"]
            assert f"[{low:+.2f}, {high:+.2f}]" in text, text
    runs = [run for arm in report["arms"] for run in arm["runs"]]
    assert len(page.all("table.runs tbody tr")) == len(runs)
    missing = sum(run["failure"] is not None for run in runs)
    shown = page.texts("p.missing")
    assert any(f"{missing} of {len(runs)} runs" in text for text in shown) == (missing > 0), shown


def check_controls(page, report):
    errors = lambda: [float(row.text) for row in page.all("table.runs tbody td:nth-child(5)") if row.text != "–"]
    head = page.one("table.runs thead th:nth-child(5) button")
    head.click()
    assert errors() == sorted(errors()) and len(errors()) > 2
    head.send_keys(Keys.ENTER)
    assert errors() == sorted(errors(), reverse=True)
    assert page.one("table.runs th:nth-child(5)").get_attribute("aria-sort") == "descending"

    box = page.one("input[type=search]")
    box.send_keys("gain-only seed 1")
    assert len(page.all("table.runs tbody tr")) == 1
    assert page.one("[role=status]").text.startswith("1 of ")
    box.clear()
    box.send_keys(" ")
    runs = sum(len(arm["runs"]) for arm in report["arms"])
    assert len(page.all("table.runs tbody tr")) == runs

    visible = lambda selector: page.run(f"[...document.querySelectorAll('{selector}')].filter((it) => it.getClientRects().length > 0).length")
    lines = lambda: visible("svg.curves polyline")
    before = lines()
    assert visible("svg.curves") == 1 and before > len(report["arms"])
    page.one("input.toggle-1").click()
    assert lines() < before
    page.one("input.toggle-1").click()
    assert lines() == before
    for name, value in ((1, "time"), (2, "log"), (0, "train")):
        Select(page.all("select")[name]).select_by_value(value)
        assert visible("svg.curves") == visible(f"svg.curves.{value}") == 1, value
        # The first view has training images beside validation images.
        assert lines() == before - (len(report["arms"]) if value == "train" else 0), value
    assert not page.run("[...document.querySelectorAll('svg')].some((svg) => /NaN|[^a-z]inf[^a-z]/.test(svg.outerHTML))")
    now = lines()
    page.one("input.every-seed").click()
    assert lines() < now
    page.one("input.every-seed").click()


def check_waterfall(page, report):
    arms = {arm["name"]: arm for arm in report["arms"]}
    ideas = arms["all"]["together"]
    rows = {row.find_element(By.CSS_SELECTOR, "th").text: row.text for row in page.all("table.ideas tbody tr")}
    assert list(rows) == [*ideas, "all"], list(rows)
    total = arms["2012"]["mean"]
    for idea in ideas:
        alone, left_out = arms[idea]["difference"]["mean"], arms[f"without-{idea}"]["difference"]["mean"]
        total += alone
        for number in (f"{alone:+.2f} [", f"{total:.2f}", f"{left_out:+.2f} [", f"{arms[idea]['step_time']:.2f}"):
            assert number in rows[idea], (idea, number, rows[idea])
        assert arms[f"without-{idea}"]["against"] == "all" and arms[f"without-{idea}"]["without"] == idea
    assert len(page.all("svg.waterfall polygon")) == 2 * len(ideas) + 1


def check_dialog(page, report):
    # A point leads to the row of its run, also where the filter hides it.
    page.one("input[type=search]").send_keys("no such run")
    assert not page.all("table.runs tbody tr")
    point = page.one("svg.forest a")
    target = point.get_dom_attribute("href").removeprefix("#")
    point.find_element(By.CSS_SELECTOR, "circle").click()
    row = WebDriverWait(page.browser, 5).until(lambda _: page.one(f"tr[id='{target}']:target"))
    arm, run = map(int, target.split("-")[2:])
    found = report["arms"][arm]
    assert row.text.startswith(f"{found['name']} {found['runs'][run]['seed']} "), row.text
    assert page.run("(({top, bottom}) => top >= 0 && bottom <= innerHeight)(document.querySelector('tr:target').getBoundingClientRect())")
    link = row.find_element(By.CSS_SELECTOR, "a").get_attribute("href")
    assert pathlib.Path(link.removeprefix("file://")).is_file(), link

    row.find_element(By.CSS_SELECTOR, "button").click()
    popover = page.one(f"#config-0-{arm}:popover-open")
    assert found["name"] in popover.find_element(By.CSS_SELECTOR, "h2").text
    assert "network.conv.conv1.stages" in popover.text
    assert "recipe.learning_rate" in popover.find_element(By.CSS_SELECTOR, "table.config").text
    page.browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not page.all(":popover-open")
    button = page.one("table.runs tbody button")
    page.run("document.querySelector('table.runs tbody button').focus()")
    button.send_keys(Keys.ENTER)
    assert page.all(":popover-open"), "the keyboard opens it too"
    page.one(":popover-open > button").click()
    assert not page.all(":popover-open")


def main():
    options = webdriver.ChromeOptions()
    for option in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,900"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options)
    folder = pathlib.Path(tempfile.mkdtemp())
    try:
        here = folder / "flex"
        done = experiments("ablation", "lrn", "--seeds", 2, "--epochs", 2, "--out", here)
        assert done.returncode == 0, done.stderr
        report_folder = here / "ablations" / "lrn-mini" / "report"
        report = json.loads((report_folder / "report.json").read_text())
        page = Page(browser, report_folder / "index.html")
        check_numbers(page, report)
        check_controls(page, report)
        check_dialog(page, report)
        page.no_errors()
        assert not page.all("script[src], link[rel=stylesheet], img"), "the page needs no other file"
        print("numbers, controls, configs: right")

        for width in (360, 3840):
            browser.set_window_size(width, 1200)
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                    {"width": width, "height": 1200, "deviceScaleFactor": 1, "mobile": width < 500})
            browser.refresh()
            assert page.run("document.documentElement.scrollWidth") <= width, f"{width} pixels: wider than the window"
            page.picture(f"width-{width}")
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.set_window_size(1280, 900)
        browser.refresh()
        cut = page.run("(box => box.scrollWidth - box.clientWidth)(document.querySelector('.scroll.runs'))")
        assert cut <= 0, f"1280 pixels: {cut} pixels of the table of runs are cut"
        for media in ({"features": [{"name": "prefers-color-scheme", "value": "dark"}]}, {"media": "print"}):
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
            browser.refresh()
            page.picture("print" if "media" in media else "dark")
            colour = page.run("getComputedStyle(document.body).backgroundColor")
            assert colour == ("rgb(255, 255, 255)" if "media" in media else "rgb(21, 24, 27)"), colour
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
        browser.refresh()
        page.picture("light")
        page.no_errors()
        print("360, 1280 and 3840 pixels, dark, print: right")

        # Failed and missing runs, and the same ablation from elsewhere beside it.
        there = folder / "elsewhere"
        shutil.copytree(here, there)
        path, study = study_of(there)
        path.write_text(json.dumps(dict(study, backend="another")))
        shutil.rmtree(there / study["arms"][1]["runs"][0])
        broken = there / study["arms"][2]["runs"][1]
        (broken / "result.json").unlink()
        (broken / "failure.txt").write_text("the loss became NaN <in> epoch 2\n")
        both = folder / "both"
        done = experiments("report", here, there, "--out", both)
        assert done.returncode == 0, done.stderr
        page = Page(browser, both / "index.html")
        assert "2 of 6 runs have no result; the table of runs says why." in page.texts("p.missing")
        assert any("the loss became NaN <in> epoch 2" in text for text in page.texts("table.runs td.missing"))
        assert any("not trained" in text for text in page.texts("table.runs td.missing"))
        assert "another − flex" in page.one("section.backends").text
        assert "+0.00" in page.one("section.backends").text
        page.no_errors()
        page.picture("backends")
        print("failed and missing runs, two backends: right")

        # An arm of other arithmetic is not compared, or marked where that is asked for.
        mixed = folder / "mixed"
        shutil.copytree(here, mixed)
        _, study = study_of(mixed)
        for run in study["arms"][1]["runs"]:
            path = mixed / run / "run.json"
            record = json.loads(path.read_text())
            record["sessions"][0]["processor"] = "wasm32-narrow-nofma"
            path.write_text(json.dumps(record))
        for words, expected in ([], "not compared: mixed versions"), (["--mixed-versions"], ", mixed versions"):
            done = experiments("report", mixed, *words)
            assert done.returncode == 0, done.stderr
            page = Page(browser, mixed / "report" / "index.html")
            assert expected in page.one("table.arms").text, page.one("table.arms").text
            assert any("its runs differ in processor" in text for text in page.texts("ul.note li"))
            page.no_errors()
        print("mixed versions: marked")

        # An arm that cannot act on these images has no runs, and its chart no line.
        done = experiments("ablation", "augmentation", "--seeds", 1, "--epochs", 1, "--out", folder / "grey")
        assert done.returncode == 0, done.stderr
        page = Page(browser, folder / "grey" / "ablations" / "augmentation-mini" / "report" / "index.html")
        assert "not applicable" in page.one("table.arms").text
        page.no_errors()

        # One epoch of every arm of `modern`: ideas alone, together, and each left out.
        done = experiments("ablation", "modern", "--seeds", 2, "--epochs", 1, "--out", folder / "modern")
        assert done.returncode == 0, done.stderr
        report_folder = folder / "modern" / "ablations" / "modern-mini" / "report"
        report = json.loads((report_folder / "report.json").read_text())
        page = Page(browser, report_folder / "index.html")
        check_waterfall(page, report)
        for width, scheme in ((360, "light"), (1280, "dark"), (1280, "light")):
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                    {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500})
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
            browser.refresh()
            assert page.run("document.documentElement.scrollWidth") <= width, f"{width} pixels: wider than the window"
            page.picture(f"modern-{width}-{scheme}")
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
        page.no_errors()
        print("the waterfall: right")

        many = folder / "many"
        many_runs(here, many, 10, 100)
        done = experiments("report", many)
        assert done.returncode == 0, done.stderr
        path = many / "report" / "index.html"
        page = Page(browser, path)
        assert len(page.all("table.runs tbody tr")) == 1000
        page.no_errors()
        page.picture("thousand")
        ready = page.run("performance.getEntriesByType('navigation')[0].domComplete")
        print(f"1000 runs: {path.stat().st_size / 1e6:.1f} MB, ready after {ready:.0f} ms")
    finally:
        browser.quit()
        shutil.rmtree(folder)


main()
