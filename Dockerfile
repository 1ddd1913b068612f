# syntax=docker/dockerfile:1

# docker build -t governor .
# docker run --rm --read-only --tmpfs /tmp -p 8080:8080 governor run \
#     --upstream http://my-service:9000 --listen 0.0.0.0:8080 --admin 127.0.0.1:9090

FROM python:3.11-slim AS build
# Compiled kernels must load on any machine that the image runs on.
ENV NUMBA_CPU_NAME=generic PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/governor
COPY requirements.lock ./
RUN /opt/governor/bin/pip install -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY governor ./governor
COPY signals ./signals
COPY policies ./policies
RUN /opt/governor/bin/pip install --no-deps . \
    && cd / \
    && /opt/governor/bin/python -c 'import signals; signals.warm_up()' \
    && /opt/governor/bin/python -m compileall -q /opt/governor/lib \
    && chmod -R a+rX /opt/governor

FROM python:3.11-slim
# Kernels compiled above lie beside their source, not writable here; they are copied to
# /tmp where that can be written. Where nothing can, they are compiled again: slower, no failure.
ENV NUMBA_CPU_NAME=generic PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PATH=/opt/governor/bin:$PATH
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin governor
COPY --from=build /opt/governor /opt/governor
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080 9090
# SIGTERM drains: not ready, finish what is in flight, close.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["python", "-c", \
    "import os, urllib.request as r; r.urlopen(os.environ.get('GOVERNOR_HEALTH', 'http://127.0.0.1:9090/healthz/ready'), timeout=2)"]
ENTRYPOINT ["governor"]
CMD ["run", "--listen", "0.0.0.0:8080", "--admin", "127.0.0.1:9090"]
