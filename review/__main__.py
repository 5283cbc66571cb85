"""Compare the results of two revisions, and judge whether the difference is more than chance.

    python -m review [BASE] [HEAD]

Prints the report as Markdown, and writes it with its pictures into a folder, as report.md and as report.html. Revisions
are branches, tags, commits, DVC experiments, or `workspace`, the files of the working tree. Only git is read: no data,
no cache, no remote.
"""

import sys
from pathlib import Path

from classifier import artifacts, figures
from project import cli, paths, seeds
from project.repository import WORKSPACE
from review.caveats import caveats
from review.comparison import compare_revisions
from review.page import page
from review.report import PICTURES, report
from review.revisions import read

TEXT, PAGE = "report.md", "report.html"


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("base", nargs="?", default="main", metavar="BASE", help="compare with this; default main")
    parser.add_argument("head", nargs="?", default=WORKSPACE, metavar="HEAD", help=f"default {WORKSPACE}")
    parser.add_argument("--output", type=Path, default=paths.REPORT, metavar="FOLDER", help=f"default {paths.REPORT}")
    options = parser.parse_args()
    cli.check_replaceable(options.output, (TEXT, PAGE, *(f"{name}.png" for name in PICTURES)), "an earlier report")

    before, after = read(options.base), read(options.head)
    comparison = compare_revisions(before, after, seeds.read_all(paths.SEEDS)[0])
    text, pictures = report(before, after, comparison, caveats(before, after, comparison))

    with artifacts.replacing(options.output) as folder:
        folder.mkdir()
        (folder / TEXT).write_text(text, encoding="utf-8", newline="\n")
        (folder / PAGE).write_text(page(text), encoding="utf-8", newline="\n")
        for name, figure in pictures.items():
            figures.write(folder / f"{name}.png", figure)
    print(text, end="")
    print(f"With pictures: {options.output / PAGE}", file=sys.stderr)


if __name__ == "__main__":
    with cli.one_line_errors("review"):
        main()
