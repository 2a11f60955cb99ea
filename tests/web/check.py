#!/usr/bin/env python3
"""The page of web/dist in a real headless browser: every control, the committed losses, hostile files, memory, widths.

    web/build.sh && apt-get install chromium chromium-driver python3-selenium
    tests/web/check.py web/dist [target/debug/experiments] [FOLDER FOR SCREENSHOTS]

With the program the losses are also compared with those that the page's own command gives, and with --write the committed losses are
written from them (tests/web/losses.json)."""

import base64
import gzip
import json
import math
import pathlib
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import time

from selenium import webdriver
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from page import CHOSEN, OPENING, PREDICT, TOO_MANY, TRAIN, Page, png, pth, served

WORDS = [word for word in sys.argv[1:] if word != "--write"]
DIST = pathlib.Path(WORDS[0]).resolve()
PROGRAM = str(pathlib.Path(WORDS[1]).resolve()) if len(WORDS) > 1 and WORDS[1] else None
PICTURES = pathlib.Path(WORDS[2]) if len(WORDS) > 2 else None
LOSSES = pathlib.Path(__file__).parent / "losses.json"
# A file of safetensors with one number.
TINY = struct.pack("<Q", 57) + b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}   ' + bytes(4)
# Two arms on 500 images: an epoch has 16 steps.
SHORT = "#race?ablation=lrn&left=on&right=off&epochs=2&set=data.labelled%3D50"


def train(page, ablation, arm, settings, epochs, pause=False):
    page.browser.set_script_timeout(600)
    found = page.browser.execute_async_script(TRAIN, ablation, arm, settings, epochs, pause)
    assert "failure" not in found, found
    return found


def scores(passes):
    return [[it["split"], it["step"], it["loss"], it["error"]] for it in passes]


