"""The endpoints as tools of the Model Context Protocol, for what language models send and what they can read.

Gradio's server refuses by its own schema what a model means well ("256" for 256), and words neither for people nor for
models; here every call takes the way of the other programs, through `request_check`, and answers come back one by one.
"""

from __future__ import annotations

import json
from typing import Any

from anyio.to_thread import run_sync
from gradio.blocks import BlockFunction
from gradio.mcp import GradioMCPServer
from gradio.processing_utils import add_root_url
from gradio.route_utils import get_root_url
from gradio_client.utils import is_file_obj_with_meta
from mcp import types
from mcp.server import Server

from real3d_portrait.app.parameters import schema
from real3d_portrait.app.request_check import in_order, public_inputs
from real3d_portrait.app.values import default
from real3d_portrait.errors import UnknownEndpointError

INSTRUCTIONS = (
    "Make talking-head videos from a photo. Look at a photo with inspect_portrait first; it costs little. "
    "audio_driven and video_driven make the video. Give files as data URLs with base64, as addresses of files that "
    "this app serves (results, and uploads posted to /gradio_api/upload), or as addresses on the public web. Ask the "
    "user whether the person shown agreed, and set consent only then."
)
_FILES = " Files are data URLs with base64, or addresses on this app or on the public web."


class PortraitTools(GradioMCPServer):
    """Gradio's server with schemas, checks and answers of the app's own."""

    def create_mcp_server(self) -> Server[Any, Any]:
        """The server; its input is checked where that of all programs is."""
        server = super().create_mcp_server()
        server.instructions = INSTRUCTIONS

        @server.call_tool(validate_input=False)
        async def call_tool(name: str, arguments: dict[str, Any]) -> types.CallToolResult:
            endpoint, values, headers, _ = self._prepare_tool_call_args(name, arguments)
            client = await run_sync(self._get_or_create_client)
            job = client.submit(*values, api_name=endpoint, headers=headers)
            meta = server.request_context.meta
            if meta is None or meta.progressToken is None:
                outputs = await run_sync(job.result)
            else:
                outputs = await self._execute_tool_with_progress(job, meta.progressToken)
            return types.CallToolResult(content=self._contents(outputs))

        return server

    def get_input_schema(
        self, tool_name: str, parameters: dict[str, str] | None = None
    ) -> tuple[dict[str, Any], list[list[str | int]]]:
        """JSON Schema of a tool's input; files are text in it, which no place has to be kept of."""
        fn = self._function(tool_name)
        inputs = public_inputs(fn)
        needed = [name for name in getattr(self.blocks, "needs", {}).get(fn.api_name, ()) if name in inputs]
        properties = {
            name: schema(name, component, None if name in needed else default(component))
            for name, component in inputs.items()
        }
        described = {"type": "object", "properties": properties, "additionalProperties": False}
        return ({**described, "required": needed} if needed else described), []

    @property
    def _file_data_tool_description(self) -> str:
        return _FILES

    def _prepare_tool_call_args(
        self, name: str, arguments: dict[str, Any]
    ) -> tuple[str, list[Any], dict[str, str], BlockFunction]:
        fn = self._function(name)
        selected = self.get_selected_tools_from_request()
        if selected is not None and name not in selected:
            raise UnknownEndpointError(name=name, endpoints=", ".join(selected))
        request = self.mcp_server.request_context.request
        headers = dict(request.headers.items()) if request is not None else {}
        for own in ("content-length", "x-gradio-user"):
            headers.pop(own, None)
        return self.tool_to_endpoint[name], in_order(fn, arguments), headers, fn

    def _function(self, tool: str) -> BlockFunction:
        fn = self.get_block_fn_from_endpoint_name(self.tool_to_endpoint.get(tool, ""))
        if fn is None:
            raise UnknownEndpointError(name=tool, endpoints=", ".join(self.tool_to_endpoint))
        return fn

    def _contents(self, outputs: Any) -> list[Any]:
        """Each output by itself: a picture as it is, with its address; another file as its address; facts as JSON."""
        request = self.mcp_server.request_context.request
        assert request is not None  # a call came with it
        root = get_root_url(request, self.get_route_path(request), self.root_path)
        shown: list[Any] = []
        for output in outputs if isinstance(outputs, (list, tuple)) else [outputs]:
            if isinstance(output, list):  # a gallery
                shown += [entry.get("image", entry) if isinstance(entry, dict) else entry for entry in output]
            elif isinstance(output, dict) and not is_file_obj_with_meta(output):
                shown.append(json.dumps(output, ensure_ascii=False))
            elif output is not None:
                shown.append(output)
        shown = add_root_url(shown, root, (self.local_url or "").rstrip("/"))
        return self.postprocess_output_data(shown, root)
