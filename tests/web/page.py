"""What check.py needs of a browser: the page, scripts that run in it, and a picture to show it."""

import collections
import functools
import http.server
import io
import json
import math
import pickle
import struct
import sys
import threading
import time
import types
import unittest.mock
import zipfile
import zlib

from selenium.common.exceptions import NoSuchElementException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

# Trains one arm in a worker and returns its passes and steps; pauses after some messages, if asked.
TRAIN = """
const [ablation, arm, set, epochs, pause, done] = arguments;
(async () => {
  const { Arm } = await import(new URL("js/arm.js", location.href));
  const { bytes, json } = await import(new URL("js/files.js", location.href));
  const catalogue = await json("catalogue.json");
  const names = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"];
  const files = await Promise.all(names.map((name) => bytes(`${name}-ubyte.gz`)));
  const found = { passes: [], steps: [], milliseconds: 0 };
  const finished = new Promise((resolve, reject) => {
    const worker = new Arm("race", async (message) => {
      if (message.type === "failed") reject(new Error(message.error));
      if (message.type === "finished") { worker.stop(); resolve({ ...found, test: message.test }); }
      if (message.type !== "advanced") return;
      found.passes.push(...message.passes);
      found.steps.push(...message.steps);
      if (message.passes.length === 0) { found.milliseconds += message.milliseconds; found.timed = (found.timed ?? 0) + message.steps.length; }
      found.memory = message.memory;
      if (pause && found.steps.length === 50) {
        await worker.ask({ type: "pause" });
        const before = found.steps.length;
        await new Promise((go) => setTimeout(go, 500));
        found.moved = found.steps.length - before;
        worker.tell({ type: "step", count: 3 });
        worker.tell({ type: "run" });
      }
    });
    worker.load("race.wasm", { files, manifest: catalogue.manifest }).then(() => worker.ask({
      type: "start", run: true,
      request: { scale: catalogue.scale, ablation: catalogue.ablations[ablation], arm, set, epochs, seed: 0 },
    })).catch(reject);
  });
  return finished;
})().then(done, (error) => done({ failure: error.message }));
"""

# The probabilities that the small network gives a photograph.
PREDICT = """
const [image, done] = arguments;
(async () => {
  const { looker, shipped } = await import(new URL("js/looker.js", location.href));
  const worker = await looker();
  await shipped(worker);
  const bytes = Uint8Array.from(atob(image), (letter) => letter.charCodeAt(0)).buffer;
  return (await worker.ask({ type: "photograph", bytes })).probabilities;
})().then(done, (error) => done(error.message));
"""

# From now on an occlusion has more places than the module's memory holds, which is a panic.
TOO_MANY = """((post) => {
  Worker.prototype.postMessage = function (message, moved) {
    post.call(this, message.type === "occlusion" ? { ...message, places: 2 ** 31 } : message, moved);
  };
})(Worker.prototype.postMessage)"""

# Runs the opening race and returns when things happened, in seconds after Start.
OPENING = """
const done = arguments[0];
const begun = performance.now(), found = {}, seconds = () => (performance.now() - begun) / 1000;
const error = (side) => parseFloat(document.querySelector(`.arm[data-side=${side}] .error`).textContent);
document.getElementById("go").click();
let last = begun;
found.gap = 0;
const frame = () => {
  const now = performance.now();
  found.gap = Math.max(found.gap, now - last);
  last = now;
  if (error("right") - error("left") >= 5) found.parted ??= seconds();
  if (error("left") <= 20) found.twenty ??= seconds();
  if (document.getElementById("state").textContent !== "All seeds are trained.") return requestAnimationFrame(frame);
  done({ ...found, end: seconds(), text: document.querySelector("#differences p").textContent });
};
frame();
"""


# The probabilities that the file of weights gives the photograph, both chosen in the page, and the memory that took, in bytes.
CHOSEN = """
const done = arguments[0];
const chosen = (id) => { const [file] = document.getElementById(id).files; return file.arrayBuffer().then((bytes) => [file.name, bytes]); };
(async () => {
  const { looker } = await import(new URL("js/looker.js", location.href));
  const worker = await looker(), [name, weights] = await chosen("weights"), [, photograph] = await chosen("photograph");
  await worker.ask({ type: "weights", name, bytes: weights }, [weights]);
  const { probabilities, memory } = await worker.ask({ type: "photograph", bytes: photograph }, [photograph]);
  worker.stop();
  return { probabilities, memory };
})().then(done, (error) => done({ failure: error.message }));
"""


