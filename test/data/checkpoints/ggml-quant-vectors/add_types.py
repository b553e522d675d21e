"""Adds types to vectors.json: the blocks that ggml makes of x, and the values that it gives back.

    python add_types.py PATH/libggml-base.so Q1_0 Q2_0

llama.cpp's build has libggml-base.so.
"""
import base64
import ctypes
import json
import struct
import sys
from pathlib import Path

BLOCKS = {'Q1_0': (128, 18), 'Q2_0': (64, 18)}  # values and bytes of a block

library = ctypes.CDLL(sys.argv[1])
path = Path(__file__).with_name('vectors.json')
vectors = json.loads(path.read_text())
x = base64.b64decode(vectors['x'])
for name in sys.argv[2:]:
    values, size = BLOCKS[name]
    count = len(x) // 4 // values * values
    floats = (ctypes.c_float * count)(*struct.unpack(f'<{count}f', x[: 4 * count]))
    blocks = (ctypes.c_uint8 * (count // values * size))()
    back = (ctypes.c_float * count)()
    lower = name.lower()
    getattr(library, f'quantize_row_{lower}_ref')(floats, blocks, ctypes.c_int64(count))
    getattr(library, f'dequantize_row_{lower}')(blocks, back, ctypes.c_int64(count))
    vectors['types'][name] = {
        'bytes_b64': base64.b64encode(bytes(blocks)).decode(),
        'dequant_b64_f32': base64.b64encode(struct.pack(f'<{count}f', *back)).decode(),
    }
path.write_text(json.dumps(vectors))
