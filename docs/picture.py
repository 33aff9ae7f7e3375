"""Draw docs/summary.svg from a publication: `python docs/picture.py DATA_DIR`."""

import io
import re
import sys
from pathlib import Path

import duckdb
from rich.console import Console
from rich.terminal_theme import MONOKAI

from dagster_project.lib.summary import summarise


def main() -> None:
    """Print the summary of the publication into a recording console and save it as a picture."""
    published = Path(sys.argv[1]) / "published" / "marts.duckdb"
    console = Console(record=True, width=104, file=io.StringIO())
    with duckdb.connect(str(published), read_only=True) as marts:
        console.print(summarise(marts))
    svg = console.export_svg(title="feedback run", theme=MONOKAI)
    # no fonts from elsewhere: whoever looks at the picture asks nobody
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S)
    svg = svg.replace("Fira Code", "DejaVu Sans Mono")
    (Path(__file__).parent / "summary.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
