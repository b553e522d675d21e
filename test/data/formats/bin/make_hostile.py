#!/usr/bin/env python3
"""Writes the files of hostile/ again, byte by byte, and compares them with those in the repository.

  python3 make_hostile.py [--to FOLDER]

It needs Python 3.11 alone, and runs none of the pickles. The names are those of hostile/expected.json, which says for each file
whether it must be refused, and why. Most files are a sound file, ok-zip.bin or ok-legacy.bin, with one change. Without --to, the
files are only compared.
"""
import argparse
import io
import pathlib
import struct
import warnings
import zipfile

warnings.simplefilter("ignore")  # about two records with one name
HERE = pathlib.Path(__file__).parent / "hostile"
NUMBERS = struct.pack("<6f", 1, 2, 3, 4, 5, 6)
SHELL = "echo > should-not-exist"
PYTHON = "open('should-not-exist','w').write('x')"


# Pickles: each function returns the opcodes of a value.

def number(value):
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    size = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def glob(module, name):
    return f"c{module}\n{name}\n".encode()


def items(*values):
    return b"(" + b"".join(values) + b"t"


def numbers(values):
    return items(*(number(value) for value in values))


def call(module, name, *arguments):
    return glob(module, name) + items(*arguments) + b"R"


def storage(kind=glob("torch", "FloatStorage"), key="0", count=6, last=b""):
    return items(text("storage"), kind, text(key), text("cpu"), number(count), last) + b"Q"


def tensor(stored=storage(), offset=0, shape=(2, 3), stride=(3, 1)):
    sizes = shape if isinstance(shape, bytes) else numbers(shape)
    hooks = call("collections", "OrderedDict")
    return call("torch._utils", "_rebuild_tensor_v2", stored, number(offset), sizes, numbers(stride), b"\x89", hooks)


def dictionary(**values):
    return b"}(" + b"".join(text(key) + value for key, value in values.items()) + b"u"


def pickled(body, protocol=2, stop=b"."):
    return bytes([0x80, protocol]) + body + stop


def with_tensor(value):
    """A state dict with a sound tensor, and another value behind it."""
    return pickled(dictionary(w=tensor(), x=value))


# Files around pickles.

def zipped(*records, method=zipfile.ZIP_STORED):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as file:
        for name, data in records:
            file.writestr(zipfile.ZipInfo(f"archive/{name}"), data, method)
    return memory.getvalue()


def archive(content, data=NUMBERS, order=b"little", **options):
    """The zip format of torch.save. Without data, the archive has no storages."""
    stored = [] if data is None else [("data/0", data)]
    return zipped(("data.pkl", content), ("byteorder", order), *stored, ("version", b"3\n"), **options)


def legacy(content, keys=text("0"), count=6, data=NUMBERS, magic=0x1950A86A20F9469CFC6C, protocol=1001):
    """The format of torch.save before 1.6: four pickles, then the storages."""
    sizes = dictionary(short=number(2), int=number(4), long=number(4))
    system = dictionary(protocol_version=number(protocol), little_endian=b"\x88", type_sizes=sizes)
    head = b"".join(map(pickled, [number(magic), number(protocol), system]))
    stored = b"" if data is None else struct.pack("<q", count) + data
    return head + content + pickled(b"](" + keys + b"e") + stored


def changed(file, at, data):
    return file[:at] + data + file[at + len(data):]


SOUND = archive(pickled(dictionary(w=tensor())))
OLD = pickled(dictionary(w=tensor(storage(last=b"N"))))
DIRECTORY = SOUND.index(b"PK\x01\x02")
DATA_0 = SOUND.rindex(b"archive/data/0") - 46  # the entry of data/0 in the directory
END = len(SOUND) - 22  # the record at the end of the archive


