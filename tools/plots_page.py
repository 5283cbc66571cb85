"""Write the page template of `dvc plots show` and `dvc plots diff` with Vega included, so that it works offline.

DVC's own template loads Vega from a content delivery network and stays blank without a network. Run `make plots-page`
after an update of vl-convert-python, which contains the scripts.
"""

import vl_convert

from classifier import artifacts
from project import cli, paths

VEGA_LITE = "5.20"  # the newest that reads DVC's templates, which are written for version 5

TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>DVC plots</title>
<style>
body {{ font-family: sans-serif; margin: 1.5em; }}
img {{ max-width: 46vw; }}
</style>
<script>{scripts}</script>
</head>
<body>
{{plot_divs}}
</body>
</html>
"""


def page() -> str:
    """The template's text, with DVC's placeholder {plot_divs} for the plots."""
    scripts = vl_convert.javascript_bundle(vl_version=VEGA_LITE)  # type: ignore[call-arg]  # the stub asks for a snippet
    return TEMPLATE.format(scripts=scripts.replace("</script", "<\\/script"))


def main() -> None:
    cli.parser(__doc__).parse_args()
    with artifacts.replacing(paths.PLOTS_PAGE) as temporary:
        temporary.write_text(page(), encoding="utf-8", newline="\n")
    print(f"{paths.PLOTS_PAGE}: {paths.PLOTS_PAGE.stat().st_size:,} bytes")


if __name__ == "__main__":
    with cli.one_line_errors("tools.plots_page"):
        main()
