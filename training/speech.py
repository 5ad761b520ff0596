"""The example voices, from Debian's speech synthesizers.

    python -m training.speech [--output assets/examples]

Packages: festival, festvox-us-slt-hts, flite. Silence at both ends is cut to a breath, the peak of what the
synthesizer gave is brought to -1 dB. The bundled files were resampled by an older FFmpeg: the difference from what is
made now lies 45 dB (speech_1) and 47 dB (speech_2) below the speech.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray
from scipy.io import wavfile

RATE = 16000
PEAK = -1.0  # dB of full scale
TEXTS = {
    "speech_1": "Hello! One photo and my voice were all it took. "
    "Now the picture looks at you, blinks, and says whatever I like.",
    "speech_2": "Good morning, and welcome. I was made on an ordinary computer, from a single portrait. "
    "Give me a few words, and I will say them for you.",
}
COMMANDS = {
    "speech_1": ["text2wave", "-eval", "(voice_cmu_us_slt_arctic_hts)", "{text}", "-o", "{sound}"],
    "speech_2": ["flite", "-voice", "rms", "--setf", "duration_stretch=0.92", "-f", "{text}", "-o", "{sound}"],
}


def synthesize(name: str, output: Path) -> None:
    """A synthesizer's own sound of a text, as it is."""
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text.txt"
        text.write_text(TEXTS[name] + "\n")
        subprocess.run([part.format(text=text, sound=output) for part in COMMANDS[name]], check=True)


def finish(samples: NDArray[np.int16], rate: int) -> NDArray[np.int16]:
    """(N,) at any rate -> (M,) at 16 kHz: rumble and silence at both ends gone, the level raised."""
    gain = PEAK - 20 * np.log10(np.abs(samples.astype(np.float64)).max() / 32768)
    trim = ("silenceremove", "start_periods=1:start_threshold=-45dB:start_silence=0.15")
    steps = [
        ("highpass", "f=60"), trim, ("areverse", ""), trim, ("areverse", ""), ("volume", f"{gain:.1f}dB"),
        ("aresample", f"{RATE}"), ("aformat", f"sample_fmts=s16:sample_rates={RATE}:channel_layouts=mono"),
    ]  # fmt: skip
    graph = Graph()
    source = graph.add_abuffer(sample_rate=rate, format="s16", layout="mono")
    graph.link_nodes(source, *(graph.add(name, options) for name, options in steps), graph.add("abuffersink"))
    graph.configure()
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), "s16", "mono")
    frame.sample_rate, frame.pts = rate, 0
    graph.push(frame)
    graph.push(None)
    pieces = []
    while True:
        try:
            pieces.append(graph.pull().to_ndarray()[0])
        except (av.error.EOFError, av.error.BlockingIOError):
            return np.concatenate(pieces)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("assets/examples"))
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in TEXTS:
            raw = Path(folder) / f"{name}.wav"
            synthesize(name, raw)
            rate, samples = wavfile.read(raw)
            wavfile.write(args.output / f"{name}.wav", RATE, finish(samples, rate))


if __name__ == "__main__":
    main()
