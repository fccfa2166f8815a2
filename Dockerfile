# A server of the model that ships, or of one in a volume. `docker build --build-arg CUDA=1 .` for NVIDIA GPUs.
FROM python:3.11-slim-bookworm

ARG CUDA=0
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1

WORKDIR /opt/ingredients
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
# What PyPI has of PyTorch for Linux is for NVIDIA GPUs, and ten times as large as what PyTorch's own index has for
# processors. The version is the one that pyproject.toml names.
RUN if [ "$CUDA" != 1 ]; then \
      pip install --index-url https://download.pytorch.org/whl/cpu "$(grep --only-matching 'torch==[0-9.]*' pyproject.toml)"; \
    fi \
    && pip install --constraint constraints.txt ".[studio,dlib]"

RUN useradd --create-home --uid 1000 ingredients && install --directory --owner=ingredients /videos
USER 1000
VOLUME /videos
EXPOSE 8080
HEALTHCHECK --interval=30s --start-period=120s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://localhost:8080/healthz')"]
ENTRYPOINT ["ingredients"]
CMD ["serve", "--host", "0.0.0.0", "--store", "/videos", "--keys", "/keys/keys.json"]
