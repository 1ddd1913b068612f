# syntax=docker/dockerfile:1

# docker build -t governor:0.1.0 .
# docker run --rm --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
#     -p 127.0.0.1:8080:8080 governor:0.1.0 run \
#     --upstream http://my-service:9000 --listen 0.0.0.0:8080 --admin 127.0.0.1:9090

# A release: the patch level of Python and Debian's name. Whoever needs the same bytes every time
# gives --build-arg PYTHON_IMAGE=python:3.11.17-slim-trixie@sha256:...
ARG PYTHON_IMAGE=python:3.11.17-slim-trixie

FROM ${PYTHON_IMAGE} AS build
# Compiled kernels must load on any machine that the image runs on.
ENV NUMBA_CPU_NAME=generic PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
# The environment has no pip of its own: that of the build works on it from outside, with wheels
# only. The compiler is for Governor's own core, and stays behind.
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends gcc libc6-dev >/dev/null \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv --without-pip /opt/governor
COPY requirements.lock ./
RUN pip --python /opt/governor/bin/python install --no-compile --only-binary :all: \
        -r requirements.lock
COPY pyproject.toml setup.py README.md LICENSE ./
COPY governor ./governor
COPY signals ./signals
COPY policies ./policies
# Compiling the core takes about three minutes of one core, the kernels two and 700 MB.
RUN pip --python /opt/governor/bin/python install --no-compile --no-deps . \
    && cd / \
    && /opt/governor/bin/python -c 'import signals; signals.warm_up()' \
    && /opt/governor/bin/python -m compileall -q /opt/governor/lib \
    && chmod -R a+rX /opt/governor

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="Governor" \
      org.opencontainers.image.description="A reverse proxy that keeps fleets of AI agents from wasting the services they call" \
      org.opencontainers.image.licenses="Apache-2.0"
# Kernels compiled above lie beside their source, not writable here; they are copied to
# /tmp where that can be written. Where nothing can, they are compiled again at every start:
# two minutes and 700 MB instead of 3 s and 250 MB. So give it a /tmp.
# One thread for linear algebra: there is none to speak of, and a machine of 64 cores would
# otherwise start 64.
ENV NUMBA_CPU_NAME=generic OPENBLAS_NUM_THREADS=1 \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PATH=/opt/governor/bin:$PATH
RUN useradd --system --uid 10001 --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin governor
COPY --from=build /opt/governor /opt/governor
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080 9090
# SIGTERM drains: not ready, finish what is in flight, close.
STOPSIGNAL SIGTERM
# For docker and compose; Kubernetes has probes of its own and ignores it. It costs a tenth of a
# second of processor time, so often only at the start.
HEALTHCHECK --interval=30s --timeout=3s --start-period=5m --start-interval=2s --retries=3 CMD ["python", "-I", "-c", \
    "import os, urllib.request as r; r.urlopen(os.environ.get('GOVERNOR_HEALTH', 'http://127.0.0.1:9090/healthz/ready'), timeout=2)"]
ENTRYPOINT ["governor"]
CMD ["run", "--listen", "0.0.0.0:8080", "--admin", "127.0.0.1:9090"]
