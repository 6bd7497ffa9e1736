"""The comparison page in a real browser: its script runs, phones need no sideways scrolling."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imread

from flower_relay.comparison.page import write_comparison_page
from tests.comparison_samples import write_sample

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next((found for name in NAMES if (found := shutil.which(name))), None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        BROWSER is None,
        reason=f"no browser to open the page in: none of {', '.join(NAMES)} is installed "
        "(Debian: apt-get install chromium)",
    ),
]

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--enable-logging=stderr",
)  # fmt: skip

PROBE = """
const found = {width: innerWidth, ready: document.documentElement.dataset.ready};
found.overflow = document.documentElement.scrollWidth - innerWidth;
const seen = (css) => [...document.querySelectorAll(css)].filter((e) => e.checkVisibility()).length;
const press = (css) => document.querySelector(css).click();
found.charts = seen(".on-0.chart");
press("#axis-1");
found.afterSwitch = [seen(".on-0.chart"), seen(".on-1.chart"), seen(".on-0.time")];
press(".legend button");
found.dimmed = document.querySelectorAll(".chart.dimmed").length;
const svg = document.querySelector(".on-1.chart svg"), box = svg.getBoundingClientRect();
svg.dispatchEvent(new PointerEvent("pointermove",
  {clientX: box.left + box.width * 0.8, clientY: box.top + 40, bubbles: true}));
found.readout = document.querySelector(".on-1.chart .readout").textContent;
const hop = document.querySelector("[data-hop][tabindex='0']");
const next = Number(hop.dataset.hop) + 1;
hop.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight", bubbles: true}));
found.moved = document.activeElement.dataset.hop === String(next);
found.details = document.querySelector(".details").textContent;
found.overflowAfter = document.documentElement.scrollWidth - innerWidth;
parent.postMessage(JSON.stringify(found), "*");
"""

FRAME = """<!DOCTYPE html><meta charset="utf-8"><pre id="probe"></pre>
<script>onmessage = (event) => { document.getElementById("probe").textContent = event.data; };
</script><iframe src="probed.html" width="WIDTH" height="800" style="border:0"></iframe>"""
"""A window cannot be as narrow as a phone; a frame can, and media queries ask its width."""


Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser") / "results"
    return write_comparison_page(
        write_sample(folder, seeds=2, strategies=("relay", "relay-untested", "fedavg", "fedavgm"))
    )


def browse(page: Path, profile: Path, width: int, *options: str) -> Done:
    assert BROWSER is not None
    return subprocess.run(
        [
            BROWSER, *FLAGS, f"--user-data-dir={profile}", f"--window-size={width},2400", *options,
            page.as_uri(),
        ],
        capture_output=True, text=True, timeout=240, check=True,
    )  # fmt: skip


def complaints(done: Done) -> list[str]:
    """What the page's console would show: errors, and what the policy refused."""
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def probed(page: Path, folder: Path, width: int) -> dict[str, Any]:
    """Measure inside the page: a copy that lets one more script in."""
    text = page.read_text(encoding="utf-8")
    bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    probed = bare.replace("</body>", f"<script>{PROBE}</script></body>")
    (folder / "probed.html").write_text(probed, encoding="utf-8")
    frame = folder / "frame.html"
    frame.write_text(FRAME.replace("WIDTH", str(width)), encoding="utf-8")
    options = ("--dump-dom", "--virtual-time-budget=5000")
    done = browse(frame, folder / "profile", 1400, *options)
    assert complaints(done) == []
    [found] = re.findall(r'<pre id="probe">(.*?)</pre>', done.stdout)
    return dict(json.loads(html.unescape(found)))


@pytest.mark.parametrize("width", [1280, 390])
def test_it_opens_without_a_complaint_and_is_drawn(page: Path, tmp_path: Path, width: int) -> None:
    picture = tmp_path / "page.png"
    done = browse(page, tmp_path / "profile", width, f"--screenshot={picture}")
    assert complaints(done) == []
    drawn = imread(picture)
    assert drawn.shape[1] == width
    # Text and lines all the way down, not one colour.
    assert all(part.std() > 0.02 for part in (drawn[:800, :, :3], drawn[1600:, :, :3]))


@pytest.mark.parametrize("width", [1280, 390, 360])
def test_its_controls_work_and_it_never_needs_scrolling_sideways(
    page: Path, tmp_path: Path, width: int
) -> None:
    found = probed(page, tmp_path, width)
    assert found["ready"] == "yes"
    assert found["width"] == width
    assert found["overflow"] <= 0 and found["overflowAfter"] <= 0
    assert found["charts"] == 2  # one a partition
    assert found["afterSwitch"] == [0, 2, 2]  # the other axis; the fleets' switch is its own
    assert found["dimmed"] > 0
    assert "Relay" in found["readout"] and "%" in found["readout"]
    assert found["moved"]
    assert "trainer partition:" in found["details"] and "generation" in found["details"]
