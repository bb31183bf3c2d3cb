"""One connection to one API server: GET, within limits, and every way to fail as one of our own categories.

No redirects, no proxies or certificates from the environment, no cookies. Sessions and TLS contexts live as long as
the event loop: a TLS handshake costs more than everything else of a poll that finds nothing new.
"""

import asyncio
import hashlib
import socket
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult

from clusters import dial
from clusters.observations import Failure, Problem, Target
from clusters.scrubbing import clip, scrub

JSON = "application/json"

BODY_LIMIT = 64 * 1024 * 1024
ERROR_LIMIT = 64 * 1024
MESSAGE_LIMIT = 200
MAX_RETRY_AFTER = 3600
CONNECT_SECONDS = 5
# Above the slowest usual poll interval, so that connections outlive the pause between two collections.
KEEP_ALIVE_SECONDS = 150
_MAX_CONTEXTS = 2_000


class ReadFailed(Exception):
    """A request brought nothing usable. `status` is the HTTP status, 0 where there was none."""

    def __init__(self, failure: Failure, message: str, *, status: int = 0, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.problem = Problem(failure=failure, message=message, retry_after=retry_after)
        self.status = status


class Answer(NamedTuple):
    """A 200 answer, decompressed."""

    headers: Mapping[str, str]
    body: bytes


class Transport:
    """What all connections of one event loop share. Create and close it inside that loop."""

    def __init__(self, allowed_networks: dial.Allowed = ()) -> None:
        self._policy = dial.policy(allowed_networks)
        self._own_addresses_known = False
        self._contexts: dict[bytes, ssl.SSLContext] = {}
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=_PolicyResolver(self.permitted),
                use_dns_cache=False,
                limit=0,
                keepalive_timeout=KEEP_ALIVE_SECONDS,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            headers={"User-Agent": "secretsdash"},
            trust_env=False,
        )

    async def permitted(self, host: str, addresses: Sequence[str]) -> list[str]:
        """`dial.permitted`; our own servers' names are resolved in a thread, as the loop waits for no name server."""
        if not self._own_addresses_known:
            await asyncio.get_running_loop().run_in_executor(None, self._policy.own_addresses)
            self._own_addresses_known = True
        return dial.permitted(host, addresses, self._policy)

    def context(self, ca_pem: str, certificate: str = "", key: str = "") -> ssl.SSLContext:
        """The TLS context for one authority and client certificate, built once.

        It is also what keeps connections apart: a connection that one identity opened serves no other.
        """
        digest = hashlib.sha256("\0".join((ca_pem, certificate, key)).encode()).digest()
        if digest not in self._contexts:
            if len(self._contexts) >= _MAX_CONTEXTS:
                self._contexts.clear()
            self._contexts[digest] = _new_context(ca_pem, certificate, key)
        return self._contexts[digest]

    async def close(self) -> None:
        await self.session.close()


def _new_context(ca_pem: str, certificate: str, key: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=ca_pem or None)
    except (ssl.SSLError, ValueError):
        raise ReadFailed(Failure.TLS, "The stored CA certificate cannot be read.") from None
    if certificate:
        # OpenSSL's Python binding takes a client certificate from a file only. It has mode 600 and lives for this call.
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(f"{certificate}\n{key}\n")
            file.flush()
            try:
                context.load_cert_chain(file.name)
            except (ssl.SSLError, ValueError):
                raise ReadFailed(Failure.CREDENTIAL, "The stored client certificate cannot be used.") from None
    return context


class Connection:
    """Requests to one cluster. Counts what it did; after a failure of the cluster as a whole it asks no more."""

    def __init__(self, transport: Transport, target: Target) -> None:
        self._transport = transport
        self._url = target.api_url.rstrip("/")
        self._trust = (target.ca_pem, target.client_certificate, target.client_key)
        self._token = target.token
        self._broken: ReadFailed | None = None
        self.requests = 0
        self.bytes_read = 0
        self.answers = 0
        self.server_time: datetime | None = None
        self.server_time_at = 0.0  # when it was told, by our monotonic clock

    async def get(
        self, path: str, params: Mapping[str, str] | None = None, accept: str = JSON, *, proxied: bool = False
    ) -> Answer:
        """GET `path`. Raises ReadFailed for everything but a complete 200 answer of the wanted content type.

        `proxied` answers come from somebody's pod: they say nothing about the cluster, its clock or our credential.
        """
        if self._broken is not None:
            raise self._broken
        try:
            return await self._get(path, params or {}, accept, proxied)
        except ReadFailed as failed:
            if not proxied and _concerns_cluster(failed, self.answers):
                self._broken = failed
            raise

    async def _get(self, path: str, params: Mapping[str, str], accept: str, proxied: bool) -> Answer:
        headers = {"Accept": accept, "Accept-Encoding": "gzip", **self._authorization()}
        await self._check_address()
        context = self._transport.context(*self._trust)
        self.requests += 1
        with _categorised() as progress:
            async with self._transport.session.get(
                self._url + path, params=dict(params), headers=headers, ssl=context, allow_redirects=False
            ) as response:
                progress.append("answered")
                if not proxied:
                    self._note_answer(response)
                if response.status != 200:
                    raise await _refused(response)
                if accept.startswith(JSON) and response.content_type != JSON:
                    raise ReadFailed(Failure.BAD_ANSWER, "The answer is not JSON; is this address an API server?")
                return Answer(response.headers, await self._body(response))

    def _authorization(self) -> dict[str, str]:
        """The bearer token, or nothing where the client certificate of the TLS context says who we are."""
        if not self._token and self._trust[1]:
            return {}
        if not self._token.isascii() or not self._token.isprintable() or " " in self._token or not self._token:
            raise ReadFailed(Failure.CREDENTIAL, "The stored token is empty or not a bearer token.")
        return {"Authorization": f"Bearer {self._token}"}

    async def _check_address(self) -> None:
        """Refuse what the resolver never sees: other schemes, and addresses that are no names."""
        try:
            host, _ = dial.host_and_port(self._url)
            if _is_address(host):
                await self._transport.permitted(host, [host])
        except dial.DialRefused as refused:
            raise ReadFailed(Failure.DIAL_REFUSED, str(refused)) from None

    def _note_answer(self, response: aiohttp.ClientResponse) -> None:
        self.answers += 1
        try:
            self.server_time = parsedate_to_datetime(response.headers.get("Date", "")).astimezone(UTC)
            self.server_time_at = time.monotonic()
        except (ValueError, OverflowError):
            return  # no clock in this answer; an earlier one may have had it

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        chunks, size = [], 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > BODY_LIMIT:
                raise ReadFailed(Failure.BAD_ANSWER, f"The answer is larger than {BODY_LIMIT >> 20} MiB.")
            chunks.append(chunk)
        self.bytes_read += size
        return b"".join(chunks)


