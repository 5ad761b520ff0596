"""Requests of programs, checked before Gradio sees them: what is wrong is a 422 that names the parameter.

Gradio answers a value that a component cannot take with a 400 whose text its own Python client drops, and an unknown
parameter with a 500.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gradio.blocks import BlockFunction, Blocks
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from real3d_portrait.app.given_files import taken
from real3d_portrait.app.limits import Limits
from real3d_portrait.app.parameters import is_file, names
from real3d_portrait.app.values import default, understood
from real3d_portrait.errors import InputError, UnknownEndpointError, UnknownParameterError, WrongValueCountError

_ROUTE = re.compile(r"/gradio_api/(queue/join|call/(?P<named>v2/)?(?P<endpoint>[^/]+))/?$")


class _RefusedError(Exception):
    """Answered instead of the app."""

    def __init__(self, details: Sequence[Mapping[str, Any]], status: int = 422) -> None:
        self.response = JSONResponse({"detail": list(details)}, status)


class RequestCheck:
    """ASGI middleware around Gradio's app.

    Args:
        app: what comes next.
        blocks: whose endpoints are called.
        limits: of one file.
    """

    def __init__(self, app: ASGIApp, blocks: Blocks, limits: Limits) -> None:
        self.app = app
        self.blocks = blocks
        self.limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = _ROUTE.search(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if route is None:
            return await self.app(scope, receive, send)
        body = await _whole(receive)
        if body is None:
            return None
        try:
            asked = json.loads(body)
        except ValueError:
            asked = None
        if isinstance(asked, dict):
            try:
                fn = self._function(asked, route["endpoint"])
                if fn is not None:
                    body = json.dumps(await self._checked(fn, asked, bool(route["named"]))).encode()
                    send = _Explained(send)
            except _RefusedError as refusal:
                return await refusal.response(scope, receive, send)
        headers = [(key, value) for key, value in scope["headers"] if key != b"content-length"]
        scope = {**scope, "headers": [*headers, (b"content-length", str(len(body)).encode())]}
        return await self.app(scope, _replay(body, receive), send)

    async def _checked(self, fn: BlockFunction, asked: dict[str, Any], named: bool) -> dict[str, Any]:
        """The request with values as the components take them."""
        if named:
            asked = {name: value for name, value in asked.items() if name != "oauth_token"}
            try:
                values = in_order(fn, asked)
            except UnknownParameterError as error:
                raise _RefusedError([_problem(error.facts["name"], error)]) from None
            return dict(zip(public_inputs(fn), await self._values(fn, values), strict=True))
        data = asked.get("data")
        if not isinstance(data, list) or len(data) not in (len(fn.inputs), len(public_inputs(fn))):
            given = len(data) if isinstance(data, list) else "none"
            wrong = WrongValueCountError(endpoint=f"/{fn.api_name}", expected=len(public_inputs(fn)), given=given)
            raise _RefusedError([_problem("data", wrong)])
        return {**asked, "data": await self._values(fn, data)}

    def _function(self, asked: Mapping[str, Any], endpoint: str | None) -> BlockFunction | None:
        """Whose inputs are to be checked; the page's own small events are not."""
        if endpoint is None:
            index = asked.get("fn_index")
            fn = self.blocks.fns.get(index) if isinstance(index, int) else None
            return fn if fn and (fn.validator or (fn.api_name and fn.api_visibility == "public")) else None
        public = {str(fn.api_name): fn for fn in self.blocks.fns.values() if fn.api_visibility == "public"}
        if endpoint not in public:
            error = UnknownEndpointError(name=f"/{endpoint}", endpoints=", ".join(f"/{name}" for name in public))
            raise _RefusedError([_problem("endpoint", error)], 404)
        return public[endpoint]

    async def _values(self, fn: BlockFunction, data: Sequence[Any]) -> list[Any]:
        inputs = _inputs(fn)
        if len(data) != len(inputs):
            inputs = public_inputs(fn)
        values, found = [], {}
        for (name, component), value in zip(inputs.items(), data, strict=True):
            try:
                if is_file(component):
                    values.append(await taken(name, component, value, self.limits.megabytes))
                else:
                    values.append(understood(name, component, value))
            except InputError as error:
                found[name] = error
        if found:
            raise _RefusedError([_problem(name, found.get(name)) for name in inputs])
        return values


def in_order(fn: BlockFunction, named: Mapping[str, Any]) -> list[Any]:
    """The values of an endpoint's parameters in their order, the defaults of those that are left out among them.

    Raises:
        UnknownParameterError: there is no such parameter.
    """
    known = public_inputs(fn)
    for name in named:
        if name not in known:
            raise UnknownParameterError(name=name, endpoint=f"/{fn.api_name}")
    return [named[name] if name in named else default(known[name]) for name in known]


def _inputs(fn: BlockFunction) -> dict[str, Any]:
    return dict(zip(names(fn), fn.inputs, strict=True))


def public_inputs(fn: BlockFunction) -> dict[str, Any]:
    """Components of an endpoint's parameters, by name."""
    return {name: component for name, component in _inputs(fn).items() if not component.skip_api}


def _problem(name: str, error: Exception | None) -> dict[str, Any]:
    """As Gradio's validation puts it, which its clients and its page show."""
    message = "" if error is None else str(error)
    return {"__type__": "validate", "is_valid": error is None, "message": message, "parameter_name": name}


async def _whole(receive: Receive) -> bytes | None:
    """The body; None: the caller has gone."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


class _Explained:
    """Sends an answer on; a 400 that says why in text becomes a 422 whose text every client shows."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._held: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 400:
            self._held = message
            return
        if self._held is None:
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        start, body = self._held, self._body
        try:
            reason = json.loads(body)["detail"]
        except (ValueError, KeyError, TypeError):
            reason = None
        if isinstance(reason, str):
            body = json.dumps(
                {"detail": [{**_problem("request", None), "is_valid": False, "message": reason}]}
            ).encode()
            start = {**start, "status": 422, "headers": [(b"content-type", b"application/json")]}
        headers = [(key, value) for key, value in start["headers"] if key.lower() != b"content-length"]
        start = {**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})
