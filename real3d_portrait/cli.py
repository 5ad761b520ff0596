"""The command `real3d-portrait`: animate, swap-background, avatar, weights, verify, info.

Exit codes: 0 done, 2 the input is at fault (one line on stderr says what and how to mend it), 1 any other
failure, 130 stopped by Ctrl-C. Heavy imports wait until a command needs them, so that help is instant.
"""

from __future__ import annotations

import argparse
import logging
import platform
import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from real3d_portrait.commands.avatar import add_avatar_command
from real3d_portrait.commands.verify import add_verify_command
from real3d_portrait.console import ProgressBar, own_log, without_native_chatter
from real3d_portrait.controls import Control, defaults, option, table
from real3d_portrait.errors import Real3DError
from real3d_portrait.resources import resource

if TYPE_CHECKING:
    from real3d_portrait.media.clip import Clip
    from real3d_portrait.pipeline import Real3DPortrait

PROGRAM = "real3d-portrait"
_LOGGER = logging.getLogger(__name__)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line instead of printing the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{PROGRAM}: error: {message} (see: {self.prog} --help)\n")


def _one_of(choices: Sequence[str | int]) -> Callable[[str], str | int]:
    """Reads a choice that may be a word or a number."""

    def read(text: str) -> str | int:
        known = {str(choice): choice for choice in choices}
        if text not in known:
            raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(known)}")
        return known[text]

    return read


def _add_controls(parser: argparse.ArgumentParser, background_required: bool = False) -> None:
    """One option for each control, from the one table, and what else a rendering takes."""
    add = parser.add_argument
    add("--model", default="compact", metavar="NAME",
        help="compact, real3d-portrait (what REAL3D_WEIGHTS names), a hub repo OWNER/REPO[@REVISION], or a folder "
        "(default: compact)")  # fmt: skip
    add("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute (default: auto)")
    for name, control in table().items():
        required = background_required and name == "background"
        add(option(name), dest=name, required=required, **_argument(name, control, required))
    add("--output", required=True, metavar="FILE", help=".mp4, .gif, .webm (transparent), or a folder for PNGs")
    add("--quiet", action="store_true", help="no progress bar")
    add("--verbose", action="store_true", help="log every step, and the traceback of a failure")


