# The commands of the README in a container, on the CPU.
#
#   docker build -t cifarlab .
#   docker run --rm cifarlab                                       make demo
#   docker run --rm -it -v "$PWD/data:/cifarlab/data" -v "$PWD/outputs:/cifarlab/outputs" \
#       cifarlab .venv/bin/python train.py                         CIFAR-10; data and results stay
FROM python:3.11-slim

RUN apt-get update \
    && apt-get install -y --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /cifarlab
COPY . .
RUN make setup

CMD ["make", "demo"]
