"""Who may talk to the server, and which files it may touch.

One ASGI middleware stands in front of our routes and of Gradio's alike: it refuses foreign Host
headers (DNS rebinding), foreign Origins (cross-site requests), requests without a session and
bodies that are too large, and adds the security headers. `PathGuard` answers for server paths.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
import os
import secrets
import socket
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.login import LOGIN_PATH, login_page
from data_io.errors import DataError

MAX_UPLOAD_BYTES = 200 * 2**20  # one uploaded file
MAX_REQUEST_BYTES = 2 * 2**30  # one request of Gradio's upload route: several files
MAX_JSON_BYTES = 32 * 2**20  # one request of our own routes
SESSION_SECONDS = 30 * 24 * 3600
RENEW_SECONDS = 24 * 3600  # age from which opening the page renews the session
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
HEALTH_PATH = "/healthz"
ATTEMPTS, ATTEMPT_WINDOW = 10, 60.0

# Gradio's pages run inline scripts and compile templates, hence the two 'unsafe-' words; nothing
# may be loaded from, sent to or framed by another host.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "frame-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class StartError(Exception):
    """The server cannot or must not start like this; the message says what to do."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host` (a name or an IP literal)."""
    bare = host.strip("[]").lower()
    if bare == "localhost":
        return True
    address = _address(bare)
    return address is not None and address.is_loopback


def check_host(host: str, token: str | None) -> None:
    """Refuse to serve other machines without a token.

    Raises:
        StartError: `host` is not loopback and `token` is empty.
    """
    if not is_loopback(host) and not token:
        raise StartError(
            f"refusing to serve on {host} without a token, because everybody who reaches this"
            " machine could read and change the project; add --token SECRET or use"
            " --host 127.0.0.1."
        )


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        return None


@dataclass(frozen=True)
class PathGuard:
    """Server paths a user may name: those under `roots` (already resolved folders)."""

    roots: tuple[Path, ...]

    @classmethod
    def of(cls, project: Path, allow_roots: Iterable[str | Path] = ()) -> PathGuard:
        """Guard for a project folder and the folders given with --allow-root."""
        folders = [Path(project), *(Path(root).expanduser() for root in allow_roots)]
        return cls(tuple(folder.resolve() for folder in folders))

    def allows(self, path: str | Path) -> bool:
        """Whether `path`, with every symlink resolved, lies under a root."""
        try:
            real = Path(os.path.realpath(path))
        except (OSError, ValueError):
            return False
        return any(real == root or root in real.parents for root in self.roots)

    def resolve(self, path: str) -> Path:
        """The real path behind what a user typed; relative paths start at the project.

        Raises:
            DataError: the path is empty, missing or leads outside the allowed folders. Missing
                and forbidden read the same outside the roots, so nobody can probe for files.
        """
        text = path.strip().strip('"')
        remedy = "use a folder under the project, or start the server with --allow-root FOLDER"
        if not text:
            raise DataError("path", "is empty", "type the path of a folder or file")
        if "\0" in text:
            raise DataError(text, "no usable path was given", remedy)
        joined = self.roots[0] / Path(text).expanduser()  # an absolute path replaces the root
        if not self.allows(joined):
            raise DataError(text, "the server may not read this path", remedy)
        real = Path(os.path.realpath(joined))
        if not real.exists():
            raise DataError(text, "there is no such file or folder", "check the spelling")
        return real


class Sessions:
    """Signed session cookies that survive a restart; they hold no secret and no user data.

    `key` is 32 random bytes kept in the project (readable by its owner only). The token takes
    part in the signature, so that a new token ends every old session.
    """

    def __init__(self, key: bytes, token: str | None = None) -> None:
        self._key = hashlib.sha256(key + b"\0" + (token or "").encode()).digest()
        # Cookies ignore ports: the name keeps two servers of one machine apart.
        self.cookie = "herdmark-" + hashlib.sha256(b"name" + key).hexdigest()[:10]

    def issue(self) -> str:
        """A fresh cookie value."""
        body = f"{int(time.time())}.{secrets.token_urlsafe(12)}"
        return f"{body}.{self._sign(body)}"

    def age(self, value: str) -> float:
        """Seconds since this server issued `value`; infinite where it did not or has run out."""
        body, _, signature = value.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(body).encode()):
            return math.inf
        age = time.time() - int(body.partition(".")[0])
        return age if age < SESSION_SECONDS else math.inf

    def _sign(self, body: str) -> str:
        return hmac.new(self._key, body.encode(), hashlib.sha256).hexdigest()


def session_key(project: Path) -> bytes:
    """The project's session key, created with mode 0600 on first use."""
    file = Path(project) / ".session-key"
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = file.read_bytes()
        if len(key) == 32:
            return key
        file.unlink()  # torn by a crash: sessions are cheap, make a new key
        return session_key(project)
    with os.fdopen(descriptor, "wb") as target:
        key = secrets.token_bytes(32)
        target.write(key)
    return key