def files():
    # Calls of functions that no state dict needs.
    evil = {"os-system": pickled(dictionary(w=call("posix", "system", text(SHELL))))}
    evil["eval"] = with_tensor(call("builtins", "eval", text(PYTHON)))
    for name, content in evil.items():
        yield f"{name}-zip.bin", archive(content)
        yield f"{name}-raw.bin", content
    yield "os-system-legacy.bin", legacy(evil["os-system"])
    yield "eval-legacy.bin", legacy(evil["eval"])
    calls = {
        "exec-python2": ("__builtin__", "exec", text(PYTHON)),
        "getattr": ("builtins", "getattr", glob("os", "system"), text("__call__")),
        "import": ("builtins", "__import__", text("os")),
        "popen": ("subprocess", "Popen", b"](" + text("sh") + text("-c") + text(SHELL) + b"e"),
        "runstring": ("numpy.testing._private.utils", "runstring", text(PYTHON), dictionary()),
        "runpy": ("runpy", "run_path", text("should-not-exist.py")),
        "partial": ("functools", "partial", glob("os", "system"), text(SHELL)),
        "attrgetter": ("operator", "attrgetter", text("system")),
        "torch-nested-load": ("torch.storage", "_load_from_bytes", text("x")),
        "torch-load": ("torch", "load", text("should-not-exist")),
        "torch-jit": ("torch.jit", "load", text("should-not-exist")),
        "torch-hub": ("torch.hub", "load", text("a/b"), text("c")),
        "load-library": ("torch.ops", "load_library", text("should-not-exist.so")),
        "similar-name": ("torch._utils", "_rebuild_tensor_v2.__class__"),
        "dotted": ("torch._utils", "warnings.sys.modules"),
        "open": ("io", "open", text("should-not-exist"), text("w")),
    }
    for name, arguments in calls.items():
        yield f"call-{name}.bin", archive(with_tensor(call(*arguments)))
    yield "global-only.bin", archive(with_tensor(glob("os", "system")))

    # Opcodes that make objects.
    system = glob("posix", "system")
    bert = glob("transformers.models.bert.modeling_bert", "BertModel")
    short = lambda value: b"\x8c" + bytes([len(value)]) + value.encode()
    yield "unknown-class-newobj.bin", archive(pickled(bert + b")\x81" + dictionary(training=b"\x89") + b"b"))
    yield "stack-global.bin", archive(pickled(short("posix") + short("system") + b"\x93" + items(text(SHELL)) + b"R", 4))
    yield "inst.bin", archive(pickled(b"(" + text(SHELL) + b"iposix\nsystem\n"))
    yield "obj.bin", archive(pickled(b"(" + system + text(SHELL) + b"o"))
    popen = glob("subprocess", "Popen") + items(text(SHELL)) + dictionary(shell=b"\x88")
    yield "newobj-ex.bin", archive(pickled(popen + b"\x92", 4))
    yield "ext1.bin", archive(pickled(b"\x82\x01)R"))
    state = glob("builtins", "object") + b")\x81" + dictionary(__setstate__=system) + b"b"
    yield "build-setstate.bin", archive(pickled(state + text(SHELL) + b"b"))
    yield "reduce-string.bin", archive(pickled(text("eval") + items(text(PYTHON)) + b"R"))
    yield "rebuild-args.bin", archive(pickled(dictionary(w=call("torch._utils", "_rebuild_tensor_v2", number(1)))))

    # Persistent ids.
    yield "persid-global.bin", archive(pickled(dictionary(w=tensor(storage(system)))))
    yield "persid-text.bin", archive(pickled(b"Pstorage\n", 0))
    module = items(text("module"), glob("os", "system"), text("x.py"), text("source")) + b"Q"
    yield "persid-module.bin", archive(pickled(dictionary(w=module)))
    yield "persid-short.bin", archive(pickled(dictionary(w=items(text("storage")) + b"Q")))

    # The memo, and nesting.
    put, get = (lambda i: b"q" + bytes([i])), (lambda i: b"h" + bytes([i]))
    pairs = b"".join(get(i) * 2 + b"\x86" + put(i + 1) + b"0" for i in range(60))
    yield "tuple-bomb.bin", archive(pickled(text("lol") + put(0) + b"0" + pairs[:-1]))
    lists = b"".join(b"]" + put(i + 1) + b"(" + get(i) * 2 + b"e" for i in range(49))
    yield "list-bomb.bin", archive(pickled(b"}" + text("w") + b"]" + put(0) + lists + b"s"))
    yield "self-list.bin", archive(pickled(b"]" + put(0) + get(0) + b"a"))
    yield "self-dict.bin", archive(pickled(b"}" + put(0) + text("state_dict") + get(0) + b"s"))
    yield "memo-huge-index.bin", archive(pickled(b"}r\xff\xff\xff\xffj\xff\xff\xff\xff0"))
    yield "memo-many.bin", archive(pickled(b"]" + b"\x94" * 60000, 4))
    yield "memo-missing.bin", archive(pickled(get(5)))
    yield "deep-tuple.bin", archive(pickled(b"N" + b"\x85" * 40000))
    yield "deep-list.bin", archive(pickled(b"]" * 40000 + b"a" * 39999))
    yield "deep-marks.bin", archive(pickled(b"(" * 40000 + b"t" * 40000))
    yield "deep-reduce.bin", archive(pickled(glob("collections", "OrderedDict") + b")R" + glob("collections", "OrderedDict") * 1500))

    # Shapes, strides and storages.
    tensors = {
        "storage-numel-past-end": tensor(storage(count=4096), shape=(64, 64), stride=(64, 1)),
        "shape-past-end": tensor(shape=(64, 64), stride=(64, 1)),
        "offset-past-end": tensor(offset=5),
        "offset-negative": tensor(offset=-3),
        "size-negative": tensor(shape=(-2, 3)),
        "stride-negative": tensor(stride=(-3, 1)),
        "stride-past-end": tensor(stride=(1000, 1)),
        "stride-rank": tensor(stride=(1,)),
        "shape-huge": tensor(storage(count=2**40), shape=(2**40,), stride=(1,)),
        "shape-overflow": tensor(shape=(2**32, 2**32, 3), stride=(3, 3, 1)),
        "shape-bigint": tensor(shape=(2**70,), stride=(1,)),
        "shape-float": tensor(shape=(2.5, 3)),
        "shape-string": tensor(shape=text("23")),
        "shape-rank": tensor(shape=(1,) * 3000, stride=(1,) * 3000),
        "stride-zero-huge": tensor(shape=(2**40,), stride=(0,)),
        "storage-missing": tensor(storage(key="7")),
        "storage-path": tensor(storage(key="../../../etc/hostname")),
        "storage-type-unknown": tensor(storage(glob("torch", "EvilStorage"))),
        "ok-stride-zero": tensor(shape=(4, 3), stride=(0, 1)),
        "ok-zero-size": tensor(offset=6, shape=(0, 3)),
        "ok-overlap": tensor(shape=(4, 3), stride=(1, 1)),
    }
    for name, value in tensors.items():
        yield f"{name}.bin", archive(pickled(dictionary(w=value)))
    sound = pickled(dictionary(w=tensor()))
    yield "storage-size-odd.bin", archive(sound, NUMBERS[:23])
    yield "storage-empty.bin", archive(sound, b"")
    doubles = tensor(storage(glob("torch", "DoubleStorage"), count=3), shape=(3,), stride=(1,))
    yield "storage-shared-two-types.bin", archive(pickled(dictionary(a=tensor(), b=doubles)))
    yield "big-endian.bin", archive(sound, struct.pack(">6f", 1, 2, 3, 4, 5, 6), b"big")

    # Damaged archives.
    yield "crc-data.bin", changed(SOUND, SOUND.index(NUMBERS), b"\x01")
    yield "crc-pickle.bin", SOUND.replace(text("w"), text("v"), 1)
    for name, length in {"header": 20, "data": 313, "directory": 404, "end": 632}.items():
        yield f"truncated-{name}.bin", SOUND[:length]
    yield "zip-directory-past-end.bin", changed(SOUND, END + 16, struct.pack("<I", 0x7FFFFFFF))
    yield "zip-directory-huge.bin", changed(SOUND, END + 12, struct.pack("<I", 0x7FFFFFFF))
    yield "zip-many-entries.bin", changed(SOUND, END + 8, struct.pack("<2H", 60000, 60000))
    yield "zip-size-lie.bin", changed(SOUND, DATA_0 + 20, struct.pack("<2I", 0x7FFFFFF0, 0x7FFFFFF0))
    yield "zip-local-offset.bin", changed(SOUND, DATA_0 + 42, struct.pack("<I", 0x7FFFFFF0))
    yield "zip-encrypted.bin", changed(SOUND, DATA_0 + 8, b"\x01")
    yield "zip-method.bin", changed(SOUND, DATA_0 + 10, struct.pack("<H", 99))
    yield "zip-offset-wrap.bin", changed(SOUND, DATA_0 + 42, struct.pack("<I", DATA_0))
    large = tensor(storage(count=2**22), shape=(2**22,), stride=(1,))
    yield "zip-deflate-bomb.bin", archive(pickled(dictionary(w=large)), bytes(2**24), method=zipfile.ZIP_DEFLATED)
    nines = struct.pack("<6f", *[9] * 6)
    yield "zip-duplicate.bin", zipped(("data.pkl", sound), ("data/0", NUMBERS), ("data/0", nines), ("version", b"3\n"))
    yield "zip-no-pickle.bin", zipped(("readme", b"no pickle"))
    script = pickled(glob("__torch__", "A") + b")\x81}b")
    source = ("code/__torch__.py", b"class A: pass")
    yield "torchscript.bin", zipped(source, ("constants.pkl", pickled(items())), ("data.pkl", script), ("version", b"3\n"))

    # Damaged pickles. Their archives have no storages.
    pickles = {
        "no-stop": b"\x80\x02}(u",
        "underflow": pickled(b"0000"),
        "no-mark": pickled(b"Nt"),
        "opcode": pickled(b"\xfe"),
        "protocol": pickled(b"N", 200),
        "string-length": pickled(b"X" + struct.pack("<I", 0x7FFFFFFF) + b"ab"),
        "string-length8": pickled(b"\x8d" + struct.pack("<Q", 2**64 - 1) + b"ab", 4),
        "bytes8": pickled(b"\x8e" + struct.pack("<Q", 2**63 - 1) + b"ab", 4),
        "long4": pickled(b"\x8b" + struct.pack("<I", 0x7FFFFFFF) + b"\x01"),
        "long4-negative": pickled(b"\x8b" + struct.pack("<i", -1) + b"\x01"),
        "frame": pickled(b"\x95" + struct.pack("<Q", 2**63 - 1) + b"N", 4),
        "utf8": pickled(b"X" + struct.pack("<I", 2) + b"\xff\xfe"),
        "setitem-on-list": pickled(b"]NNs"),
        "append-on-dict": pickled(b"}Na"),
        "odd-items": pickled(b"}(NNNu"),
        "int-text": pickled(b"I12x\n"),
        "unhashable": pickled(b"}]Ns"),
        "not-dict": pickled(number(7)),
    }
    for name, content in pickles.items():
        yield f"pickle-{name}.bin", archive(content, None)

    # The format before torch 1.6.
    yield "legacy-magic.bin", legacy(OLD, magic=0x1950A86A20F9469CFC6D)
    yield "legacy-protocol.bin", legacy(OLD, protocol=1002)
    yield "legacy-truncated.bin", legacy(OLD)[:-7]
    yield "legacy-no-storages.bin", legacy(OLD, keys=b"", data=None)
    yield "legacy-count.bin", legacy(OLD, count=2**40)
    yield "legacy-negative.bin", legacy(OLD, count=-1)
    yield "legacy-other-count.bin", legacy(OLD, count=4, data=NUMBERS[:16])
    yield "legacy-unknown-key.bin", legacy(OLD, keys=text("0") + text("1"), data=NUMBERS + struct.pack("<q", 6) + NUMBERS)
    yield "legacy-key-type.bin", legacy(OLD, keys=glob("posix", "system"))
    yield "ok-legacy.bin", legacy(OLD)

    # Other sound files, and files of other kinds.
    yield "ok-zip.bin", SOUND
    yield "ok-memo.bin", archive(pickled(dictionary(a=tensor() + put(7), b=get(7))))
    names = ["__proto__", "constructor", "hasOwnProperty", "toString"]
    special = {**{name: tensor() for name in names}, "__class__": tensor(shape=(6,), stride=(1,))}
    yield "ok-proto-keys.bin", archive(pickled(dictionary(**special)))
    yield "empty.bin", b""
    yield "text.bin", b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 438\n"
    yield "html.bin", b"<!DOCTYPE html><html><head><title>404</title></head></html>"
    yield "tar.bin", b"storages".ljust(257, b"\0") + b"ustar".ljust(255, b"\0")

    # Indices of shards.
    shard = "pytorch_model-00001-of-00001.bin"
    total = '{"metadata": {"total_size": 24}, "weight_map": '
    indices = {
        "up": total + '{"w": "../ok-zip.bin"}}',
        "absolute": total + '{"w": "/etc/hostname"}}',
        "backslash": total + '{"w": "..\\\\ok-zip.bin"}}',
        "url": total + '{"w": "https://example.com/x.bin"}}',
        "missing-shard": total + '{"w": "pytorch_model-00002-of-00002.bin"}}',
        "missing-weight": total + f'{{"w": "{shard}", "x": "{shard}"}}}}',
        "truncated": total + '{"w": "pytorch_model-00',
        "no-map": "{}",
        "proto": f'{{"weight_map": {{"__proto__": "{shard}", "w": "{shard}"}}}}',
    }
    for name, content in indices.items():
        yield f"index-{name}/{shard}", SOUND
        yield f"index-{name}/pytorch_model.bin.index.json", content.encode() + (b"" if name == "truncated" else b"\n")


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--to", type=pathlib.Path, help="folder to write the files to")
given = parser.parse_args()
made = dict(files())
for name, data in made.items():
    if given.to:
        (given.to / name).parent.mkdir(parents=True, exist_ok=True)
        (given.to / name).write_bytes(data)
known = {str(path.relative_to(HERE)) for path in HERE.rglob("*") if path.is_file()} - {"expected.json"}
different = sorted(name for name in known & made.keys() if (HERE / name).read_bytes() != made[name])
print(f"{len(made)} files, {len(different)} differ {different}, {sorted(known ^ made.keys())} are on one side only")
