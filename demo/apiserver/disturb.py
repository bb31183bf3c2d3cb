"""How a fault shows on the wire."""

import asyncio
import socket
import struct
import zlib

from aiohttp import web

from demo.apiserver import status
from demo.apiserver.faults import Fault, Faults
from demo.apiserver.store import encode

CUTTING = frozenset({"reset", "truncated"})
_REFUSALS = {
    "401": status.unauthorized(),
    "403": status.Refusal(
        403, "Forbidden", 'forbidden: User "system:serviceaccount:secretsdash:reader" cannot do this', {}
    ),
    "500": status.Refusal(500, "InternalError", "Internal error occurred: etcdserver: request timed out", {}),
    "503": status.Refusal(503, "ServiceUnavailable", "apiserver not ready", retry_after=1),
}


def _json(refusal: status.Refusal, retry_after: int | None) -> web.Response:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return web.Response(
        status=refusal.code, body=encode(refusal.body()), content_type="application/json", headers=headers
    )


async def instead(fault: Fault, faults: Faults, request: web.BaseRequest) -> web.Response | None:
    """What is answered without asking the server; None when the fault begins later. `slow` only delays."""
    if fault.name == "slow":
        await asyncio.sleep(fault.seconds)
    elif fault.name == "hang":
        await faults.lifted.wait()
        drop(request, reset=False)
        return web.Response(status=503)
    elif fault.name == "garbage":
        return web.Response(
            body=b'{"kind": "List", \x00\xff<!DOCTYPE not json [[[' * 50, content_type="application/json"
        )
    elif fault.name == "content-type":
        return web.Response(text="<html><body>Sign in to continue</body></html>", content_type="text/html")
    elif fault.name == "429":
        return _json(status.too_many_requests(fault.retry_after), fault.retry_after)
    elif fault.name in _REFUSALS:
        return _json(_REFUSALS[fault.name], fault.retry_after if fault.name == "503" else None)
    return None


def drop(request: web.BaseRequest, *, reset: bool) -> None:
    """End the connection; `reset` sends RST in place of FIN."""
    transport = request.transport
    if transport is None:
        return
    if reset:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()


def _inflated(body: bytes, size: int) -> bytes:
    """The first item of a list with an annotation of `size` bytes; other answers stay as they are."""
    start = body.find(b'"items":[{')
    at = body.find(b'"metadata":{', start)
    if start < 0 or at < 0:
        return body
    at += len(b'"metadata":{')
    return body[:at] + b'"annotations":{"example.com/large":"' + b"x" * size + b'"},' + body[at:]


async def instead_of_body(
    fault: Fault, request: web.BaseRequest, answer: web.Response, headers: dict[str, str]
) -> web.StreamResponse:
    """The answer as the fault leaves it: cut in the middle, or with an oversized object."""
    body = answer.body
    assert isinstance(body, bytes)
    if fault.name == "oversized":
        plain = zlib.decompress(body, 16 + zlib.MAX_WBITS) if "Content-Encoding" in answer.headers else body
        large = _inflated(plain, fault.size)
        return web.Response(status=answer.status, body=large, content_type=answer.content_type)
    if fault.name not in CUTTING:
        return answer
    response = web.StreamResponse(status=answer.status, headers={**answer.headers, **headers})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    drop(request, reset=fault.name == "reset")
    return response


async def cut_stream(fault: Fault, request: web.BaseRequest, headers: dict[str, str]) -> web.StreamResponse:
    """A watch that breaks off inside its first event."""
    response = web.StreamResponse(headers=headers | {"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    await response.write(b'{"type":"MODIFIED","object":{"metadata":{"na')
    drop(request, reset=fault.name == "reset")
    return response
