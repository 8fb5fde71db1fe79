"""What the README shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def test_the_first_example_runs_as_it_stands() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    exec(compile(code, str(README), "exec"), {})


def test_what_else_it_shows_is_python() -> None:
    blocks = re.findall(r"```py\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) >= 3
    for block in blocks:
        # What is left out is told by an ellipsis; `await` stands outside of functions as in a notebook.
        code = block.replace("…", "...")
        indented = "".join(f"    {line}\n" if line else "\n" for line in code.split("\n"))
        compile(f"async def shown():\n{indented}", str(README), "exec")
