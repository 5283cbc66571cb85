"""Compare the results of two revisions, and judge whether the difference is more than chance.

    python -m review [BASE] [HEAD]

Prints the report as Markdown, and writes it with its pictures into a folder, as report.md and as report.html. Revisions
are branches, tags, commits, DVC experiments, or `workspace`, the files of the working tree. Only git is read: no data,
no cache, no remote.
"""

import sys
from pathlib import Path

from classifier import artifacts, figures
from classifier.errors import UserError
from project import cli, paths
from project.repository import WORKSPACE, open_repo
from review.caveats import caveats
from review.page import page
from review.report import Differences, report
from review.revisions import Revision, read, same_test_set
from review.significance import Comparison, compare

TEXT = "report.md"


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("base", nargs="?", default="main", metavar="BASE", help="compare with this; default main")
    parser.add_argument("head", nargs="?", default=WORKSPACE, metavar="HEAD", help=f"default {WORKSPACE}")
    parser.add_argument("--output", type=Path, default=paths.REPORT, metavar="FOLDER", help=f"default {paths.REPORT}")
    options = parser.parse_args()
    if options.output.exists() and not (options.output / TEXT).exists():
        raise UserError(f"{options.output} holds no earlier report to replace; name another folder")

    with open_repo() as repo:
        before, after = read(repo, options.base), read(repo, options.head)
        params = _flatten(repo.params.diff(options.base, options.head))
        metrics = _flatten(repo.metrics.diff(options.base, options.head))
        comparison = compare_revisions(before, after)
        notes = caveats(before, after, comparison)
        text, pictures = report(before, after, comparison, params, metrics, notes)

    with artifacts.replacing(options.output) as folder:
        folder.mkdir()
        (folder / TEXT).write_text(text, encoding="utf-8", newline="\n")
        (folder / "report.html").write_text(page(text), encoding="utf-8", newline="\n")
        for name, figure in pictures.items():
            figures.write(folder / f"{name}.png", figure)
    print(text, end="")
    print(f"With pictures: {options.output}/report.html", file=sys.stderr)


def compare_revisions(before: Revision, after: Revision) -> Comparison | None:
    """Compare the predictions on the test set; None if the revisions have different test sets.

    Raises:
        UserError: their class lists differ.
    """
    if before.classes != after.classes:
        lists = "; ".join(", ".join(revision.classes) for revision in (before, after))
        raise UserError(f"{before.label} and {after.label} have different classes and cannot be compared: {lists}")
    if not same_test_set(before, after):
        return None
    return compare(before.predictions, after.predictions, before.classes)


def _flatten(difference: dict[str, dict[str, Differences]]) -> Differences:
    """The differences that DVC found in all files, by key."""
    return {key: change for changes in difference.get("diff", {}).values() for key, change in changes.items()}


if __name__ == "__main__":
    with cli.one_line_errors("review"):
        main()
