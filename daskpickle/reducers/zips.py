"""Zip archives: an archive travels with its file, a member as its archive and its position.

Notes
-----
- Travels: the list of members as it was read; the file, by the rules for files; so does an archive
  that is written to memory. A member is opened in it at its first use.
- Lost: nothing.
- Refused: an archive that is written to a file, or to which a member is being written; one that
  holds a password; a member that is read by a password, or whose archive is closed.
"""

from __future__ import annotations

import threading
import zipfile
from typing import Any

from daskpickle import Recipe, register
from daskpickle.errors import RefusedError
from daskpickle.handles import add_state

#: What `zipfile.Path` makes of an archive; since Python 3.12 they would open it while loading.
LOOKUPS: Any = (zipfile.CompleteDirs, *zipfile.CompleteDirs.__subclasses__())
PASSWORD = "Pass the password to read() or open() inside the task."


def reduce_archive(archive: Any) -> Any:
    """Say what it is, and how it stands."""
    if archive.pwd:
        raise RefusedError(archive, "It holds a password.", PASSWORD)
    if getattr(archive, "_writing", False):
        raise RefusedError(
            archive, "It has a member that is being written.", "Close that one first."
        )
    state = {name: value for name, value in vars(archive).items() if name != "_lock"}
    if "_fileRefCnt" in state:
        state["_fileRefCnt"] = 1  # members that are open count themselves where they arrive
    return rebuild_archive, (type(archive),), state, None, None, add_state


def rebuild_archive(cls: Any) -> Any:
    """Make an archive that opens nothing; its state comes next."""
    archive = cls.__new__(cls)
    add_state(archive, {"_lock": threading.RLock()})
    return archive


for _cls in (zipfile.ZipFile, *LOOKUPS):
    register(
        _cls, reduce_archive, subclasses=True, hint="Open the archive inside the task.",
        travels="its list of members; its file, by the rules for files", lost="nothing",
        refused="written to a file, holds a password",
    )  # fmt: skip


@register(
    zipfile.ZipExtFile, scope="fresh", hint="Open the member inside the task.",
    travels="its archive and its position", lost="that closing it closes the archive",
    refused="read by a password, closed",
)  # fmt: skip
def reduce_member(member: Any) -> Any:
    """Say which member of which archive it reads, and where it is."""
    if member.closed:
        raise RefusedError(member, "It is closed.")
    if member._decrypter is not None:
        raise RefusedError(member, "It is read by a password.", PASSWORD)
    archive = getattr(getattr(member._fileobj, "_close", None), "__self__", None)
    if not isinstance(archive, zipfile.ZipFile) or archive.fp is None or not member.seekable():
        raise RefusedError(member, "Its archive is closed, or not one that can be read again.")
    infos = [info for info in archive.filelist if info.filename == member.name]
    before = [i for i in infos if i.header_offset < member._orig_compress_start]
    info = max(before, key=lambda info: info.header_offset)
    return Recipe(open_member, archive, info, member.tell())


def open_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, position: int) -> Any:
    """Open the member, and read up to the position."""
    member = archive.open(info)
    member.seek(position)
    return member
