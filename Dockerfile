FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN .ci/image-layout "$(.ci/build-static)" /image

FROM scratch
LABEL org.opencontainers.image.title="Microsoft 365 Message Trace" \
      org.opencontainers.image.description="Collects the message trace of a Microsoft 365 organization and forwards it to a Sekoia.io intake" \
      org.opencontainers.image.vendor="The message-trace authors" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /image/ /
# So that `docker exec CONTAINER message-trace check` finds it.
ENV PATH=/
WORKDIR /app
# The first user that `useradd` makes: what the Python modules run as, so that a data folder that
# one of them has written to stays writable.
USER 1000:1000
ENTRYPOINT ["/message-trace"]
