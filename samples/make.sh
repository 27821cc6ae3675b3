#!/usr/bin/env bash
# Makes samples/degraded from samples/clean: the commands in samples/README.md, which this file is the source of.
# Needs the extra [train]. Run it with the environment's programs on PATH: PATH=.venv/bin:$PATH samples/make.sh
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p samples/degraded

anyir degrade samples/clean/cat.jpg -o samples/degraded/noise.png --kind noise:25 --overwrite
anyir degrade samples/clean/raccoon.jpg -o samples/degraded/rain.jpg --kind rain:1.2 --seed 8 --overwrite
anyir degrade samples/clean/temple.jpg -o samples/degraded/haze.jpg --kind haze:2 --overwrite
anyir degrade samples/clean/astronaut.jpg -o samples/degraded/blur.jpg --kind blur:9 --seed 3 --overwrite
anyir degrade samples/clean/coffee.jpg -o samples/degraded/dark.png --kind dark:4 --kind noise:3 --overwrite
