"""The child process of `workbooks`: reads XLSX with calamine, under limits of memory and time.

A request is a line of JSON on stdin: path, seconds, and for rows also sheet, positions, width and
first_row. The answer is frames on stdout (`FRAME`, then the content): Arrow record batches, and at
last a JSON list `["sheets", [[name, head], ...]]`, `["end"]` or `["refused", why]`. The process
ends with its stdin; by SIGALRM when a frame takes longer than `seconds`, by SIGABRT when memory
runs out, as a Rust allocation does too; and with an error code when calamine panics. It imports
little, so that it starts in 0.2 s, and writes nothing but stdout: cells are personal data.
"""

from __future__ import annotations

import array
import contextlib
import gc
import json
import os
import resource
import signal
import struct
import sys
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, time, timedelta
from itertools import accumulate, count, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from python_calamine import CalamineSheet, CalamineWorkbook, PasswordError, SheetTypeEnum

from dagster_project.lib.cells import as_text, row_problem

HEADER_SEARCH_ROWS = 20
FRAME = struct.Struct("<?Q")  # whether the content is JSON; its length in bytes
_BATCH_ROWS = 20_000
_CHUNK_ROWS = 1_000  # that are Python objects at a time; more would outgrow the caches
_MAX_ROWS, _MAX_COLUMNS = 1 << 20, 1 << 14  # of a spreadsheet
_MAX_CELL_BYTES = 1 << 20  # a spreadsheet allows 32,767 characters
_MAX_UNPACKED_GIB = 2


class _RefusedError(Exception):
    """Why the workbook cannot be read, as the end of a sentence that begins with its name."""


