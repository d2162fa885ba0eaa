"""The page in a real browser: what a person sees and does, from a file, without a network."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from page_frames import measured_frame
from typer.testing import CliRunner

from aabench.cli.main import app
from aabench.report.page.run_page import page_of_runs

CHROMIUM = shutil.which("chromium")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="needs the browser chromium, such as Debian's package of that name"
)
playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")

HOSTILE = "<script>alert(1)</script>"
IN_A_BAND = "a <budget>"
READY = "html[data-ready]"
PATIENCE_MS = 180_000
"""A browser that starts on a busy machine needs some; what is there is never waited for."""


class Visit:
    """One open page, with all that it said and asked for."""

    def __init__(self, browser, path: Path, **settings) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **settings})
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector(READY, state="attached")

    def _heard(self, message) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def texts(self, selector: str) -> list[str]:
        """What matching elements say, drawn ones too, with single blanks."""
        return [" ".join(text.split()) for text in self.page.locator(selector).all_text_contents()]

    def number(self, selector: str) -> int:
        return self.page.locator(selector).count()


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-dev-shm-usage"],  # containers have little of that
            timeout=PATIENCE_MS,
        )
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return measured_frame(HOSTILE)


def within(frame: pd.DataFrame) -> int:
    """A budget within the band of the largest prediction: nobody can tell whether that fits."""
    return int(frame["predicted_peak_bytes"].max())


@pytest.fixture(scope="module")
def visit(
    browser, frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Visit]:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(
        page_of_runs([frame], title=HOSTILE, budgets={IN_A_BAND: within(frame)}), encoding="utf-8"
    )
    visit = Visit(browser, path)
    yield visit
    visit.page.close()


@pytest.fixture(autouse=True)
def _nothing_goes_wrong(request: pytest.FixtureRequest) -> Iterator[None]:
    """In no test does the page complain, or ask for anything beyond itself."""
    yield
    if "visit" in request.fixturenames:
        visit: Visit = request.getfixturevalue("visit")
        assert visit.complaints == []
        assert [url for url in visit.requests if not url.startswith(("file:", "blob:"))] == []
        assert sum(url.startswith("file:") for url in visit.requests) == 1


def test_every_picture_is_drawn(visit: Visit) -> None:
    in_view = 3 * 2  # sizes and forms
    assert visit.number("#chart-memory .scatterlayer .point") == in_view
    assert visit.number("#chart-latency .scatterlayer .point") == in_view
    assert visit.number("#chart-trade-off .scatterlayer .point") > 2
    assert visit.number("#chart-prediction .scatterlayer .point") > 60
    assert visit.number("#heat-map .heatmaplayer image") == 1
    assert visit.number("#chart-memory .errorbars path") == 3  # of the line with a predicted peak
    assert visit.number("#chart-latency .errorbars path") > 0
    assert "16 GiB" in visit.texts("#chart-memory .shapelayer text")
    for figure in visit.page.locator("figure").all():
        assert figure.locator(".plot").get_attribute("aria-label")
    assert visit.number("section > .reading") >= 6


def test_hostile_names_show_as_text(visit: Visit) -> None:
    assert visit.texts("h1") == [HOSTILE]
    assert visit.page.title() == HOSTILE
    reasons = visit.texts("#failed .reasons li")
    assert len(reasons) == 1
    assert "asked for <9 GiB> with 0.9 GiB free" in reasons[0]
    assert "asked for <9 GiB>" in visit.texts("#failed-rows tbody tr:first-child td:last-child")[0]


def column(visit: Visit, head: str) -> list[str]:
    heads = visit.texts("#rows thead th")
    place = next(place for place, text in enumerate(heads) if text.startswith(head)) + 1
    return visit.texts(f"#rows tbody td:nth-child({place})")


def amount(cell: str) -> float:
    return float(cell.lstrip("~").split()[0])


def test_rows_sort_by_figures_at_a_click_and_by_keyboard(visit: Visit) -> None:
    head = visit.page.locator("#rows thead th", has_text="peak").first
    head.click()
    visit.page.wait_for_selector("#rows thead th[aria-sort=ascending]")
    ascending = [amount(cell) for cell in column(visit, "peak")]
    assert ascending == sorted(ascending)
    head.locator(".dt-column-order").focus()
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_selector("#rows thead th[aria-sort=descending]")
    descending = [amount(cell) for cell in column(visit, "peak")]
    assert descending == sorted(descending, reverse=True)
    assert descending[0] > ascending[0]


def test_rows_filter_by_words_and_choices(visit: Visit, frame: pd.DataFrame) -> None:
    shown = visit.page.locator("#all .dt-info")
    status = visit.page.locator("#row-filters label", has_text="status").locator("select")
    failed = int((frame["status"] == "oom").sum())
    status.select_option("oom")
    assert set(column(visit, "status")) == {"oom"}
    assert shown.inner_text().startswith(f"1 to {failed} of {failed}")
    status.select_option("any")
    visit.page.locator("#all input[type=search]").fill("blocked 56x56")
    matching = int(((frame["attention"] == "blocked") & (frame["height"] == 56)).sum())
    assert shown.inner_text().startswith(f"1 to {matching} of {matching}")
    visit.page.locator("#all input[type=search]").fill("")
    assert shown.inner_text().endswith(f"of {len(frame)}")


def test_only_visible_rows_are_built(visit: Visit, frame: pd.DataFrame) -> None:
    assert visit.number("#rows tbody tr") == 25 < len(frame)


def fitting(frame: pd.DataFrame, budget: float, form: str) -> int:
    """How many rows of a form fit: by what was measured, or else by the band's upper end."""
    highest = frame["peak_allocated_bytes"].fillna(frame["predicted_peak_high_bytes"].astype(float))
    return int(((highest <= budget) & (frame["attention"] == form)).sum())


