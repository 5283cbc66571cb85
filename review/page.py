"""A report as an HTML page."""

from markdown_it import MarkdownIt

POLICY = "default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'"
TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
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


def page(text: str) -> str:
    """The page of a Markdown text. HTML in it is shown as text, and nothing is loaded but the report's pictures."""
    return TEMPLATE.format(policy=POLICY, body=MarkdownIt("commonmark", {"html": False}).enable("table").render(text))
