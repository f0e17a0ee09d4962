#!/usr/bin/env bash
# Build the image of a release for amd64 and arm64, with SBOM and provenance, and sign it.
#
#   deploy/docker/release.sh IMAGE VERSION [--push]
#
# The base is named by its digest, as it is at this time; the image has it as a label.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

image=$1 version=$2 push=${3:-}
base=python:3.13-slim-trixie
digest=$(docker buildx imagetools inspect "$base" --format '{{.Manifest.Digest}}')
revision=$(git rev-parse HEAD)
metadata=$(mktemp)
trap 'rm -f "$metadata"' EXIT

docker buildx build \
  --file deploy/docker/Dockerfile \
  --platform linux/amd64,linux/arm64 \
  --build-arg BASE="$base@$digest" \
  --label org.opencontainers.image.base.name="$base" \
  --label org.opencontainers.image.base.digest="$digest" \
  --label org.opencontainers.image.revision="$revision" \
  --label org.opencontainers.image.version="$version" \
  --sbom=true --provenance=mode=max \
  --metadata-file "$metadata" \
  --tag "$image:$version" \
  ${push:+"$push"} .

if [[ $push == --push ]]; then
  pushed=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["containerimage.digest"])' "$metadata")
  cosign sign --yes "$image@$pushed"
fi
