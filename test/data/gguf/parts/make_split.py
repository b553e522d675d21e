"""Writes qwen3.TQ1_0.gguf of ../types in three parts, by the writer of the package gguf. The first part has no tensors."""
import argparse
import pathlib

import gguf

argparse.ArgumentParser(description=__doc__).parse_args()

here = pathlib.Path(__file__).parent
reader = gguf.GGUFReader(here.parent / "types" / "qwen3.TQ1_0.gguf")
architecture = bytes(reader.fields["general.architecture"].parts[-1]).decode()
tensors = len(reader.tensors)
writer = gguf.GGUFWriter(here / "qwen3", architecture, split_max_tensors=(tensors + 1) // 2, small_first_shard=True)
for name, field in reader.fields.items():
    if name.startswith("GGUF.") or name == "general.architecture":
        continue
    kind = field.types[0]
    sub = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
    writer.add_key_value(name, field.contents(), kind, sub_type=sub)
for tensor in reader.tensors:
    writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
