# Built from pyproject.toml, operator/ and issuers/ alone; dependencies are pinned by hash.
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /app && /app/bin/python -m pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml requirements-build.lock README.md LICENSE ./
COPY operator operator
COPY issuers issuers
RUN python -m pip install --no-cache-dir --require-hashes -r requirements-build.lock && \
    python -m pip wheel --no-deps --no-build-isolation --wheel-dir /dist . && \
    /app/bin/python -m pip install --no-cache-dir --no-deps /dist/*.whl

FROM python:3.13-slim
COPY --from=build /app /app
USER 65532:65532
EXPOSE 8089 9402 9403
ENTRYPOINT ["/app/bin/python", "-m", "certwright"]
CMD ["run"]