@pytest.mark.parametrize(
    ("name", "budget"), [("8 GiB", 8 * 2**30), ("NVIDIA T4, 16 GB", 14909 * 2**20)]
)
def test_budget_marks_what_fits(visit: Visit, frame: pd.DataFrame, name: str, budget: int) -> None:
    visit.page.locator("#budget").select_option(name)
    forms = visit.texts("#answer-forms tbody th")
    counts = dict(zip(forms, visit.texts("#answer-forms tbody td:nth-child(2)"), strict=True))
    for form in ("materialized", "blocked"):
        assert int(counts[form]) == fitting(frame, budget, form)
    assert fitting(frame, budget, "materialized") < fitting(frame, budget, "blocked") == 36
    line = visit.page.locator("#answer-line").inner_text()
    assert line.startswith(f"36 of 36 layers fit {name}")
    assert name in visit.texts("#chart-memory .shapelayer text")
    budget_filter = visit.page.locator("#row-filters label", has_text="budget").locator("select")
    budget_filter.select_option("does not fit")
    assert set(column(visit, "budget")) == {"✗ does not fit"}
    assert all(cell == "materialized" for cell in column(visit, "attention"))
    budget_filter.select_option("any")


def test_within_a_band_it_is_too_close_to_tell(visit: Visit, frame: pd.DataFrame) -> None:
    largest = frame.loc[frame["predicted_peak_bytes"].idxmax()]
    assert largest["status"] == "oom"
    assert (
        largest["predicted_peak_low_bytes"] < within(frame) < largest["predicted_peak_high_bytes"]
    )
    visit.page.locator("#budget").select_option(IN_A_BAND)
    verdicts = visit.page.locator("#row-filters label", has_text="budget").locator("select")
    verdicts.select_option("too close to tell")
    assert "oom" in column(visit, "status")
    assert set(column(visit, "budget")) == {"≈ too close to tell"}
    assert IN_A_BAND in visit.texts("#chart-memory .shapelayer text")
    verdicts.select_option("any")
    visit.page.locator("#budget").select_option("16 GiB")


def test_answer_names_form_and_latency(visit: Visit) -> None:
    visit.page.locator("#budget").select_option("16 GiB")
    visit.page.locator("#fits input[type=search]").fill("56x56")
    rows = visit.texts("#answer tbody tr")
    assert len(rows) == 10  # of 12, on two pages
    assert any("✗" in row for row in rows)
    assert all(re.search(r"✓ [\d.]+ [MG]iB · [\d.]+ ± [\d.]+ m?s", row) for row in rows)
    best = visit.texts("#answer tbody td:nth-child(5)")
    assert {cell.split(",")[0] for cell in best} <= {"materialized", "blocked"}
    visit.page.locator("#fits input[type=search]").fill("")


