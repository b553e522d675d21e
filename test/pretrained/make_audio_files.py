"""Small files of compressed sound, and what ffmpeg decodes from them, for audio-files.test.ts:
`python3 test/pretrained/make_audio_files.py` writes audio-files.json. It needs numpy and the program ffmpeg (7.1).
The sounds are computed here, but for jfk.opus, which is test/data/checkpoints/real/jfk-16k.wav (public domain).
"""

import base64
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

here = Path(__file__).parent


def sound(rate, channels, seconds):
    t = np.arange(int(rate * seconds)) / rate
    tones = [np.sin(2 * np.pi * (220 * (c + 1) + 300 * t) * t) * (0.6 - 0.2 * c) for c in range(channels)]
    return np.stack(tones, 1).astype("<f4")


def ffmpeg(*arguments, data=None):
    command = ["ffmpeg", "-loglevel", "error", "-y", *arguments]
    return subprocess.run(command, input=data, check=True, stdout=subprocess.PIPE).stdout


# name, rate, channels, seconds, options of ffmpeg
FILES = [
    ("stereo.mp3", 44100, 2, 0.3, ["-c:a", "libmp3lame", "-b:a", "48k"]),
    ("8khz.mp3", 8000, 1, 0.3, ["-c:a", "libmp3lame", "-b:a", "16k", "-id3v2_version", "0"]),
    ("stereo.flac", 16000, 2, 0.15, ["-c:a", "flac", "-sample_fmt", "s16"]),
    ("24bit.flac", 8000, 1, 0.15, ["-c:a", "flac", "-sample_fmt", "s32", "-bits_per_raw_sample", "24"]),
    ("stereo.ogg", 22050, 2, 0.3, ["-c:a", "libvorbis", "-q:a", "0"]),
    ("mono.opus", 48000, 1, 0.3, ["-c:a", "libopus", "-b:a", "16k"]),
    ("stereo.webm", 48000, 2, 0.3, ["-c:a", "libopus", "-b:a", "24k"]),
]

result = []
with tempfile.TemporaryDirectory() as folder:
    for name, rate, channels, seconds, options in FILES:
        path = Path(folder) / name
        raw = ["-f", "f32le", "-ar", str(rate), "-ac", str(channels), "-i", "-"]
        ffmpeg(*raw, "-bitexact", *options, str(path), data=sound(rate, channels, seconds).tobytes())
        # The codecs' own libraries: ffmpeg's decoder of Opus draws other noise, and that of Vorbis keeps the padding at the end.
        decoder = {"ogg": ["-c:a", "libvorbis"], "opus": ["-c:a", "libopus"], "webm": ["-c:a", "libopus"]}.get(path.suffix[1:], [])
        samples = ffmpeg(*decoder, "-i", str(path), "-f", "f32le", "-")
        decoded = np.frombuffer(samples, "<f4").reshape(-1, channels)
        mono = decoded.astype(np.float64).mean(1)
        result.append(
            {
                "name": name,
                "rate": rate,
                "samples": int(rate * seconds),
                "every": 199,
                "values": [round(float(v), 5) for v in mono[::199]],
                "file": base64.b64encode(path.read_bytes()).decode(),
            }
        )
    speech = here / "../data/checkpoints/real/jfk-16k.wav"
    path = Path(folder) / "jfk.opus"
    ffmpeg("-i", str(speech), "-bitexact", "-c:a", "libopus", "-b:a", "16k", str(path))
    result.append({"name": "jfk.opus", "file": base64.b64encode(path.read_bytes()).decode()})

(here / "audio-files.json").write_text(json.dumps(result, indent=1) + "\n")
