"""The HTTP side of one simulated API server: routes, access, answers."""

import uuid
import zlib
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from aiohttp import web

from demo.apiserver import discovery, disturb, reads, status
from demo.apiserver.access import Access, Attributes
from demo.apiserver.faults import Faults
from demo.apiserver.kinds import BUILT_IN
from demo.apiserver.proxy import certificate
from demo.apiserver.reads import ListRequest
from demo.apiserver.representation import negotiate
from demo.apiserver.status import NoSuchPath, Refusal
from demo.apiserver.store import Object, Store, Table, encode
from demo.apiserver.watch import DEFAULT_TIMEOUT, Watch
from demo.apiserver.writes import Writer

GZIP_FROM = 128 * 1024
"""kube-apiserver compresses answers above this size, at level 1, when asked to."""

LARGEST_BODY = 3 * 1024 * 1024
_BUILT_IN_GROUPS = frozenset(kind.group for kind in BUILT_IN)
_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Path:
    """A resource path: /api/v1/namespaces/NS/PLURAL/NAME/SUBRESOURCE/..., or the same below /apis/GROUP."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    rest: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: str) -> "Path | None":
        """None for paths that name no resource."""
        match path.strip("/").split("/"):
            case ["api", version, plural, *rest]:
                group = ""
            case ["apis", group, version, plural, *rest]:
                pass
            case _:
                return None
        if plural == "namespaces" and len(rest) >= 2 and rest[1] != "status":
            namespace, plural, *rest = rest
        else:
            namespace = ""
        name, *below = rest or [""]
        return cls(group, version, plural, namespace, name, tuple(below))

    def attributes(self, verb: str) -> Attributes:
        resource = f"{self.plural}/{self.rest[0]}" if self.rest else self.plural
        if self.plural == "namespaces" and self.name:
            return Attributes(verb, self.group, resource, self.name, self.name)
        return Attributes(verb, self.group, resource, self.namespace, self.name)


class Server:
    """Answers the requests of one cluster. Runs in the fleet's loop."""

    def __init__(
        self, store: Store, access: Access, faults: Faults, certificates: dict[str, str], requests: Any
    ) -> None:
        self.store = store
        self.access = access
        self.faults = faults
        self.certificates = certificates
        self.requests = requests
        self._zipped: dict[bytes, bytes] = {}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append((request.method, request.path_qs))
        fault = self.faults.take(request.path_qs)
        if fault is not None and (early := await disturb.instead(fault, self.faults, request)) is not None:
            return self._dated(early)
        answer = await self._answer(request)
        if isinstance(answer, Watch):
            if fault is not None and fault.name in disturb.CUTTING:
                return await disturb.cut_stream(fault, request, self._headers())
            return await self._stream(request, answer)
        if fault is not None:
            return self._dated(await disturb.instead_of_body(fault, request, answer, self._headers()))
        return self._dated(answer)

    def _headers(self) -> dict[str, str]:
        return {
            "Date": f"{self.store.now():%a, %d %b %Y %H:%M:%S} GMT",
            "Audit-Id": str(uuid.uuid4()),
            "Cache-Control": "no-cache, private",
        }

    def _dated(self, response: web.StreamResponse) -> web.StreamResponse:
        if not response.prepared:
            response.headers.update(self._headers())
        return response

    async def _answer(self, request: web.BaseRequest) -> web.Response | Watch:
        try:
            return await self._route(request)
        except Refusal as refusal:
            headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
            return self._json(request, encode(refusal.body()), code=refusal.code, headers=headers)
        except NoSuchPath:
            return web.Response(status=404, text="404 page not found\n")

    def _json(
        self, request: web.BaseRequest, body: bytes, *, code: int = 200, headers: dict[str, str] | None = None
    ) -> web.Response:
        headers = dict(headers or {})
        if len(body) > GZIP_FROM and "gzip" in request.headers.get("Accept-Encoding", ""):
            body = self._gzip(body)
            headers["Content-Encoding"] = "gzip"
            headers["Vary"] = "Accept-Encoding"
        return web.Response(status=code, body=body, content_type="application/json", headers=headers)

    def _gzip(self, body: bytes) -> bytes:
        """Compressed answers are kept as long as the answer itself is: nothing changed costs nothing."""
        known = self._zipped.get(body)
        if known is None:
            packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
            known = packer.compress(body) + packer.flush()
            self._zipped[body] = known
            while len(self._zipped) > reads.ANSWERS:
                del self._zipped[next(iter(self._zipped))]
        return known

    async def _route(self, request: web.BaseRequest) -> web.Response | Watch:
        path = Path.read(request.path)
        authorization = request.headers.get("Authorization")
        if path is None:
            self.access.check(authorization, Attributes(_VERBS[request.method], path=request.path))
            return self._document(request)
        verb = self._verb(request, path)
        self.access.check(authorization, path.attributes(verb))
        if path.plural in ("selfsubjectaccessreviews", "selfsubjectrulesreviews"):
            return await self._review(request, path)
        if path.plural == "services" and path.rest[:1] == ("proxy",):
            return self._proxy(path)
        table = self._table(path)
        if verb in ("list", "watch"):
            return self._collection(request, path, table, verb)
        return await self._object(request, path, table, verb)

    def _verb(self, request: web.BaseRequest, path: Path) -> str:
        if request.method not in _VERBS:
            raise Refusal(
                405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {}
            )
        if request.method == "GET" and not path.name:
            return "watch" if request.query.get("watch") in ("true", "1") else "list"
        return _VERBS[request.method]

    def _document(self, request: web.BaseRequest) -> web.Response:
        parts = request.path.strip("/").split("/")
        if parts[0] in ("healthz", "livez", "readyz"):
            return web.Response(text="ok")
        kinds = [table.kind for table in self.store.tables.values()]
        negotiate(request.headers.get("Accept", ""), "get")
        return self._json(request, encode(discovery.document(kinds, parts)))

    async def _review(self, request: web.BaseRequest, path: Path) -> web.Response:
        body = await self._body(request)
        if path.plural == "selfsubjectaccessreviews":
            return self._json(request, encode(self.access.review(body)), code=201)
        return self._json(request, encode(self.access.rules(body, list(self.store.tables))), code=201)

    def _proxy(self, path: Path) -> web.Response:
        pem = certificate(self.store, self.certificates, path.namespace, path.name, path.rest[1:])
        return web.Response(body=pem.encode(), content_type="application/x-pem-file")

    def _table(self, path: Path) -> Table:
        table = self.store.tables.get((path.group, path.plural))
        known = table is not None and path.version in table.kind.versions
        if table is None or not known or (path.name and bool(path.namespace) is not table.kind.namespaced):
            raise status.no_such_resource() if path.group in _BUILT_IN_GROUPS else NoSuchPath
        if path.rest and not (path.rest == ("status",) and table.kind.status):
            raise status.not_found(table.kind, path.name) if table.kind.custom else status.no_such_resource()
        return table

    def _collection(self, request: web.BaseRequest, path: Path, table: Table, verb: str) -> web.Response | Watch:
        asked = ListRequest.read(path.namespace, request.query)
        form = negotiate(request.headers.get("Accept", ""), verb, request.query.get("includeObject", ""))
        if verb == "list":
            return self._json(request, reads.list_body(self.store, table, path.version, asked, form))
        seconds = request.query.get("timeoutSeconds", "")
        if seconds and not seconds.isdigit():
            raise status.bad_request(f'strconv.ParseInt: parsing "{seconds}": invalid syntax')
        timeout = float(seconds) if seconds and int(seconds) else DEFAULT_TIMEOUT
        bookmarks = request.query.get("allowWatchBookmarks") in ("true", "1")
        return Watch(self.store, table, path.version, asked, form, timeout, bookmarks)

    async def _object(self, request: web.BaseRequest, path: Path, table: Table, verb: str) -> web.Response:
        if verb == "get":
            form = negotiate(request.headers.get("Accept", ""), verb, request.query.get("includeObject", ""))
            stored = reads.find(table, path.namespace, path.name)
            return self._json(request, reads.get_body(self.store, table, path.version, stored, form))
        agent = request.headers.get("User-Agent", "unknown").split("/")[0]
        writer = Writer(
            self.store,
            table,
            path.version,
            request.query.get("fieldManager") or agent,
            path.rest[0] if path.rest else "",
        )
        return await self._write(request, path, writer, verb)

    async def _write(self, request: web.BaseRequest, path: Path, writer: Writer, verb: str) -> web.Response:
        body = await self._body(request, merge=verb == "patch")
        kind = writer.table.kind
        if verb != "create" and not path.name:
            raise status.bad_request("name must be provided")
        if verb == "delete":
            uid = (body.get("preconditions") or {}).get("uid", "")
            stored, gone = writer.delete(path.namespace, path.name, uid)
            if gone:
                details = {
                    "name": path.name,
                    "group": kind.group,
                    "kind": kind.plural,
                    "uid": stored.obj["metadata"].get("uid", ""),
                }
                return self._json(
                    request,
                    encode(
                        {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
                    ),
                )
        elif verb == "create":
            stored = writer.create(path.namespace, body)
        elif verb == "update":
            stored = writer.replace(path.namespace, path.name, body)
        else:
            stored = writer.patch(path.namespace, path.name, body)
        shown = stored.item(reads.item_prefix(kind, path.version, typed=True))
        return self._json(request, shown, code=201 if verb == "create" else 200)

    async def _body(self, request: web.BaseRequest, *, merge: bool = False) -> Object:
        media = request.headers.get("Content-Type", "").split(";")[0]
        if merge and media != "application/merge-patch+json":
            raise status.unsupported_media_type(media, "application/merge-patch+json")
        raw = await request.read()
        if len(raw) > LARGEST_BODY:
            raise Refusal(413, "RequestEntityTooLarge", f"Request entity too large: limit is {LARGEST_BODY}")
        try:
            body = msgspec.json.decode(raw or b"{}")
        except msgspec.DecodeError as error:
            raise status.bad_request(f"couldn't get version/kind; json parse error: {error}") from error
        if not isinstance(body, dict) or not isinstance(body.get("metadata", {}), dict):
            raise status.bad_request("the body must be an object with metadata")
        return body

    async def _stream(self, request: web.BaseRequest, watch: Watch) -> web.StreamResponse:
        response = web.StreamResponse(headers=self._headers() | {"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        watch = replace(watch)
        await response.prepare(request)
        async for line in watch.lines():
            await response.write(line)
        await response.write_eof()
        return response
