"""Text files of loads as columns of text, by the native library. Other threads run meanwhile.

`CsvSplitter(columns, separator, delimiter, ...)` takes a file's bytes by `feed` and its end by
`finish`; both return the rows that are complete, as a batch of texts `f0`, `f1`, ... and the row
number `row` counted from `first_row`, and the lines that are no rows as (row number, columns or
None for what is not UTF-8, the line's first `bad_bytes_max` bytes), the first `bad_max` of them.
`bad_count` counts all of them, `next_row` is the number of the row to come.

`JsonCutter(is_array, value_bytes_max)` gives the text of each JSON value of a stream, or of each
element of its arrays. Both raise ValueError for input that has no such form.
"""

from anabranch._native import CsvSplitter, JsonCutter

__all__ = ["CsvSplitter", "JsonCutter"]
