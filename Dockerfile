# Node 24: an LTS line that gets security updates until April 2028. The 20 that package.json still allows had its last
# in April 2026. Debian rather than Alpine, because ONNX Runtime's binaries need glibc.
FROM node:24-bookworm-slim AS base
WORKDIR /app
# .npmrc forbids install scripts; without it the install would try to download CUDA.
COPY package.json package-lock.json .npmrc ./

FROM base AS build
RUN npm install --no-save
COPY run.mjs tsconfig.json tsconfig.build.json ./
COPY src src
COPY web web
RUN node run.mjs build

FROM base AS modules
# Not "npm ci": it refuses a lock that lacks the binaries of other systems. What is not for Linux is never loaded.
RUN npm install --no-save --omit=dev \
  && rm -rf node_modules/onnxruntime-node/bin/napi-v*/darwin node_modules/onnxruntime-node/bin/napi-v*/win32

FROM node:24-bookworm-slim
WORKDIR /app
# The face models are in two of the packages.
COPY --from=modules /app/node_modules node_modules
COPY --from=build /app/build build
COPY --from=build /app/dist dist
COPY package.json deploy/healthcheck.mjs ./
RUN mkdir -m 700 /data /keys && chown node:node /data /keys
USER node
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8000 DATA_DIR=/data KEY_DIR=/keys
VOLUME ["/data", "/keys"]
EXPOSE 8000
# The server handles it itself: it answers what it took, then ends.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s CMD ["node", "healthcheck.mjs"]
CMD ["node", "--enable-source-maps", "dist/cli.js", "start"]
