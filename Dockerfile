# The daemon and the command line in one image. It runs as a user without rights and on a read-only root:
#   docker run --read-only --volume fleetwright:/var/lib/fleetwright fleetwright run --repo https://git.example/fleet.git

FROM rust:1.95-slim-bookworm AS builder
WORKDIR /src
COPY . .
RUN cargo build --locked --release --package fleetwright

FROM debian:bookworm-slim
# git and ssh reach the fleet repository; the certificates are for repositories behind TLS.
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates git openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --home-dir /var/lib/fleetwright --create-home fleetwright
COPY --from=builder /src/target/release/fleetwright /usr/local/bin/fleetwright
# Clones and caches; nothing in here is missed when it is lost.
ENV HOME=/var/lib/fleetwright \
    FLEETWRIGHT_STATE_DIR=/var/lib/fleetwright/state \
    XDG_CACHE_HOME=/var/lib/fleetwright/cache
VOLUME /var/lib/fleetwright
WORKDIR /var/lib/fleetwright
USER 10001:10001
ENTRYPOINT ["fleetwright"]
CMD ["run"]
