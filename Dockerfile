# syntax=docker/dockerfile:1
#
#   docker build --target proxy -t slipway-proxy .    a proxy, or anything else but a node: no C++ in it
#   docker build -t slipway .                         everything
#
# The downloads, the target folders and ccache are cache mounts: a second build compiles what has changed.

# The version of rust-toolchain.toml.
ARG RUST=1.95.0

FROM rust:${RUST}-slim-bookworm AS builder
RUN apt-get update \
    && apt-get install -y --no-install-recommends ccache gcc libc6-dev make \
    && rm -rf /var/lib/apt/lists/*
ARG RUST
# The toolchain of the image, without the lint components that rust-toolchain.toml would make rustup fetch.
ENV RUSTUP_TOOLCHAIN=${RUST} CCACHE_DIR=/cache/ccache CARGO_INCREMENTAL=0
WORKDIR /source
COPY . .
# What `slipway --version` and slipway_build_info say.
ARG SLIPWAY_COMMIT=unknown
ENV SLIPWAY_COMMIT=${SLIPWAY_COMMIT}

FROM builder AS build-proxy
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/cache/ccache \
    --mount=type=cache,id=target-proxy,target=/source/target \
    cargo build --release --locked -p slipway --no-default-features \
    && install -D -m 755 target/release/slipway /out/slipway

FROM builder AS build-slipway
# bindgen reads RocksDB's headers through libclang.
RUN apt-get update \
    && apt-get install -y --no-install-recommends clang g++ libclang-dev \
    && rm -rf /var/lib/apt/lists/*
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/cache/ccache \
    --mount=type=cache,id=target-slipway,target=/source/target \
    cargo build --release --locked -p slipway \
    && install -D -m 755 target/release/slipway /out/slipway

FROM debian:bookworm-slim AS runtime
RUN groupadd --gid 10001 slipway \
    && useradd --uid 10001 --gid slipway --no-create-home --home-dir /data --shell /usr/sbin/nologin slipway \
    && install -d -o slipway -g slipway -m 750 /data /etc/slipway
WORKDIR /data
USER 10001:10001
# Drain: finish what was read, then exit. A second signal ends at once.
STOPSIGNAL SIGTERM
ENTRYPOINT ["slipway"]
LABEL org.opencontainers.image.title="slipway" \
      org.opencontainers.image.description="A smart proxy for slot-sharded Redis and Pika clusters: slots move under live traffic, and no client notices" \
      org.opencontainers.image.licenses="Apache-2.0"
ARG SLIPWAY_COMMIT=unknown
LABEL org.opencontainers.image.revision="${SLIPWAY_COMMIT}"

FROM runtime AS proxy
COPY --from=build-proxy /out/slipway /usr/local/bin/slipway
# These listen on loopback and are the manual: mount your own over them.
COPY --from=build-proxy /source/config /etc/slipway
# Clients, and the admin port with /metrics.
EXPOSE 19000 11090
# `slipway status` asks a controller; a proxy says itself whether it is ready.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/11090 && printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q '^ready' <&3"]
CMD ["proxy", "--config", "/etc/slipway/proxy.toml"]

# The last stage is the one that `docker build` makes unasked.
FROM runtime AS slipway
COPY --from=build-slipway /out/slipway /usr/local/bin/slipway
COPY --from=build-slipway /source/config /etc/slipway
VOLUME /data
# Clients, and the admin API with /metrics.
EXPOSE 19000 11080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["slipway", "status", "--admin", "127.0.0.1:11080"]
CMD ["up", "--data", "/data", "--listen", "0.0.0.0:19000", "--admin", "0.0.0.0:11080"]
