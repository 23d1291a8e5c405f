# The hub as a container: core and PostgreSQL driver from the hash-locked file, no root at run time.
FROM python:3.11-slim
WORKDIR /hutong
COPY requirements/postgres.txt requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/postgres.txt
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
 && useradd --system --uid 10001 hutong && mkdir /data && chown hutong /data
USER hutong
ENV HUTONG_DATA_DIR=/data
EXPOSE 8000
CMD ["hutong", "serve", "--host", "0.0.0.0"]
