"""Writes rows.parquet, of three groups of rows, and packed.parquet, which only some readers unpack.

    python test/finetune/make_rows.py
"""

from pathlib import Path

import pyarrow
import pyarrow.parquet

FOLDER = Path(__file__).parent

table = pyarrow.table(
    {
        "sentence": ["good film", "bad", "ü “so”", None, "the last"],
        "label": pyarrow.array([1, 0, 1, 0, 1], pyarrow.int64()),
        "labels": [["a"], ["a", "b"], [], ["b"], ["c"]],
        "score": pyarrow.array([0.5, 1.25, -3, 0, 2], pyarrow.float32()),
    }
)
pyarrow.parquet.write_table(table, FOLDER / "rows.parquet", row_group_size=2)
pyarrow.parquet.write_table(table, FOLDER / "packed.parquet", compression="zstd")
