# One image, three roles: `docker run rekey api`, `… worker`, `… migrate`. The database is somebody else's.
# Runs read-only and as a user without rights: only /var/lib/rekey (keys of its own) is written, and only at the first start.
FROM node:24-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY prisma ./prisma
COPY prisma.config.ts ./
COPY scripts/link-node.mjs ./scripts/
# Without optional packages: Node is the image's, PostgreSQL is not in it. `generate` runs offline.
RUN npm ci --omit=dev --omit=optional

FROM node:24-slim
ENV NODE_ENV=production \
    REKEY_HOST=0.0.0.0 \
    REKEY_DATA_DIR=/var/lib/rekey
WORKDIR /app
COPY --from=packages /app ./
COPY src ./src
COPY policies ./policies
COPY scripts/database.ts ./scripts/
COPY --from=packages /app/src/store/generated ./src/store/generated
# Named volumes take their owner from here.
RUN install -d -o node -g node -m 0700 /var/lib/rekey /run/rekey
USER node
VOLUME /var/lib/rekey
EXPOSE 7400
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:7400/livez').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# The young generation grows to 2 MB instead of 32: a server that waits for most of its life holds less.
ENTRYPOINT ["node", "--max-semi-space-size=2", "src/main.ts"]
CMD ["api"]
