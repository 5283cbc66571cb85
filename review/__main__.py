"""Review what changed between two revisions: python -m review [BASE] [HEAD]

Prints the report as Markdown, and writes it to a folder with its pictures, as report.md and as report.html. Revisions
are branches, tags, commits, DVC experiments, or `workspace`, the files as they are. Only git is read: no data, no
cache, no remote.
"""

import argparse
import inspect
import sys
from pathlib import Path

from markdown_it import MarkdownIt

from classifier import artifacts, cli
from review.caveats import caveats
from review.report import Differences, report
from review.repository import WORKSPACE, opened
from review.revisions import Revision, read, same_test_set
from review.statistics import Comparison, compare

TEXT = "report.md"
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Review</title>
<style>
body {{ font-family: sans-serif; max-width: 60rem; margin: 2rem auto; line-height: 1.5; }}
table {{ border-collapse: collapse; }}
td, th {{ border-bottom: 1px solid #ccc; padding: 0.2rem 0.8rem 0.2rem 0; text-align: left; }}
img {{ max-width: 100%; display: block; margin: 1.5rem 0; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=inspect.getdoc(sys.modules["__main__"]))
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("base", nargs="?", default="main", metavar="BASE", help="compare with this; default main")
    parser.add_argument("head", nargs="?", default=WORKSPACE, metavar="HEAD", help=f"default {WORKSPACE}")
    parser.add_argument("--output", type=Path, default=Path("report"), metavar="FOLDER", help="default report")
    options = parser.parse_args()
    if options.output.exists() and not (options.output / TEXT).exists():
        raise cli.InputError(f"{options.output} holds no earlier report to replace; name another folder")

    with opened() as repo:
        before, after = read(repo, options.base), read(repo, options.head)
        params = _flat(repo.params.diff(options.base, options.head))
        metrics = _flat(repo.metrics.diff(options.base, options.head))
        comparison = compared(before, after)
        notes = caveats(before, after, comparison)
        text, pictures = report(before, after, comparison, params, metrics, notes)

    with artifacts.replacing(options.output) as folder:
        folder.mkdir()
        (folder / TEXT).write_text(text, encoding="utf-8", newline="\n")
        body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
        (folder / "report.html").write_text(PAGE.format(body=body), encoding="utf-8", newline="\n")
        for name, figure in pictures.items():
            artifacts.write_figure(folder / f"{name}.png", figure)
    print(text, end="")
    print(f"With pictures: {options.output}/report.html", file=sys.stderr)


def compared(before: Revision, after: Revision) -> Comparison | None:
    """The comparison on the test set; None if they were measured on different ones.

    Raises:
        InputError: their class lists differ.
    """
    if before.classes != after.classes:
        lists = "; ".join(", ".join(revision.classes) for revision in (before, after))
        raise cli.InputError(f"{before.label} and {after.label} have different classes and do not compare: {lists}")
    if not same_test_set(before, after):
        return None
    return compare(before.predictions, after.predictions, before.classes)


def _flat(difference: dict[str, dict[str, Differences]]) -> Differences:
    """What DVC says differs, in all files together."""
    return {key: change for changes in difference.get("diff", {}).values() for key, change in changes.items()}


if __name__ == "__main__":
    with cli.one_line_errors("review"):
        main()
