"""Post a report as a comment on the open pull request of a branch. A later report replaces the comment.

    GITHUB_REPOSITORY=owner/name GITHUB_TOKEN=… python -m review.comment OWNER:BRANCH report/report.md

A comment cannot contain the pictures; --pictures gives the address of the page that has them. If there is no report,
the comment says so, and an earlier verdict does not stay. The report of another commit than the pull request's last one
(--commit) is not posted. Only the standard library is needed: the job whose token may write installs nothing.
"""

import argparse
import json
import os
import re
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

MARKER = "<!-- the review of the results -->"
AUTHOR = "github-actions[bot]"  # only this author's comment is replaced
PICTURE = re.compile(r"^!\[.*\n\n?", re.MULTILINE)
LONGEST = 60_000  # characters; GitHub takes 65,536
CUT = "\n\nThe report is longer than a comment can be; the artifact has all of it."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("branch", metavar="OWNER:BRANCH")
    parser.add_argument("report", type=Path, metavar="REPORT")
    parser.add_argument("--commit", metavar="SHA", help="the commit of the report")
    parser.add_argument("--pictures", metavar="URL", default="")
    parser.add_argument("--author", metavar="LOGIN", default=AUTHOR, help=f"who comments; default {AUTHOR}")
    options = parser.parse_args()
    for name in ("GITHUB_REPOSITORY", "GITHUB_TOKEN"):
        if name not in os.environ:
            sys.exit(f"error: review.comment: set {name}")

    repository = f"/repos/{os.environ['GITHUB_REPOSITORY']}"
    pulls = api("GET", f"{repository}/pulls?state=open&head={urllib.parse.quote(options.branch)}")
    if not pulls:
        sys.exit(f"error: review.comment: {options.branch} has no open pull request")
    if options.commit not in (None, pulls[0]["head"]["sha"]):
        print(f"{options.commit} is not the last commit of {options.branch}: its report is not posted")
        return
    comments = f"{repository}/issues/{pulls[0]['number']}/comments"
    if options.report.is_file():
        text = comment(options.report.read_text(encoding="utf-8", errors="replace"), options.pictures)
    else:
        text = f"{MARKER}\n**There is no report** of the last commit: {options.pictures or 'the review failed'}\n"
    earlier = find(comments, options.author)
    if earlier is None:
        api("POST", comments, {"body": text})
    else:
        api("PATCH", f"{repository}/issues/comments/{earlier}", {"body": text})


def comment(report: str, pictures: str) -> str:
    """The report's text up to its pictures, below a marker that distinguishes it from other comments."""
    text = PICTURE.sub("", report.partition("\n## Pictures\n")[0])
    if len(text) > LONGEST:
        text = text[:LONGEST].rpartition("\n")[0] + CUT
    link = f" [Its pictures are in the artifact of the run.]({pictures})" if pictures else ""
    return f"{MARKER}\nThis report was made by the code of the pull request.{link}\n\n{text}\n"


def find(comments: str, author: str) -> int | None:
    """The number of the author's comment that carries the marker."""
    page = 1
    while found := api("GET", f"{comments}?per_page=100&page={page}"):
        for entry in found:
            if (entry["user"] or {}).get("login") == author and entry["body"].startswith(MARKER):
                return int(entry["id"])
        page += 1
    return None


def api(method: str, path: str, body: dict[str, str] | None = None) -> Any:
    """Call GitHub's REST API and return its answer."""
    request = urllib.request.Request(
        os.environ.get("GITHUB_API_URL", "https://api.github.com") + path,
        method=method,
        data=json.dumps(body).encode() if body else None,
        headers={"Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}", "Accept": "application/vnd.github+json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"error: review.comment: {error}")
