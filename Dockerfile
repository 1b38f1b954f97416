# Two stages: the first builds, the second holds the binary and little else.

FROM rust:1.95-slim-bookworm AS build
# `make` builds the C libraries that come with their crates (allocator, Lua).
RUN apt-get update \
 && apt-get install -y --no-install-recommends make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
RUN cargo build --release --locked --package eave --bin eave \
 && strip target/release/eave

FROM debian:bookworm-slim
# A user of its own, without a shell or a home; the number is what Kubernetes can check.
RUN useradd --system --uid 65532 --no-create-home --home-dir /data --shell /usr/sbin/nologin eave \
 && install -d -o 65532 -g eave /data
COPY --from=build /build/target/release/eave /usr/local/bin/eave
COPY LICENSE /usr/share/doc/eave/LICENSE
WORKDIR /data
USER 65532
# Inside a container only the container's own address can be published. Options on the
# command line still win over this.
ENV EAVE_BIND=0.0.0.0
EXPOSE 6379 8079
# Asks the REST port for /health; the image has no curl.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["eave", "--health"]
# SIGTERM, which `docker stop` sends, ends Eave in order.
ENTRYPOINT ["eave"]
