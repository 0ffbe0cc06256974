"""A headless Chromium that opens pages and says what is wrong with them; it is told by its DevTools protocol.

Messages go through two pipes, file descriptors 3 and 4 of the browser: no port, no driver, no further library.
"""

import base64
import json
import os
import select
import subprocess
import time

from debian import needs_program

#: CSS pixels at which pages have to fit.
WIDTHS = (1400, 800)

#: A PNG of one pixel.
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)

OPTIONS = (
    "--headless", "--no-sandbox", "--remote-debugging-pipe", "--disable-gpu", "--disable-dev-shm-usage",
    "--hide-scrollbars", "--no-first-run", "--no-default-browser-check", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio",
)  # fmt: skip

# Lazy pictures are loaded as well. What is wider than the page, and does not scroll by itself, is named.
LOOK = """(async () => {
  const pictures = [...document.images];
  for (const picture of pictures) picture.loading = 'eager';
  await Promise.all(pictures.map(picture => picture.decode().catch(() => null)));
  await new Promise(done => { requestAnimationFrame(() => done()); setTimeout(done, 200); });
  const broken = pictures.filter(p => !(p.complete && p.naturalWidth)).map(p => p.alt || p.src.slice(0, 80));
  const page = document.documentElement, width = page.clientWidth, wide = [];
  const contained = element => {
    for (let e = element.parentElement; e && e !== document.body; e = e.parentElement)
      if (getComputedStyle(e).overflowX !== 'visible') return true;
    return false;
  };
  if (page.scrollWidth > width)
    for (const e of document.body.querySelectorAll('*'))
      if (e.getBoundingClientRect().right > width + 0.5 && !contained(e))
        wide.push(`<${e.tagName.toLowerCase()} class="${e.className}"> ${e.textContent.trim().slice(0, 40)}`);
  return {broken, wide: wide.slice(-2), scroll: page.scrollWidth, width, text: document.body.innerText.trim().length};
})()"""


class Browser:
    """Starts when it is asked for a page first. Its profile and its messages stand in ``folder``."""

    def __init__(self, folder):
        self._folder, self._process, self._tab, self._session = folder, None, None, None
        self._rest, self._number, self._events = b"", 0, []

    def faults(self, path, widths=WIDTHS):
        """What is wrong with a page of a file: lines of text."""
        if self._process is None:
            self._start(needs_program("chromium"))
        self._open_tab()
        self._resize(widths[0])
        shown = self._call("Page.navigate", url=path.resolve().as_uri())
        if "errorText" in shown:
            return [shown["errorText"]]
        while not any(e["method"] == "Page.loadEventFired" for e in self._events):
            self._read()
        faults = []
        for width in widths:
            self._resize(width)
            seen = self._evaluate(LOOK)
            faults += [f"no text at {width} px"] * (seen["text"] == 0)
            faults += [f"a picture is not shown at {width} px: {name}" for name in seen["broken"]]
            if seen["scroll"] > seen["width"]:
                what = "; ".join(seen["wide"]) or "nothing that can be named"
                faults.append(f"{seen['scroll']} px wide at {width} px: {what}")
        return [*filter(None, map(_complaint, self._events)), *faults]

    def picture(self, width, to):
        """The page that was opened last, as PNG."""
        self._resize(width)
        shot = self._call("Page.captureScreenshot", captureBeyondViewport=True)
        to.write_bytes(base64.b64decode(shot["data"]))

    def close(self):
        if self._process is None:
            return
        os.close(self._to)  # Chromium ends with its pipe
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._from)

    def _start(self, program):
        browser_reads, self._to = os.pipe()
        self._from, browser_writes = os.pipe()
        command = [program, *OPTIONS, f"--user-data-dir={self._folder}", "about:blank"]
        redirected = f'exec "$@" 3<&{browser_reads} 4>&{browser_writes}'
        own = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), str(self._folder))
        with (self._folder / "messages.txt").open("wb") as messages:
            self._process = subprocess.Popen(
                ["bash", "-c", redirected, "bash", *command], pass_fds=(browser_reads, browser_writes),
                stdin=subprocess.DEVNULL, stdout=messages, stderr=messages, env={**os.environ, **own},
            )  # fmt: skip
        os.close(browser_reads)
        os.close(browser_writes)

    def _open_tab(self):
        """One for each page: what the page before it still says is not of this one."""
        before, self._session = self._tab, None
        self._tab = self._call("Target.createTarget", url="about:blank")["targetId"]
        if before:
            self._call("Target.closeTarget", targetId=before)
        attached = self._call("Target.attachToTarget", targetId=self._tab, flatten=True)
        self._session = attached["sessionId"]
        self._events.clear()
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def _resize(self, width):
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1,
                   mobile=False)  # fmt: skip

    def _evaluate(self, code):
        answer = self._call(
            "Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"]["value"]

    def _call(self, method, **parameters):
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def _read(self, patience=60):
        """The next message; events of the open page are kept."""
        until = time.monotonic() + patience
        while b"\0" not in self._rest:
            if not select.select([self._from], [], [], max(0, until - time.monotonic()))[0]:
                raise TimeoutError(f"Chromium said nothing for {patience} s")
            piece = os.read(self._from, 1 << 20)
            if not piece:
                raise ConnectionError(f"Chromium has ended, exit code {self._process.wait(5)}")
            self._rest += piece
        text, self._rest = self._rest.split(b"\0", 1)
        message = json.loads(text)
        if "method" in message and message.get("sessionId") == self._session:
            self._events.append(message)
        return message


def _complaint(event):
    """Of an event of the page: its fault, or None."""
    method, told = event["method"], event["params"]
    if method == "Runtime.exceptionThrown":
        details = told["exceptionDetails"]
        return f"exception: {details.get('exception', {}).get('description', details['text'])}"
    if method == "Runtime.consoleAPICalled" and told["type"] in ("error", "assert"):
        return (
            f"console: {' '.join(str(a.get('value', a.get('description'))) for a in told['args'])}"
        )
    if method == "Log.entryAdded" and told["entry"]["level"] == "error":
        return f"log: {told['entry']['text']} {told['entry'].get('url', '')}"
    if method == "Network.requestWillBeSent":
        url = told["request"]["url"]
        if not url.startswith(("file:", "data:", "blob:", "about:")):
            return f"asks the network for {url}"
    return None
