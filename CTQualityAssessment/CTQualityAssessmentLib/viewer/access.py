"""Who may talk to the viewer: the browser that was given the address with its token, and nobody else.

The address carries a random token. The first request trades it for a cookie that no script can read and that other
sites cannot send, so the token leaves the address line. Every request, the websocket's among them, must then bring the
cookie, name this computer as its host (which stops DNS rebinding) and, where a browser tells the page it comes from,
come from the viewer's own page.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HOST = "127.0.0.1"
_PAGES = ("/", "/index.html")
_REFUSED = (
    "<!doctype html><html lang='en'><meta charset='utf-8'><title>Not allowed</title><body><h1>Not allowed</h1>"
    "<p>Open the complete address that the program printed in its terminal; it holds a key that changes every time."
)
#: Not a redirect: one that began with a click on another site, as in a web mail, is without the cookie to its end.
_ENTER = (
    "<!doctype html><html lang='en'><meta charset='utf-8'><meta http-equiv='refresh' content='0; url=/index.html'>"
    "<title>CT quality</title><body><p><a href='/index.html'>Open the viewer</a>"
)
_HEADERS = {
    # Vue compiles its templates in the browser, hence 'unsafe-eval'; nothing may come from or go to another server.
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' blob: data:; font-src 'self'; connect-src 'self'; worker-src 'self' blob:; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Access:
    """The token of one start of the viewer, and the check of every request."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)
        # A second secret: whoever reads the address in a browser's history later cannot make the cookie from it.
        self._cookie = secrets.token_urlsafe(32)

    def address(self, port: int) -> str:
        """What the user opens."""
        return f"http://{HOST}:{port}/?token={self.token}"

    def middleware(self) -> Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]:
        """For the aiohttp application."""
        from aiohttp import web

        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            port = request.transport.get_extra_info("sockname")[1] if request.transport else 0
            try:
                response = self._answer(request, port) or await handler(request)
            except web.HTTPException as error:
                error.headers.update(_HEADERS)
                raise
            except (OSError, ValueError):  # a name that no file can have
                response = web.Response(status=404)
            if not response.prepared:
                response.headers.update(_HEADERS)
            return response

        return check

    def _answer(self, request: web.Request, port: int) -> web.Response | None:
        """A refusal, the trade of the token for the cookie, or None where the request may pass."""
        from aiohttp import web

        refused = web.Response(status=403, text=_REFUSED, content_type="text/html")
        hosts = {f"{HOST}:{port}", f"localhost:{port}"}
        if request.headers.get("Host", "") not in hosts:
            return refused
        origin = request.headers.get("Origin")
        if origin is not None and origin != f"http://{request.headers['Host']}":
            return refused
        # Pages of other ports of this computer get the cookie sent along, because a site is a host; of these only
        # navigation may pass, and that to the page itself.
        site, mode = request.headers.get("Sec-Fetch-Site"), request.headers.get("Sec-Fetch-Mode")
        if site not in (None, "same-origin", "none") and (mode != "navigate" or request.path not in _PAGES):
            return refused
        name = f"ctqa-{port}"  # cookies are shared between the ports of a host
        if request.path == "/" and _same(request.query.get("token", ""), self.token):
            response = web.Response(text=_ENTER, content_type="text/html")
            response.set_cookie(name, self._cookie, httponly=True, samesite="Strict", path="/")
            return response
        return None if _same(request.cookies.get(name, ""), self._cookie) else refused


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode())
