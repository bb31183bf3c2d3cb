"""Servers that answer and are no API servers: each is told apart, and none of them can hurt."""

import asyncio
import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import pytest

from clusters.collector import Reader
from clusters.connection import BODY_LIMIT
from clusters.observations import Failure
from demo.apiserver.tls import make_identity, server_context
from tests.integration.reading import local_reader, read, target_of


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with local_reader() as reader:
        yield reader


class Answering(NamedTuple):
    """A TLS server that is no API server."""

    url: str
    ca_pem: str
    token: str


@contextmanager
def answering(answer: bytes) -> Iterator[Answering]:
    """A server that answers every request with exactly these bytes and then closes the connection."""
    identity = make_identity("odd")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    connections: list[asyncio.StreamWriter] = []

    async def answer_one(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        connections.append(outgoing)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await incoming.readuntil(b"\r\n\r\n")
            outgoing.write(answer)
            await outgoing.drain()
        outgoing.close()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(answer_one, "127.0.0.1", 0, ssl=server_context(identity))

    async def stop(server: asyncio.Server) -> None:
        server.close()
        for connection in connections:
            connection.transport.abort()
        await server.wait_closed()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    server = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield Answering(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", identity.ca_pem, "token")
    finally:
        asyncio.run_coroutine_threadsafe(stop(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


VERSION = b'{"gitVersion":"v1.36.3"}'
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BOMB = gzip.compress(b" " * (BODY_LIMIT + 1))


class Odd(NamedTuple):
    """What some TLS server answers to everything, and what we make of it."""

    name: str
    answer: bytes
    failure: Failure
    words: str = ""


ODD = [
    Odd(
        "redirect",
        b"HTTP/1.1 302 Found\r\nLocation: https://10.0.0.1/\r\nContent-Length: 0\r\n\r\n",
        Failure.BAD_ANSWER,
    ),
    Odd("no HTTP", b"220 mail.example.com ESMTP\r\n", Failure.BAD_ANSWER),
    Odd("endless header", OK + b"X: " + b"a" * 100_000 + b"\r\n\r\n", Failure.BAD_ANSWER),
    Odd("many headers", OK + b"X: a\r\n" * 100_000 + b"\r\n", Failure.BAD_ANSWER),
    Odd("bad length", OK + b"Content-Length: -5\r\n\r\n{}", Failure.BAD_ANSWER),
    Odd("bad chunk", OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n", Failure.BAD_ANSWER),
    Odd("no gzip", OK + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd", Failure.INTERRUPTED),
    Odd(
        "gzip bomb",
        OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB,
        Failure.BAD_ANSWER,
        "larger than",
    ),
    Odd("nothing", b"", Failure.UNREACHABLE),
    Odd("half a header", b"HTTP/1.1 200 OK\r\nContent-", Failure.UNREACHABLE),
    Odd("empty JSON", OK + b"Content-Length: 2\r\n\r\n{}", Failure.BAD_ANSWER),
    Odd("deep JSON", OK + b"Content-Length: 200000\r\n\r\n" + b"[" * 200_000, Failure.BAD_ANSWER),
    Odd("login page", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n", Failure.BAD_ANSWER),
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.name)
def test_a_server_that_is_no_api_server_is_told_apart(reader: Reader, odd: Odd) -> None:
    with answering(odd.answer) as server:
        snapshot = read(reader, target_of(server, deadline=20.0))

    assert snapshot.problem is not None
    assert snapshot.problem.failure == odd.failure
    assert odd.words in snapshot.problem.message


def test_an_odd_clock_is_no_clock(reader: Reader) -> None:
    answer = OK + b"Date: yesterday\r\nContent-Length: %d\r\n\r\n" % len(VERSION) + VERSION
    with answering(answer) as server:
        assert read(reader, target_of(server)).server_time is None
