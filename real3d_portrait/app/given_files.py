"""Files as programs give them: uploads, data URLs, and addresses, of this app or of the public web.

An address is fetched by the server on a stranger's behalf. So none is followed into the network that the server stands
in, where it may see what the caller may not; what the app itself serves is taken from its folder instead.
"""

from __future__ import annotations

import asyncio
import binascii
import logging
import socket
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import gradio as gr
from gradio.components import Component
from gradio.processing_utils import async_ssrf_protected_download, is_public_ip, save_base64_to_cache
from gradio.utils import get_upload_folder

from real3d_portrait.errors import AddressRefusedError, FileTooLargeError, NotAFileError

_LOGGER = logging.getLogger(__name__)
_SERVED = "/gradio_api/file="
_META = {"_type": "gradio.FileData"}


async def taken(name: str, component: Component, value: Any, megabytes: int) -> Any:
    """The value of an input for files, its file on this machine.

    Args:
        value: what Gradio's clients send for an upload; or text, a data URL or an address; nothing.
        megabytes: that a data URL may hold.

    Raises:
        NotAFileError: it is something else. AddressRefusedError: it is not to be had there. FileTooLargeError.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return _upload(await _fetched(name, component, value.strip(), megabytes))
    if isinstance(value, list) and isinstance(component, gr.File) and component.file_count != "single":
        return [await taken(name, component, entry, megabytes) for entry in value]
    if not isinstance(value, dict):
        raise NotAFileError(name=name, value=value)
    path, url = value.get("path"), value.get("url")
    if isinstance(path, str) and path:
        place = path
    elif isinstance(url, str) and not url.startswith("data:"):
        place = url
    elif isinstance(url, str):
        return value  # a picture pasted on the page
    else:
        raise NotAFileError(name=name, value=value)
    if place.startswith(("http://", "https://", "data:")):
        kept = _upload(await _fetched(name, component, place, megabytes))
        return {**kept, "orig_name": value["orig_name"]} if isinstance(value.get("orig_name"), str) else kept
    # Whether it is an upload of this app is Gradio's own check.
    return {**value, "meta": _META}


async def _fetched(name: str, component: Component, text: str, megabytes: int) -> Path:
    if text.startswith("data:"):
        return _decoded(name, component, text, megabytes)
    own = _own(unquote(text.partition(_SERVED)[2]) if _SERVED in text else text)
    if own is not None:
        return own
    address = urlsplit(text)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise NotAFileError(name=name, value=text)
    try:
        if await _hidden(address.hostname):
            raise ValueError("no public host")
        return Path(await async_ssrf_protected_download(text, get_upload_folder()))
    except Exception as error:
        _LOGGER.info("an address was not fetched: %s", type(error).__name__)
        raise AddressRefusedError(name=name, address=text, reason=_reason(text, error)) from None


async def _hidden(host: str) -> bool:
    """Whether a host lies in the server's own network; asked here alone, as its name is nobody else's business."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None)
    return not any(is_public_ip(str(place[0])) for *_, place in found)


def _own(place: str) -> Path | None:
    """A file of this app's cache; who knows its name may read it anyway."""
    if not Path(place).is_absolute():
        return None
    folder, path = Path(get_upload_folder()).resolve(), Path(place).resolve()
    return path if path.is_relative_to(folder) and path.is_file() else None


def _decoded(name: str, component: Component, text: str, megabytes: int) -> Path:
    head, comma, content = text.partition(",")
    if not comma or not head.endswith(";base64"):
        raise NotAFileError(name=name, value=text)
    size = len(content) * 3 / 4e6
    if size > megabytes:
        raise FileTooLargeError(path=name, megabytes=round(size), limit=megabytes)
    try:
        binascii.a2b_base64(content, strict_mode=True)
    except (binascii.Error, ValueError):
        raise NotAFileError(name=name, value=text) from None
    types = component.file_types if isinstance(component, gr.File) else None
    only = types[0] if types and len(types) == 1 and types[0].startswith(".") else None
    return Path(save_base64_to_cache(text, get_upload_folder(), f"{name}{only}" if only else None))


def _reason(address: str, error: Exception) -> str:
    if _SERVED in address:
        return "where no such file is served (any more)"
    if isinstance(error, socket.gaierror):
        return "whose host is not known"
    if isinstance(error, ValueError):
        return "which does not lie on the public web"
    return "which does not answer with a file"


def _upload(path: Path) -> dict[str, Any]:
    return {"path": str(path), "orig_name": path.name, "meta": _META}
