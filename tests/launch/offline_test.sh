#!/bin/bash
# Nothing leaves the machine: the program trains and answers where there is no network but the loopback, and of the addresses that it and
# mpirun connect to, strace sees none but the machine's own. $1: lora_dist. Skipped where namespaces are refused, or where strace and
# iproute2 are not installed.
set -u
source "$(dirname "$0")/expect.sh"
root=$(cd "$(dirname "$0")/../.." && pwd)
program=$1
for tool in ip strace unshare; do
  command -v "$tool" >/dev/null || {
    echo "skipped: there is no $tool here"
    exit 77
  }
done
if ! unshare --net ip link set lo up 2>/dev/null; then
  echo "skipped: this user may not make network namespaces"
  exit 77
fi
cd "$scratch" || exit 1
for ((i = 0; i < 8; ++i)); do
  echo '{"question": "How are you?", "answer": "Well."}' >>rows.jsonl
done

# alone <command>...: in a network of its own, which ends at this machine.
# shellcheck disable=SC2016 # expanded in the namespace
alone() { unshare --net bash -c 'ip link set lo up && exec "$@"' alone "$@"; }
# Before a command: notes what it and its processes connect and send to, in the file trace.
traced=(strace -f -qq -e "trace=connect,sendto,sendmsg" -o trace)
# What was asked for of a machine, this one left out: sockets of files and of routing are none.
strangers() { grep -E 'sa_family=AF_INET' trace | grep -vE '"127\.|"::1"|"0\.0\.0\.0"|sin_port=htons\(0\)'; }

options=(--set "model.path=$root/demo/model" --set 'data.train=["rows.jsonl"]' --set data.validation_split=0.3 --set train.global_batch=2
  --set train.max_steps=2 --set parallel.backend=cpu --set output.dir=out)
expect_code 0 alone "${traced[@]}" mpirun -np 2 "$program" train "${options[@]}"
expect_said "adapter (PEFT) in out/adapter"
grep -q 'AF_INET\|AF_UNIX' trace || fail "strace saw no connection at all: mpirun makes some"
[ -z "$(strangers)" ] || fail "connections to other machines: $(strangers)"

expect_code 0 alone "${traced[@]}" "$program" generate --model "$root/demo/model" --adapter out/adapter --prompt Once --max-new-tokens 4
[ -z "$(strangers)" ] || fail "connections to other machines: $(strangers)"

# Where there is a network, nobody is called either.
expect_code 0 "${traced[@]}" "$program" train "${options[@]}" --set output.dir=alone
[ -z "$(strangers)" ] || fail "connections to other machines: $(strangers)"
finish