class _PolicyResolver(AbstractResolver):
    """Resolves a name once and hands on only the addresses that the dial policy permits."""

    def __init__(self, permitted: Callable[[str, Sequence[str]], Awaitable[list[str]]]) -> None:
        self._permitted = permitted

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        usable = set(await self._permitted(host, [str(entry[4][0]) for entry in found]))
        return [
            ResolveResult(hostname=host, host=str(entry[4][0]), port=port, family=entry[0], proto=entry[2], flags=0)
            for entry in found
            if str(entry[4][0]) in usable
        ]

    async def close(self) -> None:
        """Nothing to close: the loop's executor resolves."""


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def _concerns_cluster(failed: ReadFailed, answers: int) -> bool:
    """Whether asking the same cluster for something else is pointless."""
    failure = failed.problem.failure
    if failure in (Failure.DIAL_REFUSED, Failure.TLS, Failure.CREDENTIAL) or failed.status == 401:
        return True
    return failure in (Failure.UNREACHABLE, Failure.TIMEOUT) and answers == 0


@contextmanager
def _categorised() -> Iterator[list[str]]:
    """Turn aiohttp's exceptions into ours. The list that is yielded gets an entry when the answer began."""
    progress: list[str] = []
    try:
        yield progress
    except dial.DialRefused as refused:
        raise ReadFailed(Failure.DIAL_REFUSED, str(refused)) from None
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError, ssl.SSLError) as error:
        raise ReadFailed(Failure.TLS, _tls_message(error)) from error
    except aiohttp.ClientConnectorDNSError as error:
        raise ReadFailed(Failure.UNREACHABLE, "The name of the API server cannot be resolved.") from error
    except (aiohttp.ServerTimeoutError, TimeoutError) as error:
        raise ReadFailed(Failure.TIMEOUT, f"No connection within {CONNECT_SECONDS} seconds.") from error
    except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError, OSError) as error:
        if progress:
            raise ReadFailed(Failure.INTERRUPTED, "The answer broke off.") from error
        raise ReadFailed(Failure.UNREACHABLE, "The API server refused or dropped the connection.") from error
    except aiohttp.ClientError as error:
        raise ReadFailed(Failure.BAD_ANSWER, "The answer is not understood; is this address an API server?") from error


def _tls_message(error: Exception) -> str:
    reason = getattr(getattr(error, "certificate_error", error), "verify_message", "") or ""
    return "The API server's certificate is not trusted" + (f": {scrub(reason, 100)}." if reason else ".")


class _Status(msgspec.Struct):
    message: str = ""


# A 403 is about one kind, see Outcome.FORBIDDEN; only a 401 is about the cluster.
_FAILURES = {401: Failure.UNAUTHORIZED, 403: Failure.UNAUTHORIZED, 429: Failure.RATE_LIMITED}


async def _refused(response: aiohttp.ClientResponse) -> ReadFailed:
    """What an answer other than 200 means, with the server's own words where they are a Status object."""
    status = response.status
    failure = _FAILURES.get(status, Failure.SERVER_ERROR if status >= 500 else Failure.BAD_ANSWER)
    sentence = f"The API server answered {status} to {clip(urlsplit(str(response.url)).path, 120)}"
    if 300 <= status < 400:
        return ReadFailed(failure, f"{sentence}; redirects are not followed.", status=status)
    words = await _server_words(response)
    retry_after = response.headers.get("Retry-After", "")
    return ReadFailed(
        failure,
        f"{sentence}: {words}" if words else f"{sentence}.",
        status=status,
        retry_after=min(int(retry_after), MAX_RETRY_AFTER)
        if retry_after.isdecimal() and len(retry_after) < 9
        else None,
    )


async def _server_words(response: aiohttp.ClientResponse) -> str:
    if response.content_type != JSON:
        return ""
    try:
        body = await response.content.read(ERROR_LIMIT)
        return scrub(msgspec.json.decode(body, type=_Status).message, MESSAGE_LIMIT)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, aiohttp.ClientError, OSError):
        return ""  # the status code alone says what failed
