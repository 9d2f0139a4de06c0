#!/bin/bash
# Runs clang-tidy over the source files that differ from a commit (default: the commit before the last). At most 12 files, the
# smallest first, so that it takes less than a minute: `make lint` checks all files.
# Usage: cmake/lint_changed.sh [<commit>]
set -euo pipefail
cd "$(dirname "$0")/.."
readonly most=12
since=${1:-HEAD~1}
if ! git rev-parse --quiet --verify "$since^{commit}" >/dev/null; then
  echo "clang-tidy was not run: there is no commit $since here (a shallow clone, or no git)"
  exit 0
fi
mapfile -t changed < <(git diff --name-only --diff-filter=d "$since" -- 'src/*.cpp' 'kernels/*.cpp' | xargs -r ls -rS)
if [ ${#changed[@]} -eq 0 ]; then
  echo "clang-tidy: no source file differs from $since"
  exit 0
fi
if [ ${#changed[@]} -gt $most ]; then
  echo "clang-tidy: ${#changed[@]} source files differ from $since, the $most smallest are checked (make lint checks all)"
  changed=("${changed[@]:0:$most}")
fi
cmake --preset lint >/dev/null
run-clang-tidy-16 -quiet -p build-lint -extra-arg=-Wno-unknown-warning-option "${changed[@]/#//}" >build-lint/changed.log 2>&1 || {
  grep -vE '^(clang-tidy-16|[0-9]+ warnings? )' build-lint/changed.log
  exit 1
}
echo "clang-tidy: ${#changed[@]} files are clean"
