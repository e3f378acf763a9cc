"""Replace a file in one step: a reader sees the old content or the new one, and a failure leaves the old one alone."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import uuid
from collections.abc import Iterator

__all__ = ["replace_file", "replacing"]


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], *, durable: bool = True) -> Iterator[str]:
    """Yield the path to write a file's new content to; when the block ends well, the file has it.

    The content is written under the file's own name, in a hidden folder beside it, which goes whatever happens. A new file
    has the permissions that the umask gives; an old one keeps its permissions and, where that is allowed, its owner. A link
    goes on pointing to the file, which is replaced where it is.

    Args:
        path: the file, in a folder that exists.
        durable: whether the new content is on the disk before the old one is given up; without it a machine that
            loses power in the next seconds may have neither, which is well for what can be made again.

    Raises:
        OSError: the file cannot be written, or the path is that of something else: a folder, a device, a pipe.
    """
    target = os.path.realpath(path)
    old = _status(target)
    folder, name = os.path.split(target)
    beside = os.path.join(folder, f".remotemod-{uuid.uuid4().hex[:12]}.tmp")
    content = os.path.join(beside, name)
    try:
        try:
            os.mkdir(beside, 0o700)
        except FileNotFoundError:
            why = f"there is no folder to write {name} into"
            raise FileNotFoundError(errno.ENOENT, why, folder) from None
        except OSError as error:
            raise OSError(error.errno, error.strerror, target) from None
        yield content
        if old is not None:
            _take_over(content, old)
        if durable:
            _flush(content, os.O_RDONLY)
        os.replace(content, target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    if durable:
        with contextlib.suppress(OSError):  # not every file system can
            _flush(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))


def replace_file(
    path: str | os.PathLike[str], data: bytes | memoryview, *, durable: bool = True
) -> None:
    """Replace a file's content by ``data``; see :func:`replacing`."""
    with replacing(path, durable=durable) as content, open(content, "wb") as file:
        file.write(data)


def _status(path: str) -> os.stat_result | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "this is a folder; give the name of a file", path)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "this is no regular file, and cannot be replaced", path)
    return found


def _take_over(content: str, old: os.stat_result) -> None:
    new = os.stat(content)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid) and hasattr(os, "chown"):
        with contextlib.suppress(PermissionError):
            os.chown(content, old.st_uid, old.st_gid)
    os.chmod(content, stat.S_IMODE(old.st_mode))


def _flush(path: str, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
