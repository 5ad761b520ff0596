"""Speed of the compact model: time to the first frame, frames a second end to end, core time of each stage.

    python -m benchmarks.speed [--seconds 6] [--size 512]

Prints a table. Core time is that of the whole process (all threads), wall time depends on the machine's load.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from pathlib import Path

import numpy as np

from real3d_portrait import Real3DPortrait
from real3d_portrait.background.background import Background
from real3d_portrait.media.audio import read_audio, write_wav
from real3d_portrait.media.images import read_photo
from real3d_portrait.media.writer import VideoWriter
from real3d_portrait.models.compact.frame import over
from real3d_portrait.models.compact.speech_motion import audio_to_motion
from real3d_portrait.models.interface import Placement
from real3d_portrait.parallel import cores, in_parallel
from real3d_portrait.portrait.compact import prepare_compact_portrait
from real3d_portrait.resources import resource

EXAMPLES = resource("assets", "examples")


class Stopwatch:
    """Wall and core seconds since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def __str__(self) -> str:
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return f"{1000 * wall:9.0f} ms wall {1000 * cpu:9.0f} core-ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--size", type=int, default=512, choices=(256, 512))
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    photo = EXAMPLES / "portrait_1.jpg"

    watch = Stopwatch()
    portraits = Real3DPortrait.from_pretrained("compact")
    print(f"cores {cores()}\nload the model       {watch}")
    with tempfile.TemporaryDirectory() as folder:
        speech = read_audio(EXAMPLES / "speech_1.wav")
        wanted = round(args.seconds * speech.rate)
        voice = Path(folder) / "voice.wav"
        write_wav(voice, type(speech)(np.resize(speech.samples, wanted), speech.rate))
        for name in ("first call", "second call"):
            watch = Stopwatch()
            frames = portraits.stream_audio_driven(photo, voice, size=args.size)
            next(iter(frames))
            print(f"first frame, {name:11s}{watch}")
            frames.close()

        model = portraits.model
        watch = Stopwatch()
        portrait = prepare_compact_portrait(read_photo(photo), model.face_model, size=args.size)
        print(f"prepare the photo    {watch}")
        watch = Stopwatch()
        avatar = model.reconstruct(portrait)
        print(f"reconstruct          {watch}")
        watch = Stopwatch()
        motion = audio_to_motion(read_audio(voice), model.a2m, face_model=model.face_model)
        print(f"audio to motion      {watch}")
        pose, _ = model.place(avatar, motion, Placement())
        shift = model.shoulders(avatar, pose)
        start = time.process_time()
        people = list(
            in_parallel(
                lambda t: model.renderer.frame(
                    avatar, pose.expression[t], pose.rotation[t], pose.translation[t], shift[t]
                ),
                min(50, len(pose)),
            )
        )
        print(f"render               {1000 * (time.process_time() - start) / len(people):8.1f} core-ms a frame")
        plates = Background.parse("keep").frames(avatar.plate)
        start = time.process_time()
        finished = [over(person, next(plates)) for person in people]
        print(f"compose              {1000 * (time.process_time() - start) / len(people):8.1f} core-ms a frame")
        start = time.process_time()
        with VideoWriter(Path(folder) / "speed.mp4", args.size, args.size) as writer:
            for frame in finished:
                writer.write(frame)
        print(f"encode               {1000 * (time.process_time() - start) / len(people):8.1f} core-ms a frame")

        start, cpu = time.perf_counter(), time.process_time()
        clip = portraits.audio_driven(portrait, voice, output=Path(folder) / "out.mp4", size=args.size)
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        print(
            f"end to end           {clip.frames / wall:8.1f} fps wall, {1000 * cpu / clip.frames:.0f} core-ms a frame, "
            f"{clip.frames * cores() / cpu:.1f} fps if no other process ran"
        )


if __name__ == "__main__":
    main()
