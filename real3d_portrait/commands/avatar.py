"""`real3d-portrait avatar`: train, render, info, import. Heavy imports wait until an action needs them."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from real3d_portrait.console import ProgressBar
from real3d_portrait.er_nerf.training.progress import TrainingProgress
from real3d_portrait.errors import MissingInputError, Real3DError
from real3d_portrait.progress import Progress
from real3d_portrait.timing import FPS

if TYPE_CHECKING:
    from real3d_portrait.er_nerf.rendering.avatar import Avatar

_LOG_FILE_SECONDS = 10.0  # between two updates of a bar that goes to a file


class TrainingStoppedError(Real3DError):
    message = "Stopped. The training so far is kept in '{folder}'; the same command goes on from there."
    exit_code = 130


# fmt: off
def add_avatar_command(commands: Any) -> None:
    """Add `avatar` to what `ArgumentParser.add_subparsers` returned."""
    parser = commands.add_parser("avatar", help="a personal avatar, trained from a video of one person")
    actions = parser.add_subparsers(required=True, metavar="ACTION", parser_class=type(parser))

    train = actions.add_parser("train", help="train an avatar from videos; continues an interrupted training")
    train.set_defaults(run=_train)
    train.add_argument("--video", required=True, nargs="+", metavar="FILE",
                       help="one to five minutes of one person who speaks, in one or several files")
    train.add_argument("--output", required=True, metavar="DIR", help="the avatar's folder, new or empty")
    train.add_argument("--features", nargs="+", metavar="hubert|FILE.npy",
                       help="speech features: HuBERT's where that is on this machine, or precomputed ones, a file for "
                       "each video (default: the bundled encoder's)")
    train.add_argument("--lpips", metavar="DIR",
                       help="weights of AlexNet and the heads of LPIPS 0.1, for a perceptual loss at the lips")
    length = train.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, metavar="N", help="train as long as that (default: 30 on a CPU)")
    length.add_argument("--steps", type=int, metavar="N",
                        help="train so many steps (default on a GPU: the 325,000 that were published)")
    train.add_argument("--size", type=int, metavar="PIXELS", help="side of the pictures, 128 to 512 (default: 256)")
    train.add_argument("--seed", type=int, default=0, metavar="N", help="(default: 0)")
    _add_device(train)

    render = actions.add_parser("render", help="render an avatar that speaks")
    render.set_defaults(run=_render)
    _add_avatar(render)
    render.add_argument("--audio", metavar="FILE", help="speech to speak")
    render.add_argument("--features", metavar="FILE.npy", help="precomputed speech features")
    render.add_argument("--output", required=True, metavar="FILE",
                        help=".mp4, .gif, .webm (transparent), or a folder for PNGs")
    render.add_argument("--pose", default="original", metavar="original|static|VIDEO",
                        help="head motion of its own video, none, or another video's (default: original)")
    render.add_argument("--background", default="keep", metavar="KIND_OR_FILE",
                        help="keep, blur, transparent, a colour, a picture or video file, or 'prompt:' with words "
                        "(default: keep)")
    render.add_argument("--background-fit", default="cover", choices=("cover", "contain"),
                        help="a picture of another shape fills the frame, or is shown whole (default: cover)")
    render.add_argument("--seed", type=int, default=0, metavar="N", help="of a background from words (default: 0)")
    render.add_argument("--size", type=int, metavar="PIXELS", help="shorter side (default: as it was trained)")
    _add_device(render)

    info = actions.add_parser("info", help="training data and quality of an avatar")
    info.set_defaults(run=_info)
    _add_avatar(info)

    take = actions.add_parser("import", help="import a released avatar")
    take.set_defaults(run=_import)
    take.add_argument("--checkpoint", required=True, metavar="ngp.pth", help="the weights")
    take.add_argument("--transforms", required=True, metavar="FILE.json", help="transforms_*.json of its data folder")
    take.add_argument("--plate", required=True, metavar="PICTURE", help="bc.jpg of its data folder")
    take.add_argument("--features", metavar="NAME", help="kind of its speech features (default: by their width)")
    take.add_argument("--output", required=True, metavar="DIR", help="the avatar's folder, new or empty")

    for action in (train, render, info, take):
        action.add_argument("--quiet", action="store_true", help="no progress bar")
        action.add_argument("--verbose", action="store_true", help="log every step, and the traceback of a failure")
# fmt: on


def _add_avatar(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--avatar", required=True, metavar="DIR", help="a folder made by 'avatar train' or 'import'")


def _add_device(parser: argparse.ArgumentParser) -> None:
    choices = ("auto", "cpu", "cuda")
    parser.add_argument("--device", default="auto", choices=choices, help="where to compute (default: auto)")


class TrainingBar:
    """A `train_avatar` progress callback: one bar a stage, with the time left of the whole; a context manager.

    The first Ctrl-C, or SIGTERM, takes effect after the current step, so that the state can be saved; a second one at
    once.

    Args:
        visible: False shows nothing.
    """

    def __init__(self, visible: bool = True) -> None:
        self._visible = visible
        self._bar: tqdm | None = None
        self._stage = ""
        self._stop_requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> TrainingBar:
        # Python lets the main thread alone set handlers.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._request_stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        self._restore_handlers()

    def __call__(self, progress: Progress) -> None:
        """Show a step. Raises KeyboardInterrupt where a signal has come."""
        stage, done = progress.stage, progress.done
        if self._stop_requested:
            raise KeyboardInterrupt
        if stage != self._stage or self._bar is None:
            self._close()
            self._stage = stage
            pause = 0.1 if sys.stderr.isatty() else _LOG_FILE_SECONDS
            self._bar = tqdm(
                desc=stage, total=progress.total, disable=not self._visible, dynamic_ncols=True, mininterval=pause,
                bar_format="{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}", initial=max(0, done - 1),
            )  # fmt: skip
        if isinstance(progress, TrainingProgress) and progress.seconds_left is not None:
            self._bar.set_postfix_str(in_words(progress.seconds_left), refresh=False)
        self._bar.update(done - self._bar.n)

    def _request_stop(self, number: int, frame: FrameType | None) -> None:
        self._stop_requested = True
        self._restore_handlers()

    def _restore_handlers(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = None


def in_words(seconds: float) -> str:
    """Time left, rounded to its precision."""
    if seconds < 90:
        return f"{seconds:.0f} s left"
    minutes = round(seconds / 60)
    return f"{minutes} min left" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min left"


def _train(arguments: argparse.Namespace) -> None:
    from real3d_portrait.er_nerf.training.recipe import train_avatar

    names = ("size", "steps", "minutes", "lpips", "device", "seed")
    options = {name: getattr(arguments, name) for name in names}
    features = "hubert" if arguments.features == ["hubert"] else arguments.features
    output = Path(arguments.output)
    start = time.monotonic()
    try:
        with TrainingBar(visible=not arguments.quiet) as bar:
            avatar = train_avatar(arguments.video, output, features=features, **options, on_progress=bar)
    except KeyboardInterrupt:
        raise TrainingStoppedError(folder=output) from None
    spent = (time.monotonic() - start) / 60
    sys.stdout.write(f"{output}: trained in {spent:.0f} min. {_summary(avatar)}\n")


def _render(arguments: argparse.Namespace) -> None:
    from real3d_portrait.controls import Controls
    from real3d_portrait.er_nerf.rendering.speech_features import read_features
    from real3d_portrait.er_nerf.talking_model import ErNerfModel
    from real3d_portrait.media.writer import check_output
    from real3d_portrait.pipeline import Real3DPortrait

    model = ErNerfModel.load(Path(arguments.avatar), arguments.device)
    pipeline = Real3DPortrait(model, arguments.device)
    motion = None if arguments.features is None else model.motion_from_features(read_features(arguments.features))
    if motion is None and arguments.audio is None:
        raise MissingInputError(name="the speech", cure="--audio FILE")
    with ProgressBar(visible=not arguments.quiet) as bar:
        start = time.perf_counter()
        controls = Controls(
            pose="natural" if arguments.pose == "original" else arguments.pose,
            background=arguments.background,
            background_fit=arguments.background_fit,
            seed=arguments.seed,
        )
        avatar = model.sized_avatar(arguments.size)
        check_output(arguments.output, controls.background == "transparent")
        motion = pipeline.motion_from_audio(arguments.audio) if motion is None else motion
        audio = None if arguments.audio is None else Path(arguments.audio)
        clip = pipeline.write(pipeline.render(avatar, motion, controls, audio=audio, progress=bar), arguments.output)
        seconds = time.perf_counter() - start
    sys.stdout.write(
        f"{clip.path}: {clip.seconds:.2f} s of video, {clip.frames} frames of {clip.width}x{clip.height}, "
        f"made in {seconds:.1f} s ({clip.frames / seconds:.1f} frames per second)\n"
    )


def _info(arguments: argparse.Namespace) -> None:
    from real3d_portrait.er_nerf.rendering.avatar import FORMAT, Avatar

    avatar = Avatar.load(arguments.avatar)
    files = [file for file in Path(arguments.avatar).iterdir() if file.is_file()]
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    sys.stdout.write(f"{arguments.avatar}: format {FORMAT}, {megabytes:.1f} MB. {_summary(avatar)}\n")


def _import(arguments: argparse.Namespace) -> None:
    from real3d_portrait.er_nerf.rendering.released_avatar import import_avatar

    sources = arguments.checkpoint, arguments.transforms, arguments.plate
    avatar = import_avatar(*sources, arguments.output, features=arguments.features)
    sys.stdout.write(f"{arguments.output}: imported. {_summary(avatar)}\n")


def _summary(avatar: Avatar) -> str:
    notes, camera, config = avatar.notes, avatar.camera, avatar.model.config
    parts = []
    if "steps" in notes:
        parts.append(f"Trained on {notes['seconds']:.0f} s of video in {notes['steps']:,} steps")
        parts.append(f"PSNR of test frames {notes['psnr']} dB, in the head {notes['psnr_head']} dB")
    parts.append(f"{camera.width}x{camera.height} pixels")
    parts.append(f"speech features {avatar.speech_kind} ({config.audio_channels} channels)")
    parts.append(f"head motion of {len(avatar.poses) / FPS:.0f} s")
    if avatar.model.torso is None:
        parts.append("without a torso")
    return "; ".join(parts) + "."
