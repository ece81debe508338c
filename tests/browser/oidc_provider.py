"""A small OpenID Connect provider: discovery, authorize, token with PKCE, keys, userinfo, end of session.

Whoever asks to sign in picks one of the people on a page of plain HTML, as with a company's own provider.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.web import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENT_ID = "dimshift"
_KEY_ID = "one"


@dataclass(eq=False, kw_only=True)
class Provider:
    """A running provider: its address, its client's secret, and the claims of the people it knows, by their `sub`."""

    people: dict[str, dict[str, Any]]
    url: str = ""
    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    key: RSAKey = field(
        default_factory=lambda: RSAKey.generate_key(2048, parameters={"kid": _KEY_ID, "use": "sig", "alg": "RS256"})
    )
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    def id_token(self, sub: str, nonce: str) -> str:
        """Sign who somebody is, for an hour."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT_ID, "sub": sub, "iat": now, "exp": now + 3600, "nonce": nonce}
        return jwt.encode({"alg": "RS256", "kid": _KEY_ID}, {**claims, **self.people[sub]}, self.key)


@contextmanager
def running_provider(people: dict[str, dict[str, Any]]) -> Iterator[Provider]:
    """Run a provider of these people for as long as the block."""
    provider = Provider(people=people)
    handler = type("Handler", (_Handler,), {"provider": provider})
    with serving(handler) as port:
        provider.url = f"http://localhost:{port}"
        yield provider


class _Handler(BaseHTTPRequestHandler):
    provider: Provider

    def do_GET(self) -> None:  # the library's name
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        answers = {
            "/.well-known/openid-configuration": self._discovery,
            "/jwks": self._keys,
            "/authorize": lambda: self._authorize(query),
            "/userinfo": self._userinfo,
            "/end": lambda: self._redirect(query["post_logout_redirect_uri"]),
        }
        answers.get(parts.path, lambda: self._send(404, b"", "text/plain"))()

    def do_POST(self) -> None:  # the library's name
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        given = {name: values[-1] for name, values in parse_qs(body).items()}
        grant = self.provider.codes.pop(given.get("code", ""), None)
        if not self._is_client(given) or grant is None or not _proves(given.get("code_verifier", ""), grant):
            self._json({"error": "invalid_grant"}, status=400)
            return
        token = secrets.token_urlsafe()
        self.provider.tokens[token] = grant["sub"]
        id_token = self.provider.id_token(grant["sub"], grant["nonce"])
        self._json({"access_token": token, "token_type": "Bearer", "expires_in": 3600, "id_token": id_token})

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""

    def _discovery(self) -> None:
        url = self.provider.url
        places = {"authorization": "authorize", "token": "token", "userinfo": "userinfo", "end_session": "end"}
        self._json(
            {
                "issuer": url,
                **{f"{name}_endpoint": f"{url}/{path}" for name, path in places.items()},
                "jwks_uri": f"{url}/jwks",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "code_challenge_methods_supported": ["S256"],
            }
        )

    def _keys(self) -> None:
        self._json({"keys": [self.provider.key.as_dict(private=False)]})

    def _authorize(self, query: dict[str, str]) -> None:
        if query["client_id"] != CLIENT_ID or query["response_type"] != "code" or "openid" not in query["scope"]:
            self._send(400, b"", "text/plain")
            return
        sub = query.pop("as", None)
        if sub is None:
            links = (
                f"<li><a href='/authorize?{html.escape(urlencode({**query, 'as': one}))}'>{one}</a>"
                for one in self.provider.people
            )
            page = f"<!doctype html><title>Who are you?</title><h1>Who are you?</h1><ul>{''.join(links)}</ul>"
            self._send(200, page.encode(), "text/html")
            return
        code = secrets.token_urlsafe()
        grant = {"sub": sub, "nonce": query["nonce"], "challenge": query["code_challenge"]}
        self.provider.codes[code] = grant
        self._redirect(f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}")

    def _userinfo(self) -> None:
        sub = self.provider.tokens.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
        if sub is None:
            self._json({"error": "invalid_token"}, status=401)
            return
        self._json({"sub": sub, **self.provider.people[sub]})

    def _is_client(self, given: dict[str, str]) -> bool:
        scheme, _, credentials = self.headers.get("Authorization", "").partition(" ")
        if scheme == "Basic":
            return base64.b64decode(credentials).decode() == f"{CLIENT_ID}:{self.provider.client_secret}"
        return given.get("client_secret") == self.provider.client_secret

    def _redirect(self, where: str) -> None:
        self.send_response(302)
        self.send_header("Location", where)
        self.end_headers()

    def _json(self, document: object, *, status: int = 200) -> None:
        self._send(status, json.dumps(document).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _proves(verifier: str, grant: dict[str, str]) -> bool:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == grant["challenge"]
