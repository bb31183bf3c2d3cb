# One image for web, worker, beat and migrations; docker-compose.yml says which process runs where.

FROM python:3.11.14-slim-bookworm AS build
WORKDIR /build
COPY requirements-bootstrap.lock requirements.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock \
    && uv venv --no-cache /opt/venv \
    && uv pip install --no-cache --python /opt/venv --compile-bytecode --require-hashes -r requirements.lock
WORKDIR /app
COPY manage.py ./
COPY secretsdash ./secretsdash
COPY clusters ./clusters
COPY monitoring ./monitoring
COPY templates ./templates
COPY static ./static
# Neither the key nor the addresses are used, but settings refuse to load without a key.
RUN SECRET_KEY=only-for-this-step STATIC_ROOT=/app/collected-static \
    /opt/venv/bin/python manage.py collectstatic --no-input --verbosity 0 \
    && /opt/venv/bin/python -m compileall -q secretsdash clusters monitoring

FROM python:3.11.14-slim-bookworm
# The image brings pip for building; a running service has no use for it.
RUN pip uninstall --yes --quiet --root-user-action ignore pip setuptools wheel
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    STATIC_ROOT=/app/collected-static
# By number, so that Kubernetes can see that it is not root. All files belong to root and cannot be changed.
USER 10001:10001
EXPOSE 8000
CMD ["granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", "--no-ws", "--blocking-threads", "4", "secretsdash.wsgi:application"]
