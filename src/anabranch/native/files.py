"""Local files of one directory, and entries of them, without a Python object for each.

`Files.in_directory(descriptor)` reads an open directory: regular files and directories in the
order of the paths below them, a directory's name with a slash at its end. Other kinds are left out;
`link` and `misnamed` are the first names of a symbolic link and of what is not UTF-8. Raises
OSError. `Files(names, sizes, mtimes)` are given ones: names in byte order, times in microseconds.

`rows(start, stop, prefix, base, content_type)` makes entries of a run of files: at prefix + name,
of the URI base + name, with the checksum that docs/protocol.md 3.6 gives. Both release the
interpreter. What is handed in wrong raises ValueError.
"""

from anabranch._native import Files

__all__ = ["Files"]
