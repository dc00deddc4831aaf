# One image for the API and for workers; docker-compose.yml runs it as both. It holds no secret, and no tool that builds or installs.
FROM python:3.11.14-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# What the service runs on, exact versions by their hashes, in an environment that has no pip itself.
COPY requirements/runtime.txt requirements/
RUN python -m venv --without-pip /opt/headstart
RUN python -m pip --python /opt/headstart/bin/python install --quiet --require-hashes -r requirements/runtime.txt

# The demo backbone and data, from their own packages.
COPY headstart headstart
RUN python -m headstart.demos fetch --root /opt/assets

# Our two distributions.
COPY requirements/build.txt requirements/
RUN python -m pip install --quiet --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY server server
COPY app app
COPY worker worker
COPY migrations migrations
RUN python -m pip wheel --quiet --no-deps --no-index --no-build-isolation --wheel-dir /opt/wheels . ./server
RUN python -m pip --python /opt/headstart/bin/python install --quiet --no-deps --no-index /opt/wheels/*.whl

FROM python:3.11.14-slim-bookworm
RUN python -m pip uninstall --quiet --yes --root-user-action=ignore pip setuptools wheel
# The folders are there before any volume is, so that a new volume belongs to the same user.
RUN useradd --system --user-group --uid 10001 --home-dir /var/lib/headstart --shell /usr/sbin/nologin headstart && \
    install --directory --owner=headstart --group=headstart --mode=0700 /var/lib/headstart /var/lib/headstart-blobs
COPY --from=build /opt/headstart /opt/headstart
COPY --from=build /opt/assets /opt/assets
ENV PATH=/opt/headstart/bin:/usr/local/bin:/usr/bin:/bin
ENV HEADSTART_HOME=/var/lib/headstart HEADSTART_ASSETS=/opt/assets HEADSTART_HOST=0.0.0.0 HEADSTART_LOG_FORMAT=json
USER headstart
WORKDIR /var/lib/headstart
VOLUME /var/lib/headstart
EXPOSE 8321
STOPSIGNAL SIGTERM
# Asks /readyz at the address that the API wrote down when it started.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["headstart", "health"]
CMD ["headstart", "up"]
