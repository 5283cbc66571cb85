"""A report as an HTML page."""

from markdown_it import MarkdownIt

TEMPLATE = """<!DOCTYPE html>
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


def page(text: str) -> str:
    """The page of a Markdown text. HTML in the text is shown as text."""
    return TEMPLATE.format(body=MarkdownIt("commonmark", {"html": False}).enable("table").render(text))