class _Workbook:
    """An open workbook that keeps its largest sheet parsed, as that is the one to be asked for."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._largest: CalamineSheet | None = None
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > _MAX_UNPACKED_GIB << 30:
                raise _RefusedError(
                    f"unpacks to more than {_MAX_UNPACKED_GIB} GiB; export a shorter period"
                )
        self._book = CalamineWorkbook.from_path(path)

    def heads(self) -> list[tuple[str, list[list[Any]]]]:
        names = [m.name for m in self._book.sheets_metadata if m.typ == SheetTypeEnum.WorkSheet]
        heads = []
        for name in names:
            head = list(islice(self.sheet(name).iter_rows(), HEADER_SEARCH_ROWS))
            for row in head:
                _refuse_large(max((len(c.encode()) for c in row if isinstance(c, str)), default=0))
            heads.append((name, head))
        return heads

    def sheet(self, name: str) -> CalamineSheet:
        if self._largest is not None and self._largest.name == name:
            return self._largest
        sheet = self._book.get_sheet_by_name(name)
        if sheet.end and (sheet.end[0] >= _MAX_ROWS or sheet.end[1] >= _MAX_COLUMNS):
            raise _RefusedError(
                "has a cell beyond a spreadsheet's last row or column; export it again"
            )
        if self._largest is None or sheet.height * sheet.width > (
            self._largest.height * self._largest.width
        ):
            self._largest = sheet
        return sheet

    def batches(
        self, sheet: str, positions: list[int], width: int, first_row: int
    ) -> Iterator[pa.RecordBatch]:
        rows = islice(self.sheet(sheet).iter_rows(), first_row - 1, None)  # counted from row 1
        numbers = count(first_row, _CHUNK_ROWS)
        chunks = iter(lambda: list(islice(rows, _CHUNK_ROWS)), [])
        batches = (
            _record_batch(chunk, number, positions, width)
            for number, chunk in zip(numbers, chunks, strict=False)
        )
        while parts := list(islice(batches, _BATCH_ROWS // _CHUNK_ROWS)):
            yield pa.concat_batches(parts)


def schema(positions: Sequence[int]) -> pa.Schema:
    """The columns of a batch: `_row_number`, `_problem` and `c<i>` for every position."""
    texts = ["_problem", *(f"c{i}" for i in positions)]
    return pa.schema([("_row_number", pa.int64()), *((name, pa.string()) for name in texts)])


def _record_batch(
    rows: list[list[Any]], start: int, positions: list[int], width: int
) -> pa.RecordBatch:
    """The rows as text; calamine makes them all as long as the used range is wide."""
    length, needed = len(rows[0]), max(positions, default=-1) + 1
    blanks = pa.nulls(len(rows), pa.string())
    problems = blanks
    if not needed <= length <= width:
        builder = pa.lib.StringBuilder()  # pa.array() would import pandas first
        builder.append_values([row_problem(row, needed, width) for row in rows])
        problems = builder.finish()
    numbers = pa.py_buffer(array.array("q", range(start, start + len(rows))))
    columns = [_strings([row[i] for row in rows]) if i < length else blanks for i in positions]
    return pa.RecordBatch.from_arrays(
        [pa.Array.from_buffers(pa.int64(), len(rows), [None, numbers]), problems, *columns],
        schema=schema(positions),
    )


def _strings(cells: list[Any]) -> pa.StringArray:
    """The cells as text; faster than cell by cell, which pa.array() goes."""
    try:
        joined = "".join(cells)
    except TypeError:  # numbers or dates among them
        cells = [cell if type(cell) is str else as_text(cell) for cell in cells]
        joined = "".join(cells)
    content = joined.encode()
    if len(content) > len(joined):
        cells = [cell.encode() for cell in cells]
    lengths = array.array("i", map(len, cells))
    if len(content) > _MAX_CELL_BYTES:
        _refuse_large(max(lengths))
    offsets = pa.py_buffer(array.array("i", accumulate(lengths, initial=0)))
    return pa.StringArray.from_buffers(len(cells), offsets, pa.py_buffer(content))


def _refuse_large(cell_bytes: int) -> None:
    if cell_bytes > _MAX_CELL_BYTES:
        raise _RefusedError("has a cell of more than 1 MiB of text; export it again")


class _Worker:
    """Answers requests, one workbook at a time."""

    def __init__(self) -> None:
        self._book: _Workbook | None = None

    def answer(self, request: dict[str, Any]) -> Iterator[bytes | list[Any]]:
        """Record batches as bytes, and a list at the end."""
        path = request.pop("path")
        try:
            if not (self._book and self._book.path == path and request):
                self._book = None  # frees its memory before the next one takes any
                self._book = _Workbook(path)
            if not request:
                yield ["sheets", self._book.heads()]
                return
            for batch in self._book.batches(**request):
                yield batch.serialize()
            yield ["end"]
        except MemoryError:
            os.abort()
        except _RefusedError as error:
            yield ["refused", str(error)]
        except PasswordError:
            yield ["refused", "is locked with a password; save it without one"]
        except Exception as error:  # calamine's share no base class; their texts may quote cells
            reason = type(error).__name__
            yield ["refused", f"is no readable XLSX workbook ({reason}); export it again"]


def _limit(memory_mib: int) -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)  # meant for the parent, which ends this process
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    gc.disable()  # rows are many lists and none of them is in a cycle
    pa.set_memory_pool(pa.system_memory_pool())  # others reserve more than they use
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    mapped = 0
    with contextlib.suppress(FileNotFoundError):  # Linux only, as is the limit's effect
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    bound = mapped + (memory_mib << 20)
    resource.setrlimit(resource.RLIMIT_AS, (bound, bound))


def _send(frame: bytes | list[Any]) -> None:
    is_json = isinstance(frame, list)
    content: Any = json.dumps(frame, default=_tagged).encode() if is_json else frame
    sys.stdout.buffer.write(FRAME.pack(is_json, len(content)))
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def _tagged(cell: date | time | timedelta) -> dict[str, Any]:
    value = cell.total_seconds() if isinstance(cell, timedelta) else cell.isoformat()
    return {type(cell).__name__: value}


def main() -> None:
    """Serve until stdin ends; the one argument is the memory bound in MiB."""
    _limit(int(sys.argv[1]))
    worker = _Worker()
    _send(["ready"])
    for line in sys.stdin:
        request = json.loads(line)
        seconds = request.pop("seconds")
        signal.setitimer(signal.ITIMER_REAL, seconds)
        for frame in worker.answer(request):
            signal.setitimer(signal.ITIMER_REAL, 0)  # the parent may take its time
            _send(frame)
            signal.setitimer(signal.ITIMER_REAL, seconds)
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    main()
