"""The key-value store behind the API servers: enough of its JSON interface to empty it between tests."""

import base64
import http.client
import json
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_TIMEOUT_SECONDS = 10
# etcd refuses transactions of more operations than this (--max-txn-ops).
_OPERATIONS_PER_TRANSACTION = 128


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("etcd", timeout=_TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_TIMEOUT_SECONDS)
        self.sock.connect(str(self._path))


class Etcd:
    """A running etcd, reached through its Unix socket."""

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path

    def is_healthy(self) -> bool:
        try:
            return bool(self._call("GET", "/health")["health"] == "true")
        except (ConnectionError, FileNotFoundError, TimeoutError, http.client.HTTPException):  # not listening yet
            return False

    def keys(self, prefix: str) -> set[bytes]:
        """All keys that begin with the prefix, without their values."""
        start = prefix.encode()
        end = start[:-1] + bytes([start[-1] + 1])
        answer = self._call(
            "POST", "/v3/kv/range", {"key": _encode(start), "range_end": _encode(end), "keys_only": True}
        )
        return {base64.b64decode(item["key"]) for item in answer.get("kvs", [])}

    def delete(self, keys: Iterable[bytes]) -> None:
        ordered = sorted(keys)
        for start in range(0, len(ordered), _OPERATIONS_PER_TRANSACTION):
            batch = ordered[start : start + _OPERATIONS_PER_TRANSACTION]
            deletions = [{"request_delete_range": {"key": _encode(key)}} for key in batch]
            self._call("POST", "/v3/kv/txn", {"success": deletions})

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        connection = _SocketConnection(self._socket_path)
        try:
            connection.request(method, path, body=json.dumps(body) if body else None)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise http.client.HTTPException(f"etcd answered {response.status} to {path}: {content[:200]!r}")
        answer: dict[str, Any] = json.loads(content)
        return answer


def _encode(key: bytes) -> str:
    return base64.b64encode(key).decode()
