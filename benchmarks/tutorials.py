"""Execute the tutorials, and write what they print and draw back into them.

```
make tutorials                                            # all
python -m benchmarks.tutorials docs/tutorials/table.ipynb  # some
```

A notebook is its own and only source: edit it in Jupyter or as text (``jupytext --sync``), then run
this. One thread, so that the same numbers come on the same machine. What changes from run to run is
not kept: times of execution, versions of the kernel. Anything on standard error ends the run, since
no page should show a warning.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "file_extension": ".py", "pygments_lexer": "ipython3"},
}

OF_OTHERS = ("DeprecationWarning: Call to deprecated function update (removal in version 0.7",)
"""What a package says of itself, and no filter silences: Avalanche, of its own replay."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path, default=sorted(TUTORIALS.glob("*.ipynb")))
    for path in parser.parse_args().notebooks:
        started = time.monotonic()
        notebook = nbformat.read(path, as_version=4)
        run(notebook)
        clean(notebook)
        nbformat.write(notebook, path)
        print(f"{path.name}: {time.monotonic() - started:.0f} s, {path.stat().st_size / 1000:.0f} kB")


def run(notebook: nbformat.NotebookNode) -> None:
    """Run all cells in an empty folder, where they may write."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(
            OMP_NUM_THREADS="1",
            TQDM_DISABLE="1",
            # Said where a notebook has no widgets, and by a package that Avalanche imports.
            PYTHONWARNINGS="ignore:IProgress not found,ignore:no QP solver found",
            DDCORE_CACHE=f"{folder}/.cache",
            DDAPPS_LEDGERS=f"{folder}/.ledgers",
        )
        place = {"metadata": {"path": folder}}
        NotebookClient(
            notebook, kernel_name="python3", timeout=1200, startup_timeout=300, coalesce_streams=True, resources=place
        ).execute()


def clean(notebook: nbformat.NotebookNode) -> None:
    """Keep what a reader sees.

    A cell's ``alt`` describes its picture; it goes where pages take it from.
    """
    notebook.metadata = nbformat.from_dict(KERNEL)
    for cell in notebook.cells:
        alt = cell.metadata.get("alt")
        cell.metadata = nbformat.from_dict({} if alt is None else {"alt": alt})
        if "outputs" in cell:
            cell.outputs = [o for o in cell.outputs if not any(said in o.get("text", "") for said in OF_OTHERS)]
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                raise SystemExit(f"this cell writes to standard error:\n{cell.source}\n\n{output.text}")
            if "image/png" in output.get("data", {}):
                output.metadata = nbformat.from_dict({"image/png": {"alt": alt or ""}})


if __name__ == "__main__":
    main()
