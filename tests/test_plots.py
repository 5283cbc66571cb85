"""The page that `dvc plots show` writes draws every chart in a real browser without network access."""

import shutil
from collections.abc import Callable

import pandas as pd
from playwright.sync_api import Page

from classifier.params import load_params
from project import paths
from tests.conftest import ROOT, Project
from tools import plots_page

CHARTS = 5  # loss, accuracy, two confusion matrices, scores per class
PICTURES = 5


def test_every_chart_is_drawn_without_network_access(new_project: Callable[[], Project], page: Page) -> None:
    project = new_project()
    for folder in ("metrics", "plots"):  # the committed results: plots need no cache
        shutil.copytree(ROOT / folder, project.folder / folder)
    project.dvc("plots", "show")
    requests: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((project.folder / "dvc_plots/index.html").as_uri())
    page.wait_for_function(f"document.querySelectorAll('svg.marks').length === {CHARTS}")

    assert errors == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    pictures = page.eval_on_selector_all("img", "all => all.map(image => [image.naturalWidth, image.src])")
    assert len({source for _, source in pictures}) == len(pictures) == PICTURES
    assert min(width for width, _ in pictures) > 500

    classes = load_params(ROOT / "params.yaml").dataset.classes
    texts = page.eval_on_selector_all("svg.marks", "all => all.map(svg => svg.textContent)")
    titles = ("Loss", "Accuracy", "Test set", "Training set", "Test set, by class")
    for title, text in zip(titles, texts, strict=True):
        assert title in text
    confusion = page.locator("svg.marks").nth(2)
    cells = confusion.locator(".mark-text.role-mark text").all_text_contents()
    assert len(cells) == len(classes) ** 2
    assert sum(int(cell.replace(",", "")) for cell in cells) == len(pd.read_csv(ROOT / paths.PREDICTIONS))
    labels = confusion.locator(".role-axis-label text").all_text_contents()
    assert [label for label in labels if label in classes] == classes * 2
    lines = page.locator("svg.marks").nth(0).locator(".mark-line path")
    assert lines.count() == 2
    bars = page.locator("svg.marks").nth(4).locator(".mark-rect.role-mark path")
    assert bars.count() == 2 * len(classes)


def test_the_committed_page_is_the_generated_one() -> None:
    assert (ROOT / paths.PLOTS_PAGE).read_text(encoding="utf-8") == plots_page.page()
