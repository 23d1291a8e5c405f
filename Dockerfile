# The hub as a container: core and PostgreSQL driver from the hash-locked file, no root at run time; the hot modules
# are compiled in a stage of their own, so that no compiler is left in the image.
FROM python:3.11-slim AS compiled
WORKDIR /hutong
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY requirements/compile.txt requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/compile.txt
COPY . .
RUN python -m tools.compiled /compiled

FROM python:3.11-slim
WORKDIR /hutong
COPY requirements/postgres.txt requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/postgres.txt
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation .
COPY --from=compiled /compiled/ /usr/local/lib/python3.11/site-packages/
RUN useradd --system --uid 10001 hutong && mkdir /data && chown hutong /data
USER hutong
ENV HUTONG_DATA_DIR=/data
EXPOSE 8000
CMD ["hutong", "serve", "--host", "0.0.0.0"]
