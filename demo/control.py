"""The control port: the story's clock and the clusters' faults, as JSON over http on loopback."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import msgspec
from aiohttp import web

from demo.apiserver.faults import Fault
from demo.stage import Stage

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control:
    """Routes of the control port."""

    def __init__(self, stage: Stage):
        self.stage = stage

    def application(self) -> web.Application:
        application = web.Application(middlewares=[_local_only])
        application.add_routes(
            [
                web.get("/clock", self.clock),
                web.put("/clock", self.move),
                web.post("/live", self.live),
                web.get("/clusters", self.clusters),
                web.post("/clusters/{name}/fault", self.fault),
            ]
        )
        return application

    async def clock(self, request: web.Request) -> web.Response:
        stage = self.stage
        return web.json_response(
            {
                "at": stage.now().isoformat(),
                "live": stage.held_at is None,
                "epoch": stage.epoch.isoformat(),
                "history_from": stage.history_from.isoformat(),
            }
        )

    async def move(self, request: web.Request) -> web.Response:
        body = await _body(request)
        try:
            at = datetime.fromisoformat(body["at"])
        except (KeyError, TypeError, ValueError) as error:
            raise web.HTTPBadRequest(
                text='at: an ISO 8601 instant is needed: {"at": "2026-11-24T06:00:00Z"}'
            ) from error
        if at.tzinfo is None:
            raise web.HTTPBadRequest(text="at: the instant needs an offset, such as Z")
        self.stage.hold(at)
        return await self.clock(request)

    async def live(self, request: web.Request) -> web.Response:
        self.stage.follow()
        return await self.clock(request)

    async def clusters(self, request: web.Request) -> web.Response:
        shown = [
            {
                "name": cluster.name,
                "url": cluster.url,
                "labels": self.stage.labels(cluster.name),
                "fault": cluster.faults.current and cluster.faults.current.name,
            }
            for cluster in self.stage.fleet.clusters.values()
        ]
        return web.json_response(shown)

    async def fault(self, request: web.Request) -> web.Response:
        cluster = self.stage.fleet.clusters.get(request.match_info["name"])
        if cluster is None:
            raise web.HTTPNotFound(text=f"no cluster {request.match_info['name']}")
        body = await _body(request)
        if body.get("fault") is None:
            cluster.faults.clear()
            return web.json_response({"fault": None})
        options = {name: value for name, value in body.items() if name != "fault"}
        try:
            fault = msgspec.convert({"name": body["fault"]} | options, Fault)
        except (msgspec.ValidationError, ValueError) as error:
            raise web.HTTPBadRequest(text=f"fault: {error}") from error
        cluster.faults.set(fault.name, **options)
        return web.json_response(body)


async def _body(request: web.Request) -> dict[str, Any]:
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="Content-Type: application/json is needed")
    try:
        body = msgspec.json.decode(await request.read(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise web.HTTPBadRequest(text=f"body: {error}") from error
    return body


@web.middleware
async def _local_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A web page in the same machine's browser must not steer the demo: its requests bear another Host or an Origin."""
    host = request.host.rpartition(":")[0]
    if host not in ("127.0.0.1", "localhost") or "Origin" in request.headers:
        raise web.HTTPForbidden(text="only for programs on this machine")
    return await handler(request)