def native(page, folder):
    """Runs the command that the page shows. Returns for each arm the rows of its run."""
    command = page.text("#command").replace("cargo run -p experiments --", shlex.quote(PROGRAM)) + f" --plain --out {folder}"
    done = subprocess.run(["bash", "-c", command], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    arms = {}
    study = json.loads(next(folder.glob("ablations/*/study.json")).read_text())
    for arm in study["arms"]:
        rows = map(json.loads, (folder / arm["runs"][0] / "metrics.jsonl").read_text().splitlines())
        arms[arm["name"]] = {(it["split"], it["step"]): [it["loss"], it["top1_error"]] for it in rows}
    return arms


def check_losses(page):
    page.open("#race?ablation=figure-1&left=relu&right=tanh&epochs=1&set=recipe.training_error.images%3D1000")
    settings = ["recipe.training_error.images=1000"]
    found = {}
    for arm in ("relu", "tanh"):
        result = train(page, "figure-1", arm, settings, 1, pause=arm == "relu")
        assert result.get("moved", 0) == 0, "a paused arm trains on"
        assert [it[0] for it in result["steps"]] == list(range(1, len(result["steps"]) + 1)), "steps are missing"
        found[arm] = scores(result["passes"])
        rate = 32 * result["timed"] / result["milliseconds"] * 1000
        print(f"{arm}: {rate:,.0f} images/s, {result['memory'] / 2**20:.0f} MiB")
    if PROGRAM:
        with tempfile.TemporaryDirectory() as folder:
            arms = native(page, pathlib.Path(folder))
        for arm, passes in found.items():
            for split, step, loss, error in passes:
                assert arms[arm][split, step] == [loss, error], (arm, split, step, arms[arm][split, step], loss, error)
        print("losses: those of the command that the page shows, to the digit")
    if "--write" in sys.argv:
        assert PROGRAM, "the committed losses are written only if the program gives them"
        LOSSES.write_text(json.dumps(found, indent=1) + "\n")
    committed = json.loads(LOSSES.read_text())
    assert found == committed, (found, committed)
    print("losses: the committed ones, also after a pause")


def check_controls(page):
    page.open()
    assert page.text("#question").startswith("How many times"), "the opening race"
    assert Select(page.one("#left")).first_selected_option.text == "relu"
    assert "--set recipe.training_error.stop_at=0.0" in page.text("#command")
    page.click("#step")
    page.wait(lambda: page.progress() == page.progress("right") == 10)
    page.click("#step")
    page.wait(lambda: page.progress() == 20)
    page.click("#go")
    page.wait(lambda: page.progress() >= 60)
    page.click("#go")
    page.wait(lambda: "paused" in page.text("#state"))
    time.sleep(0.5)
    before = page.progress()
    time.sleep(0.7)
    assert page.progress() == before, "a pause holds"
    assert page.run("document.querySelectorAll('.seen .towers canvas').length") == 4, "two towers of kernels a side"
    page.all("#images button")[1].click()
    page.wait(lambda: len(page.all(".seen [data-side=left] .bars li")) == 3)
    page.click("#go")
    # In a tab that is not shown, training goes on.
    before, first = page.progress(), page.browser.current_window_handle
    page.browser.switch_to.new_window("tab")
    time.sleep(2)
    page.browser.close()
    page.browser.switch_to.window(first)
    assert page.progress() > before, "training goes on in the background"
    page.click("#reset")
    assert page.text("#state") == "Ready." and page.progress() == 0
    # The keyboard.
    page.run("document.getElementById('step').focus()")
    page.browser.switch_to.active_element.send_keys(Keys.ENTER)
    page.wait(lambda: page.progress() == 10)
    Select(page.one("#ablation")).select_by_value("dropout")
    assert page.progress() == 0 and "dropout" in page.text("#command")
    Select(page.one("#right")).select_by_visible_text("on")
    assert not page.one("#go").is_enabled() and "same arm" in page.text("#state")
    # Switches of one's own, and an error in one line.
    Select(page.one("#ablation")).select_by_value("")
    page.run("document.getElementById('more').open = true")
    page.one("#set-right").send_keys("network.activation=gelu")
    page.one("#set-left").send_keys("recipe.learnig_rate=1")
    page.one("#seed").click()
    assert "train mini --seed 0" in page.text("#command") and "network.activation=gelu" in page.text("#command")
    page.click("#go")
    page.wait(lambda: "learnig_rate" in page.text("#failure"))
    assert "\n" not in page.text("#failure") and "learning_rate" in page.text("#failure"), page.text("#failure")
    page.no_errors()
    print("start, pause, step, reset, keyboard, images, switches of one's own: right")


def check_seeds(page):
    page.open(SHORT + "&seeds=3&seed=5")
    page.click("#go")
    page.wait(lambda: "Seed 1 of 3" in page.text("#differences"))
    assert "95 %" not in page.text("#differences"), "no interval before all seeds are in"
    page.wait(lambda: "Seed 3 of 3" in page.text("#differences"), 60)
    page.wait(lambda: "95 % interval" in page.text("#differences"))
    assert len(page.all("#differences circle.pair")) == 4
    assert page.text("#state") == "All seeds are trained." and "--seed-base 5" in page.text("#command")
    page.no_errors()
    print("seeds: dots as they come, the interval at the end")


def check_memory(page):
    page.open(SHORT)
    workers = lambda: sum(it["type"] == "worker" for it in page.browser.execute_cdp_cmd("Target.getTargets", {})["targetInfos"])
    before, heaps = workers(), []  # the browser may keep earlier pages, asleep
    for _ in range(10):
        page.click("#go")
        page.wait(lambda: page.text("#state") == "All seeds are trained.", 60)
        page.click("#reset")
        page.browser.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
        heaps.append(page.run("performance.memory.usedJSHeapSize"))
    assert heaps[-1] < heaps[1] + 2_000_000, heaps
    page.wait(lambda: workers() <= before)
    print(f"memory: {heaps[1] / 1e6:.1f} MB of scripts after two races, {heaps[-1] / 1e6:.1f} after ten; no worker is left")


def check_paper(page):
    page.open("#paper")
    audit = json.loads((DIST / "audit.json").read_text())["statements"]
    page.wait(lambda: len(page.all("#statements tbody tr")) == len(audit))
    races = [it for it in audit if it.get("race")]
    assert len(page.all("#statements button")) == len(races) > 5
    assert len(page.all("#statements svg")) == sum(it["interval"] is not None for it in audit)
    for statement in races:
        page.run("location.hash = '#paper'")
        page.wait(lambda: page.one("#paper").is_displayed())
        page.click(f"#statement-{statement['id']} button")
        page.wait(lambda: page.one("#race").is_displayed())
        chosen = [Select(page.one(f"#{name}")).first_selected_option.get_attribute("value") for name in ("ablation", "left", "right")]
        assert chosen == [statement["race"][name] for name in ("ablation", "left", "right")], (statement, chosen)
        assert page.one("#go").is_enabled()
    page.no_errors()
    print(f"the paper: {len(audit)} statements, {len(races)} races")


def check_draw(page):
    page.open("#draw")
    page.wait(lambda: len(page.all("#guesses li")) == 5)
    for name in ("Trouser", "Bag"):
        next(it for it in page.all("#begin button") if it.text == name).click()
        page.wait(lambda: page.text("#guesses li").startswith(name))
    page.click("#wipe")
    page.wait(lambda: "empty board" in page.text("#drawn"))
    board = page.one("#board")
    board.click()
    for key in (Keys.ARROW_DOWN, Keys.SPACE, Keys.ARROW_RIGHT, Keys.SPACE):
        board.send_keys(key)
    page.wait(lambda: page.text("#drawn") == "")
    page.no_errors()
    print("drawing: pictures, pointer, keyboard")


def check_look(page, folder):
    page.open("#look")
    image, weights = folder / "shoe.png", DIST / "mini.safetensors"
    pixels = gzip.decompress((DIST / "t10k-images-idx3-ubyte.gz").read_bytes())[16:16 + 784]
    image.write_bytes(png(28, 28, pixels))
    page.choose("#photograph", image)
    page.choose("#weights", weights)
    page.wait(lambda: len(page.all("#look-guesses li")) == 5, 60)
    assert page.text("#look-guesses li").startswith("Ankle boot"), page.text("#look-guesses li")
    assert len(page.all("#layers canvas")) == 10 and len(page.all("#kernels canvas")) == 2
    # The photograph is the first image of the page's gallery.
    page.wait(lambda: len(page.all("#nearest figure")) == 5)
    assert page.text("#nearest figcaption") == "Ankle boot, 0.00", page.text("#nearest figcaption")
    assert "500 test images" in page.text("#gallery")
    others = [folder / "other.png", folder / "again.png"]
    others[0].write_bytes(png(28, 28, pixels[::-1]))
    others[1].write_bytes(png(28, 28, pixels))
    page.choose("#photograph", image, *others)
    page.wait(lambda: len(page.all("#nearest figure")) == 2)
    assert page.text("#nearest figcaption") == "again.png, 0.00" and "2 photographs" in page.text("#gallery")
    if PROGRAM:
        words = [PROGRAM, "predict", str(weights), str(image), "--format", "json", "--top", "10"]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        expected = {it["index"]: it["probability"] for it in json.loads(done.stdout)[0]["top"]}
        page.browser.set_script_timeout(60)
        found = page.browser.execute_async_script(PREDICT, base64.b64encode(image.read_bytes()).decode())
        off = math.dist([found[at] for at in range(10)], [expected[at] for at in range(10)])
        assert off <= 1e-5, (found, expected)
        print(f"look: {off:.1e} from the probabilities of `predict`")
    for name in ("occlusion", "saliency", "none"):
        page.click(f"input[value={name}]")
        page.wait(lambda: page.one("#view").get_attribute("aria-label").find("as the network" if name == "none" else name) > 0)
    whole = weights.read_bytes()
    hostile = {"cut.safetensors": whole[:100_000], "cut.pth": pth(TINY)[:-40], "empty.pth": b"", "noise.bpk": b"NRUB" + bytes(range(256)), "zip.pth": b"PK\x03\x04" + bytes(99),
               "header.safetensors": struct.pack("<Q", 1 << 40) + b"{}", "text.txt": b"hello"}
    for name, content in hostile.items():
        (folder / name).write_bytes(content)
        page.choose("#weights", folder / name)
        page.wait(lambda: name in page.text("#look-failure"))
        assert "\n" not in page.text("#look-failure") and len(page.text("#look-failure")) < 400
    page.click("#shipped")
    page.wait(lambda: page.text("#looked").startswith("mini"))
    # A panic ends the worker. The next weights start another.
    page.run(TOO_MANY)
    page.click("input[value=occlusion]")
    page.wait(lambda: "capacity" in page.text("#look-failure"))
    page.click("input[value=none]")
    page.click("#shipped")
    page.wait(lambda: page.text("#looked").startswith("mini") and not page.one("#look-failure").is_displayed())
    page.click("input[value=saliency]")
    page.wait(lambda: "saliency" in page.one("#view").get_attribute("aria-label"))
    bad = folder / "bad.png"
    bad.write_bytes(image.read_bytes()[:60])
    page.choose("#photograph", bad)
    page.wait(lambda: "photograph" in page.text("#look-failure"))
    page.no_errors()
    print("look: guesses, feature maps, occlusion, saliency; hostile files are one line")


def check_torchvision(page, folder):
    """Weights of torchvision's shape and a photograph in colour: the module gives the probabilities that `predict` gives, in Node from
    safetensors and in the page from a `.pth`."""
    measure = pathlib.Path(__file__).parent / "measure.mjs"
    done = subprocess.run(["node", str(measure), str(DIST), str(folder)], check=True, capture_output=True, text=True)
    print(done.stdout.strip())
    words = [PROGRAM, "predict", str(folder / "torchvision.safetensors"), str(folder / "noise.png"), "--format", "json", "--top", "1000"]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    expected = {it["index"]: it["probability"] for it in json.loads(done.stdout)[0]["top"]}
    far = lambda found: math.dist(found, [expected[at] for at in range(1000)]) / math.hypot(*expected.values())
    weights = folder / "torchvision.pth"
    weights.write_bytes(pth((folder / "torchvision.safetensors").read_bytes()))
    page.open("#draw")  # a page whose inputs start nothing
    page.choose("#weights", weights)
    page.choose("#photograph", folder / "noise.png")
    page.browser.set_script_timeout(120)
    found = page.browser.execute_async_script(CHOSEN)
    assert "failure" not in found and found["memory"] < 1 << 30, found
    off = [far(json.loads((folder / "probabilities.json").read_text())), far(found["probabilities"])]
    assert max(off) <= 1e-5, off
    print(f"torchvision's shape: {off[0]:.1e} from the probabilities of `predict`, relative to their norm; as .pth {off[1]:.1e}, "
          f"{found['memory'] >> 20} MiB")


def check_one_file(page):
    address, page.address = page.address, DIST.as_uri()
    page.open(name="alexnet.html")
    page.click("#step")
    page.wait(lambda: page.progress() == page.progress("right") == 10, 60)
    page.run("location.hash = '#draw'")
    page.wait(lambda: len(page.all("#guesses li")) == 5, 60)
    page.no_errors()
    page.address = address
    print("alexnet.html: trains from disk")


def check_opening(page):
    page.open()
    page.browser.set_script_timeout(300)
    found = page.browser.execute_async_script(OPENING)
    assert found["parted"] < found["end"] and "twenty" in found, found
    print(f"the opening race: 5 points apart after {found['parted']:.1f} s, 20 % training error after {found['twenty']:.1f} s, "
          f"ended and tested after {found['end']:.1f} s; longest frame {found['gap']:.0f} ms. {found['text']}")


def check_widths(page):
    for width in (360, 1280, 3840):
        page.open()
        page.all("#images button")[9].click()
        page.click("#go")
        page.wait(lambda: page.progress() >= 300, 60)
        page.click("#go")
        page.wait(lambda: "paused" in page.text("#state"))
        page.picture("race", width)
        if width == 1280:
            page.picture("race-dark", width, dark=True)
        for name in ("paper", "draw", "look"):
            page.run(f"location.hash = '#{name}'")
            time.sleep(1)
            page.picture(name, width)
    page.no_errors()
    print("360, 1280 and 3840 pixels, dark: nothing is wider than the window")


def main():
    server = served(DIST)
    options = webdriver.ChromeOptions()
    for option in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,900", "--enable-precise-memory-info"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options)
    try:
        page = Page(browser, f"http://127.0.0.1:{server.server_port}", PICTURES)
        check_losses(page)
        check_controls(page)
        check_seeds(page)
        check_memory(page)
        check_paper(page)
        check_draw(page)
        with tempfile.TemporaryDirectory() as folder:
            check_look(page, pathlib.Path(folder))
            if PROGRAM and shutil.which("node"):
                check_torchvision(page, pathlib.Path(folder))
        check_one_file(page)
        check_opening(page)
        check_widths(page)
    finally:
        browser.quit()
        server.shutdown()


main()
