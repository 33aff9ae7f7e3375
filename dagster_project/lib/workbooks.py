"""XLSX workbooks, read in a child process that no hostile file can get out of.

A workbook of a few KB can ask for terabytes, or make the parser panic or abort. The child
(`workbook_worker`) has a bound on memory and on time; when it falls, the file is refused and the
next file gets a new child. Only the columns asked for cross the pipe, and nothing touches the disk.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import IO, Any, Self

import pyarrow as pa

from dagster_project.lib import workbook_worker
from dagster_project.lib.cells import Cell
from dagster_project.lib.errors import FileRefusedError
from dagster_project.lib.workbook_worker import FRAME, schema

_PACKAGE_ROOT = Path(__file__).parents[2]
_LIGHTER = "export a shorter period, or save it as CSV"
_FROM_JSON: dict[str, Callable[[Any], Cell]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda seconds: timedelta(seconds=seconds),
}


@dataclass(frozen=True)
class Sheet:
    """A sheet's name and its first 20 rows, the cells as calamine gives them (blank: "")."""

    name: str
    head: list[list[Cell]]


class WorkbookReader:
    """Reads one workbook after another, with one child that starts when the first is asked for.

    `memory_mib` bounds what the child takes beyond its start. `seconds` bounds the wait for each
    portion of an answer; by default 6 s and 2 s per MB of file, ten times what a good file
    needs. Not for use by several threads.
    """

    def __init__(self, memory_mib: int = 1024, seconds: float | None = None) -> None:
        self._memory_mib = memory_mib
        self._seconds = seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._is_answering = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child; the next use starts another."""
        child, self._child = self._child, None
        self._is_answering = False
        if child is not None:
            child.kill()
            with contextlib.suppress(BrokenPipeError), child:
                pass

    def sheets(self, path: Path) -> list[Sheet]:
        """The worksheets, hidden ones too, in the workbook's order. Raises FileRefusedError."""
        (answer,) = self._ask(path)
        return [Sheet(name, head) for name, head in answer]

    def rows(
        self, path: Path, sheet: str, positions: Sequence[int], width: int, first_row: int
    ) -> Iterator[pa.RecordBatch]:
        """The sheet's rows from `first_row` (1-based) on, as text, in batches of 20,000.

        Columns: `_row_number` int64 (as a spreadsheet shows it), `_problem` string (null,
        `too_many_cells` when a cell stands at or beyond `width`, `too_few_cells`) and `c<i>`
        string for every i in `positions`, which count from the used range's first column, as the
        cells of `Sheet.head` do. Raises FileRefusedError, at any batch.
        """
        request = {
            "sheet": sheet,
            "positions": list(positions),
            "width": width,
            "first_row": first_row,
        }
        columns = schema(positions)
        for content in self._ask(path, **request):
            yield pa.ipc.read_record_batch(pa.py_buffer(content), columns)

    def _ask(self, path: Path, **request: object) -> Iterator[Any]:
        """The answer's portions: record batches as bytes, or the list of sheets."""
        seconds = self._seconds or 6 + 2e-6 * path.stat().st_size
        if self._is_answering:  # a reader of rows left off midway
            self.close()
        if self._child is None:
            self._child = self._start()
        child = self._child
        self._is_answering = True
        line = json.dumps({"path": str(path.absolute()), "seconds": seconds, **request})
        with contextlib.suppress(BrokenPipeError):  # the lack of an answer tells
            _pipe(child.stdin).write(line.encode() + b"\n")
            _pipe(child.stdin).flush()
        while isinstance(frame := _frame(child), bytes):
            yield frame
        if frame is None:
            code = child.wait()
            self.close()
            raise FileRefusedError(self._why_it_ended(code, seconds))
        self._is_answering = False
        kind, *content = frame
        if kind == "refused":
            raise FileRefusedError(*content)
        yield from content

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", workbook_worker.__name__, str(self._memory_mib)]
        child = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # panics may quote cells
            cwd=_PACKAGE_ROOT,
        )
        if _frame(child) != ["ready"]:
            child.kill()
            with child:
                raise RuntimeError(f"a child process does not start: {' '.join(command)}")
        return child

    def _why_it_ended(self, code: int, seconds: float) -> str:
        if code == -signal.SIGALRM:
            return f"takes more than {seconds:.0f} s to read; {_LIGHTER}"
        if code in (-signal.SIGABRT, -signal.SIGKILL):  # its own bound, or the system's
            return f"needs more than {self._memory_mib:,} MiB to read; {_LIGHTER}"
        return "is no readable XLSX workbook (it breaks the reader); export it again"


def _frame(child: subprocess.Popen[bytes]) -> bytes | list[Any] | None:
    """The next frame: a record batch, a JSON list, or None when the child has ended."""
    head = _pipe(child.stdout).read(FRAME.size)
    if len(head) < FRAME.size:
        return None
    is_json, length = FRAME.unpack(head)
    content = _pipe(child.stdout).read(length)
    if len(content) < length:
        return None
    return list(json.loads(content, object_hook=_untagged)) if is_json else content


def _untagged(cell: dict[str, Any]) -> Cell:
    ((kind, value),) = cell.items()
    return _FROM_JSON[kind](value)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # noqa: S101 (Popen was told to make it)
    return pipe