def test_heat_map_is_chosen_by_keyboard(visit: Visit) -> None:
    titles = "#heat-map .g-xtitle, #heat-map .g-ytitle"
    assert visit.texts(titles) == ["input", "heads"]
    boundary = "#heat-map .scatterlayer .js-line"
    assert visit.number(boundary) > 0
    visit.page.locator("#budget").select_option("141 GiB")
    assert visit.number(boundary) == 0  # all of it fits
    visit.page.locator("#budget").select_option("16 GiB")
    select = visit.page.locator("#heat-map label", has_text="across").locator("select")
    select.focus()
    visit.page.keyboard.press("ArrowDown")
    assert visit.texts(titles) == ["batch", "heads"]
    visit.page.keyboard.press("Home")
    assert visit.texts(titles)[0] == "heads"
    assert visit.texts(titles)[1] != "heads"  # never the same axis twice
    assert " of " in visit.page.locator("#heat-map .note").inner_text()


@pytest.mark.parametrize(
    ("command", "figures"),
    [
        ("network aa-debug-resnet --depth 2", {"chart-layers": 5}),
        ("fit aa-debug-resnet --budget 40MiB", {"chart-forms": 4, "chart-layers": 1}),
    ],
)
def test_commands_write_pages_that_work(
    browser, tmp_path: Path, command: str, figures: dict[str, int]
) -> None:
    path = tmp_path / "page.html"
    step = ["--batch", "4", "--mode", "train", "--device", "cpu"]
    done = CliRunner().invoke(app, [*command.split(), *step, "--html", str(path)])
    assert done.exit_code in (0, 3, 4), done.output
    visit = Visit(browser, path)
    for figure, least in figures.items():
        assert visit.number(f"#{figure} .barlayer .point") >= least
    assert visit.number("main table tbody tr") > 5
    assert visit.complaints == []
    assert all(url.startswith(("file:", "blob:")) for url in visit.requests)
    visit.page.close()


def test_a_view_without_rows_says_so_and_comes_back(visit: Visit) -> None:
    select = visit.page.locator("#chart-memory label", has_text="batch").locator("select")
    before = visit.texts("#chart-memory .ytick text")
    select.select_option("1")
    assert visit.texts("#chart-memory .ytick text") != before
    select.select_option("64")
    assert visit.texts("#chart-memory .ytick text") == before


def brightness(visit: Visit, script: str) -> float:
    red, green, blue = visit.page.evaluate(f"({script}).match(/[\\d.]+/g).slice(0, 3).map(Number)")
    return (red + green + blue) / 765


def test_dark_follows_the_system_and_the_button(visit: Visit) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    ink = "getComputedStyle(document.querySelector('#chart-memory .xtick text')).fill"
    assert brightness(visit, ground) > 0.9 > 0.4 > brightness(visit, ink)
    visit.page.emulate_media(color_scheme="dark")
    visit.page.wait_for_function("document.documentElement.classList.contains('dark')")
    assert brightness(visit, ground) < 0.2 < 0.7 < brightness(visit, ink)
    visit.page.locator("#theme").focus()
    visit.page.keyboard.press("Enter")
    assert brightness(visit, ground) > 0.9 > 0.4 > brightness(visit, ink)
    visit.page.emulate_media(color_scheme="light")


@pytest.mark.parametrize("width", [380, 768])
def test_a_narrow_window_scrolls_down_only(visit: Visit, width: int) -> None:
    drawn = "document.querySelector('#chart-memory svg').clientWidth"
    visit.page.set_viewport_size({"width": width, "height": 800})
    # the pictures are drawn anew one after the other
    visit.page.wait_for_function(
        f"{drawn} <= {width} && document.documentElement.scrollWidth <= {width}"
    )
    visit.page.set_viewport_size({"width": 1280, "height": 900})
    visit.page.wait_for_function(f"{drawn} > {width}")