def served(folder):
    """A server of a folder on a free port."""
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Storage:
    def __init__(self, kind, key, count):
        self.identifier = ("storage", kind, key, "cpu", count)


class Torch(pickle.Pickler):
    """Writes what `torch.save` writes, without PyTorch: storages by name, and a function that puts a tensor together."""

    def persistent_id(self, value):
        return value.identifier if isinstance(value, Storage) else None


def pth(safetensors):
    """The bytes of a file of PyTorch's with the 32-bit tensors of a safetensors file."""
    length, = struct.unpack("<Q", safetensors[:8])
    header = json.loads(safetensors[8:8 + length])
    rebuild, kind = lambda *_: None, type("FloatStorage", (), {"__module__": "torch"})
    rebuild.__module__, rebuild.__qualname__, rebuild.__name__ = "torch._utils", "_rebuild_tensor_v2", "_rebuild_tensor_v2"
    fakes = {"torch": types.SimpleNamespace(FloatStorage=kind), "torch._utils": types.SimpleNamespace(_rebuild_tensor_v2=rebuild)}
    packed, pickled, tensors = io.BytesIO(), io.BytesIO(), collections.OrderedDict()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for key, (name, about) in enumerate(sorted(header.items())):
            shape, (begin, end) = about["shape"], about["data_offsets"]
            archive.writestr(f"weights/data/{key}", safetensors[8 + length + begin:8 + length + end])
            strides = [math.prod(shape[at + 1:]) for at in range(len(shape))]
            arguments = (Storage(kind, str(key), math.prod(shape)), 0, tuple(shape), tuple(strides), False, collections.OrderedDict())
            tensors[name] = type("Tensor", (), {"__reduce__": lambda _, arguments=arguments: (rebuild, arguments)})()
        with unittest.mock.patch.dict(sys.modules, fakes):
            Torch(pickled, protocol=2).dump(tensors)
        archive.writestr("weights/data.pkl", pickled.getvalue())
    return packed.getvalue()


def png(width, height, pixels):
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + pixels[y * width:(y + 1) * width] for y in range(height))
    head = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class Page:
    def __init__(self, browser, address, pictures):
        self.browser, self.address, self.pictures = browser, address, pictures

    def open(self, hash="", name="index.html"):
        self.browser.get("about:blank")
        self.browser.get(f"{self.address}/{name}{hash}")
        self.wait(lambda: self.text("#state") == "Ready.", 60)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector):
        """Reads in one script: between finding an element and asking it, the page may have replaced it."""
        text = self.browser.execute_script("return document.querySelector(arguments[0])?.textContent", selector)
        if text is None:
            raise NoSuchElementException(selector)
        return text

    def run(self, script):
        return self.browser.execute_script(f"return {script}")

    def wait(self, condition, seconds=30):
        return WebDriverWait(self.browser, seconds, poll_frequency=0.05).until(lambda _: condition())

    def click(self, selector):
        self.one(selector).click()

    def choose(self, selector, *files):
        self.run(f"document.querySelector('{selector}').value = ''")  # otherwise files are added to those chosen before
        self.one(selector).send_keys("\n".join(map(str, files)))

    def progress(self, side="left"):
        return self.run(f"document.querySelector('.arm[data-side={side}] progress').value")

    def picture(self, name, width, dark=False):
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        size = lambda height: self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})
        size(1000)
        time.sleep(0.3)
        wide = self.run("document.documentElement.scrollWidth")
        assert wide <= width, f"{name}: {wide} pixels wide on a screen of {width}"
        if self.pictures:
            self.pictures.mkdir(parents=True, exist_ok=True)
            size(min(self.run("document.documentElement.scrollHeight"), 6000))
            time.sleep(0.3)
            self.browser.save_screenshot(str(self.pictures / f"{name}-{width}.png"))
        self.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def no_errors(self):
        log = [entry for entry in self.browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
        assert not log, log