def _argument(name: str, control: Control, required: bool) -> dict[str, Any]:
    """Keywords of `add_argument` for one control."""
    default = defaults()[name]
    facts: dict[str, Any] = {"default": None if required else default}
    shown = control.default_help or (f"{default:g}" if isinstance(default, float) else default)
    facts["help"] = control.help if required else f"{control.help} (default: {shown})"
    if isinstance(default, bool):
        return {"action": "store_true", "help": control.help}
    if control.metavar:
        facts["metavar"] = control.metavar
    elif any(isinstance(choice, int) for choice in control.choices):
        facts.update(type=_one_of(control.choices), metavar="|".join(map(str, control.choices)))
    elif control.choices:
        facts["choices"] = control.choices
    else:
        whole = control.step == 1 and not isinstance(default, float)
        limits = f"{control.low:g}..{control.high:g}" if control.high is not None and control.high < 2**32 else "N"
        facts.update(type=int if whole else float, metavar=limits)
    return facts


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; every sub-command sets `run`, the function that carries it out."""
    parser = _Parser(prog=PROGRAM, description="One photo and a voice in, a talking portrait out.")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {_version(PROGRAM)}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    animate = commands.add_parser("animate", help="make a photo talk, or repeat another person's motion")
    animate.set_defaults(run=_animate)
    animate.add_argument("--portrait", required=True, metavar="PHOTO", help="a photo with a face")
    driver = animate.add_mutually_exclusive_group(required=True)
    driver.add_argument("--audio", metavar="FILE", help="speech to speak")
    driver.add_argument("--driving", metavar="VIDEO|MOTION.npz", help="a video, or saved motion, to repeat")
    _add_controls(animate)

    swap = commands.add_parser("swap-background", help="put another background behind a talking head")
    swap.set_defaults(run=_swap_background)
    source = swap.add_mutually_exclusive_group(required=True)
    source.add_argument("--video", metavar="FILE", help="a finished talking-head video")
    source.add_argument("--audio", metavar="FILE", help="speech for --portrait")
    source.add_argument("--driving", metavar="VIDEO|MOTION.npz", help="motion for --portrait")
    swap.add_argument("--portrait", metavar="PHOTO", help="a photo with a face, with --audio or --driving")
    _add_controls(swap, background_required=True)

    _add_weights(commands.add_parser("weights", help="make, check and share the weights of the full model"))

    add_avatar_command(commands)
    add_verify_command(commands)

    info = commands.add_parser("info", help="versions, device, models and where their weights lie")
    info.set_defaults(run=_info, verbose=False)
    return parser


def _add_weights(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION", parser_class=_Parser)
    make = actions.add_parser("import", help="turn the released checkpoints into a folder of weights")
    make.set_defaults(run=_import_weights)
    make.add_argument("--checkpoints", required=True, metavar="DIR", help="holds audio2secc_vae, secc2plane_torso_orig")
    make.add_argument("--bfm", required=True, metavar="DIR", help="holds BFM_model_front.mat or what it is made from")
    make.add_argument("--segmenter", metavar="FILE", help="mediapipe's selfie_multiclass_256x256.tflite")
    make.add_argument("--hubert", metavar="DIR|OWNER/REPO", help="HuBERT large, where it is not to be the public repo")
    make.add_argument("--output", required=True, metavar="DIR", help="a new or empty folder")
    check = actions.add_parser("verify", help="compare a folder of weights with its manifest")
    check.set_defaults(run=_verify_weights)
    check.add_argument("folder", metavar="FOLDER")
    share = actions.add_parser(
        "push", help="upload a folder of weights, without the face model, to a hub repo of yours"
    )
    share.set_defaults(run=_push_weights)
    share.add_argument("folder", metavar="FOLDER")
    share.add_argument("repo", metavar="OWNER/REPO")
    share.add_argument("--public", action="store_true", help="a new repo can be seen by everybody (default: private)")
    for action in (make, check, share):
        action.add_argument("--verbose", action="store_true", help="log every step, and the traceback of a failure")


def _pipeline(arguments: argparse.Namespace) -> Real3DPortrait:
    from real3d_portrait.pipeline import Real3DPortrait

    return Real3DPortrait.from_pretrained(arguments.model, device=arguments.device)


def _make(method: str, arguments: argparse.Namespace, *inputs: str, **named: str | None) -> None:
    controls: dict[str, Any] = {name: getattr(arguments, name) for name in table()}
    pipeline = _pipeline(arguments)
    with ProgressBar(visible=not arguments.quiet) as bar:
        start = time.perf_counter()
        clip = getattr(pipeline, method)(*inputs, **named, output=arguments.output, progress=bar, **controls)
        seconds = time.perf_counter() - start
    _report(clip, seconds)


def _report(clip: Clip, seconds: float) -> None:
    sys.stdout.write(
        f"{clip.path}: {clip.seconds:.2f} s of video, {clip.frames} frames of {clip.width}x{clip.height}, "
        f"made in {seconds:.1f} s ({clip.frames / seconds:.1f} frames per second)\n"
    )


def _animate(arguments: argparse.Namespace) -> None:
    if arguments.audio is not None:
        _make("audio_driven", arguments, arguments.portrait, arguments.audio)
    else:
        _make("video_driven", arguments, arguments.portrait, arguments.driving)


def _swap_background(arguments: argparse.Namespace) -> None:
    names = ("portrait", "audio", "driving", "video")
    _make("background_swap", arguments, **{name: getattr(arguments, name) for name in names})


def _import_weights(arguments: argparse.Namespace) -> None:
    from real3d_portrait.models.full.importer import import_released

    segmenter = Path(arguments.segmenter) if arguments.segmenter else None
    hubert = arguments.hubert
    if hubert is not None and Path(hubert).is_dir():
        hubert = str(Path(hubert).resolve())
    output = Path(arguments.output)
    manifest = import_released(Path(arguments.checkpoints), Path(arguments.bfm), output, segmenter, hubert)
    sys.stdout.write(
        f"{output}: {len(manifest.files)} files, {sum(f.bytes for f in manifest.files.values()) / 1e6:.0f} MB. "
        f"Use them with REAL3D_WEIGHTS={output} and --model real3d-portrait.\n"
    )


def _verify_weights(arguments: argparse.Namespace) -> None:
    from real3d_portrait.errors import WeightsDifferError
    from real3d_portrait.hub import problems

    found = list(problems(Path(arguments.folder)))
    if found:
        raise WeightsDifferError(folder=arguments.folder, problems=found)
    sys.stdout.write(f"{arguments.folder}: every file is as its manifest says\n")


def _push_weights(arguments: argparse.Namespace) -> None:
    from real3d_portrait.hub_upload import push

    sys.stdout.write(f"{push(Path(arguments.folder), arguments.repo, arguments.public)}\n")


def _info(arguments: argparse.Namespace) -> None:
    import torch

    device = f"cpu, {torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        device = f"cuda, {torch.cuda.get_device_name()}"
    libraries = ("torch", "mediapipe", "numpy", "av", "gradio")
    versions = [f"python {platform.python_version()}", *(f"{n} {_version(n)}" for n in libraries)]
    folders = sorted(resource("assets", "weights").iterdir())
    lines = [
        f"{PROGRAM} {_version(PROGRAM)}",
        ", ".join(versions),
        f"device: {device}",
        *(f"model: {folder.name}, {_megabytes(folder):.1f} MB in {folder}" for folder in folders),
        *_full_model(),
        f"examples: {resource('assets', 'examples')}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def _full_model() -> list[str]:
    """What of the full model is on this machine; nothing is fetched."""
    from real3d_portrait.config import FullConfig, read_config
    from real3d_portrait.hub import FULL, MANIFEST, Weights, in_cache, resolve

    try:
        weights = resolve(FULL, cached=True)
        if not isinstance(weights, Weights):
            return [f"model: {FULL}, absent: {weights} holds no {MANIFEST}"]
        config = read_config(weights.config(), FullConfig)
    except Real3DError as error:
        return [f"model: {FULL}, absent: {error}"]
    places = {name: weights.present(name) for name in weights.manifest.files}
    absent = [name for name, place in places.items() if place is None]
    segmenter = places.get(config.segmenter)
    return [
        f"model: {FULL}, {len(places) - len(absent)} of {len(places)} files here, {weights.place}",
        *(f"  {name}: {place or 'absent'}" for name, place in places.items()),
        f"speech features of {FULL}: {config.hubert}, "
        + ("here" if in_cache(config.hubert, config.hubert_revision) else "fetched at first use"),
        f"segmenter of {FULL}: "
        + (f"mediapipe multiclass, {segmenter}" if segmenter else "the bundled parsing network (no multiclass file)"),
    ]


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def _megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Raises:
        SystemExit: from argparse, for help and for arguments that do not parse (code 2).
    """
    arguments = build_parser().parse_args(argv)
    try:
        with own_log(arguments.verbose):
            arguments.run(arguments)
    except Real3DError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("stopped; nothing was written", 130)
    except Exception as error:
        if arguments.verbose:
            _LOGGER.exception("the whole story")
        reason = " ".join(str(error).split())
        return _fail(f"{type(error).__name__}: {reason} (--verbose shows where)", 1)
    return 0


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"{PROGRAM}: error: {message}\n")
    return code


def _terminated(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def entry() -> NoReturn:
    """The process's own start: `main`, with quiet libraries, that also cleans up when it is terminated."""
    # A shell lets its background jobs ignore Ctrl-C; whoever sends the signal to this process means it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _terminated)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    with without_native_chatter():
        code = main()
        sys.stdout.flush()
    sys.exit(code)
