"""Serve the page: nothing is loaded from elsewhere, nothing is told to anybody."""

import os
from collections.abc import Sequence
from typing import Any

from .reading import Reader

_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "img-src 'self' data: blob:; object-src 'none'; base-uri 'self'; form-action 'self'"
)
"""What a browser may load for the page: what its own server gives. Gradio's own scripts need the two exceptions."""


class LocalOnly:
    """ASGI middleware that tells browsers to load nothing from other hosts, and to send none the page's address."""

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, and add headers to what comes back."""

        async def send_with_headers(event: Any) -> None:
            if event["type"] == "http.response.start":
                headers = [
                    (b"content-security-policy", _POLICY.encode()),
                    (b"referrer-policy", b"no-referrer"),
                    (b"x-content-type-options", b"nosniff"),
                ]
                event = {**event, "headers": [*event.get("headers", []), *headers]}
            await send(event)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def launch(
    reader: Reader,
    examples: Sequence[str] = (),
    *,
    host: str | None = None,
    port: int | None = None,
    is_blocking: bool = True,
) -> Any:
    """Serve the page of a model until the process is told to stop.

    Args:
        reader: the model.
        examples: see `build_page`.
        host: the address to listen on. Default: Gradio's, which is this machine alone, except in a Space.
        port: default: the first free one from 7860 on.
        is_blocking: return when the page is served, and leave the rest to the caller.

    Returns:
        The page, which `close()` ends; its address is `local_url`.

    Raises:
        ModuleNotFoundError: gradio is not installed.
        OSError: the port is taken.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before gradio is imported
    try:
        from starlette.middleware import Middleware

        from .page import STYLE, build_page, theme
    except ModuleNotFoundError as error:
        if error.name != "gradio" and error.name != "starlette":
            raise
        raise ModuleNotFoundError("The page needs gradio: pip install 'spert[demo]'.", name=error.name) from error
    page = build_page(reader, examples)
    page.launch(
        server_name=host,
        server_port=port,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        ssr_mode=False,
        css=STYLE,
        theme=theme(),
        footer_links=[],
        max_file_size=max(4 * reader.max_characters, 65_536),
        app_kwargs={"middleware": [Middleware(LocalOnly)]},
    )
    if is_blocking:
        page.block_thread()
    return page
