#!/usr/bin/env python3
"""Writes mmproj-smolvlm.gguf beside this file: the images' part of test/data/families/smolvlm, as llama.cpp converts it.

  pip install torch transformers gguf && LLAMA_CPP=../llama.cpp python3 make_projector.py
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

here = pathlib.Path(__file__).parent
settings = {
    "image_processor_type": "Idefics3ImageProcessor",
    "size": {"longest_edge": 40},
    "max_image_size": {"longest_edge": 24},
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}
with tempfile.TemporaryDirectory() as temporary:
    folder = pathlib.Path(temporary) / "smolvlm"
    shutil.copytree(here / "../data/families/smolvlm", folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    convert = pathlib.Path(os.environ["LLAMA_CPP"]) / "convert_hf_to_gguf.py"
    out = here / "mmproj-smolvlm.gguf"
    subprocess.run([sys.executable, convert, "--mmproj", "--outtype", "f16", "--outfile", out, folder], check=True)