class SecurityMiddleware:
    """Host, Origin, session, header and size checks in front of every route.

    Args:
        app: the ASGI application behind the checks.
        sessions: issues and checks the cookie.
        host: the address the server listens on.
        token: the secret asked for on the login page; None only on loopback.
        allow_hosts: further names the server is reached under (a reverse proxy's).
    """

    def __init__(
        self,
        app: ASGIApp,
        sessions: Sessions,
        host: str = "127.0.0.1",
        token: str | None = None,
        allow_hosts: Iterable[str] = (),
    ) -> None:
        check_host(host, token)
        self.app, self.sessions, self.token = app, sessions, token
        self.any_address = not is_loopback(host)
        names = {"localhost", host.strip("[]").lower(), *(name.lower() for name in allow_hosts)}
        if self.any_address:
            machine = socket.gethostname().lower()
            names |= {machine, f"{machine}.local"}
        self.names = frozenset(names)
        self._failures: deque[float] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._foreign(headers)
        if scope["type"] == "websocket":
            if refusal or self._session_age(headers) == math.inf:
                await send({"type": "websocket.close", "code": 1008})
            else:
                await self.app(scope, receive, send)
            return
        guarded = _with_headers(send, _cache_control(scope["path"]))
        age = self._session_age(headers)
        if refusal is None and age == math.inf:
            refusal = await self._enter(scope, headers, receive)
        elif RENEW_SECONDS < age < math.inf and _opens_page(scope):
            scope["herdmark.cookie"] = self._cookie(scope)
        if refusal is None:
            refusal = _refuse_request(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, guarded)
            return
        await self._limited(scope, headers, receive, guarded)

    def _foreign(self, headers: Headers) -> Response | None:
        """The answer to a foreign Host or Origin, else None."""
        host = headers.get("host", "")
        if not self._known(host):
            return _sentence(
                421,
                f"this server does not answer to the name {host[:100]!r};"
                " start it with --allow-host NAME.",
            )
        origin = headers.get("origin")
        site = headers.get("sec-fetch-site", "none")
        navigation = headers.get("sec-fetch-mode") == "navigate"
        same = origin is None or urlsplit(origin).netloc.lower() == host.lower()
        # A browser's top-level link from elsewhere carries no Origin and may open the page.
        if not same or (origin is None and site not in {"none", "same-origin"} and not navigation):
            return _sentence(403, "requests from other sites are refused.")
        return None

    def _known(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self.names:
            return True
        address = _address(name)
        # Rebinding needs a name, so on an open server an address literal is as good as its own.
        return address is not None and (address.is_loopback or self.any_address)

    def _session_age(self, headers: Headers) -> float:
        try:
            jar: SimpleCookie = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return math.inf
        morsel = jar.get(self.sessions.cookie)
        return math.inf if morsel is None else self.sessions.age(morsel.value)

    async def _enter(self, scope: Scope, headers: Headers, receive: Receive) -> Response | None:
        """What a visitor without a session gets; None lets the request pass."""
        path, method = scope["path"], scope["method"]
        if path == HEALTH_PATH:
            return JSONResponse({"ok": True})
        if self.token is None:
            if _opens_page(scope):
                scope["herdmark.cookie"] = self._cookie(scope)
                return None
        elif path == LOGIN_PATH and method == "POST":
            form = parse_qs((await _body(receive, 4096)).decode("utf-8", "replace"))
            return self._login(scope, form.get("token", [""])[0])
        elif path in {"/", LOGIN_PATH} and method == "GET":
            given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
            return self._login(scope, given) if given else HTMLResponse(login_page(), 401)
        return _sentence(401, "this needs a session; open the start page first.")

    def _login(self, scope: Scope, given: str) -> Response:
        now = time.monotonic()
        while self._failures and now - self._failures[0] > ATTEMPT_WINDOW:
            self._failures.popleft()
        if len(self._failures) >= ATTEMPTS:
            return HTMLResponse(login_page("Too many attempts. Wait a minute."), 429)
        if not hmac.compare_digest(given.strip().encode(), (self.token or "").encode()):
            self._failures.append(now)
            return HTMLResponse(login_page("That is not the token."), 401)
        answer = RedirectResponse("./", 303)
        answer.headers["set-cookie"] = self._cookie(scope)
        return answer

    def _cookie(self, scope: Scope) -> str:
        secure = "; Secure" if scope.get("scheme") == "https" else ""
        value = f"{self.sessions.cookie}={self.sessions.issue()}"
        return f"{value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={SESSION_SECONDS}{secure}"

    async def _limited(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        """Pass the request on, counting its body against the limit of its route."""
        limit = MAX_JSON_BYTES if scope["path"].startswith("/api/") else MAX_REQUEST_BYTES
        sentence = f"the upload is larger than {limit // 2**20} MB; send less at a time."
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > limit:
            await _sentence(413, sentence)(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:  # a chunked body announces no length
                raise HTTPException(413, sentence)
            return message

        await self.app(scope, counted, _with_cookie(send, scope.get("herdmark.cookie")))


def _opens_page(scope: Scope) -> bool:
    return scope["path"] == "/" and scope["method"] in {"GET", "HEAD"}


def _refuse_request(scope: Scope, headers: Headers) -> Response | None:
    """State-changing calls of our own routes carry a header that no HTML form can send."""
    own = scope["path"].startswith("/api/") and scope["method"] not in SAFE_METHODS
    if own and headers.get("x-herdmark") != "1":
        return _sentence(403, "the header X-Herdmark: 1 is missing.")
    return None


def _sentence(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status)


async def _body(receive: Receive, limit: int) -> bytes:
    data = b""
    while len(data) <= limit:
        message = await receive()
        data += message.get("body", b"")
        if message["type"] != "http.request" or not message.get("more_body"):
            break
    return data[:limit]


def _cache_control(path: str) -> Mapping[str, str]:
    """Pages and JSON are never cached unless their route says otherwise."""
    return {"cache-control": "no-store"} if path == "/" or path.startswith("/api/") else {}


def _with_headers(send: Send, defaults: Mapping[str, str]) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers[name] = value
            for name, value in defaults.items():
                headers.setdefault(name, value)
        await send(message)

    return wrapped


def _with_cookie(send: Send, cookie: str | None) -> Send:
    if cookie is None:
        return send

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).append("set-cookie", cookie)
        await send(message)

    return wrapped
