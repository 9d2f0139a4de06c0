#!/bin/bash
# What two ranks wait for each other over a link of 1 Gbit/s and 0.2 ms, one way, beside what `plan` predicts. The link joins two
# network namespaces of this machine (iproute2, tc, as root): tc's tbf gives the rate and benchmarks/link_relay.cpp the delay; where
# they are refused this says so and ends with 0. One thread a rank. Each case first runs both ranks' passes without a link, at the
# same time, to know what a rank computes in a second.
#
#   benchmarks/slow_link.sh [build folder [case...]]
set -eu

build=$(realpath "${1:-build}")
here=$(realpath "$(dirname "$0")")
only=("${@:2}") # names of cases; none: all
work=$(mktemp -d)
steps=24
one=lora_dist_link_a_$$
two=lora_dist_link_b_$$
cases_run=0

skip() {
  echo "slow link: skipped: $1"
  exit 0
}

clean_up() {
  jobs -p | xargs -r kill 2>/dev/null || true
  ip netns del $one 2>/dev/null || true
  ip netns del $two 2>/dev/null || true
  rm -rf "$work"
}
trap clean_up EXIT

# Large packets cost the relay less of the processors on which the ranks compute. Cubic is what clusters have; a system's own choice
# (bbr, say) would be measured with the link.
open_end() { # NAMESPACE DEVICE ADDRESS
  ip -n "$1" link set lo up
  ip -n "$1" link set "$2" addrgenmode none mtu 32000
  ip -n "$1" addr add "$3/24" dev "$2"
  ip -n "$1" link set "$2" up
  ip -n "$1" route change 10.99.77.0/24 dev "$2" src "$3" congctl cubic 2>/dev/null ||
    echo "slow link: there is no cubic: the system's own congestion control is measured too"
  ip netns exec "$1" tc qdisc add dev "$2" root tbf rate 1gbit burst 128kb limit 16mb || skip "tc refuses to shape the link"
}

make_link() {
  ip netns add $one 2>/dev/null || skip "network namespaces are refused here"
  ip netns add $two
  "$build/benchmarks/link_relay" $one lora_dist_a $two lora_dist_b 1000 200 >"$work/relay.log" 2>&1 &
  relay=$!
  until grep -q ready "$work/relay.log"; do
    if ! kill -0 $relay 2>/dev/null; then
      code=0
      wait $relay || code=$?
      [ $code -ne 77 ] || skip "$(cat "$work/relay.log")"
      echo "slow link: the relay ended with $code: $(cat "$work/relay.log")" >&2
      exit 1
    fi
    sleep 0.1
  done
  open_end $one lora_dist_a 10.99.77.1
  open_end $two lora_dist_b 10.99.77.2
}

end_link() {
  kill $relay
  wait $relay || true
  echo "link: $(grep -v ready "$work/relay.log" | tr '\n' ';')"
}

# What the link gives, before anything is measured over it.
try_link() {
  ip netns exec $two python3 "$here/link_speed.py" serve &
  ip netns exec $one python3 "$here/link_speed.py" measure 10.99.77.2
  wait $!
}

# mpirun's "ssh" to the second namespace, under a host name of its own.
write_agent() {
  cat >"$work/agent" <<AGENT
#!/bin/bash
shift
exec ip netns exec $two unshare --uts bash -c "hostname lora-dist-link-b; \$*"
AGENT
  chmod +x "$work/agent"
}

on_link() {
  ip netns exec $one unshare --uts bash -c 'hostname lora-dist-link-a; exec "$@"' sh \
    mpirun --host 10.99.77.1:1,10.99.77.2:1 -np 2 --mca plm rsh --mca plm_rsh_agent "$work/agent" --mca btl tcp,self \
    --mca btl_tcp_if_include 10.99.77.0/24 --mca oob_tcp_if_include 10.99.77.0/24 -x OMP_NUM_THREADS "$@"
}

# settings LENGTH GLOBAL_BATCH OUTPUT SETTING...
settings() {
  words=()
  for setting in "model.path=\"$work/model\"" "data.train=[\"$work/rows_$1.jsonl\"]" data.validation_split=0 data.max_length="$1" \
    data.cache_dir=none adapter.r=16 adapter.target_modules=all-linear train.global_batch="$2" train.micro_batch=1 \
    train.max_steps=$steps train.recompute=none checkpoint.every=0 parallel.backend=cpu output.tensorboard=false \
    output.dir="\"$work/$3\"" "${@:4}"; do
    words+=(--set "$setting")
  done
}

# run_case NAME LENGTH [SETTING...]: LENGTH tokens in a pass, four passes for each rank.
run_case() {
  local name=$1 length=$2 pids=()
  [ ${#only[@]} -eq 0 ] || [[ " ${only[*]} " == *" $name "* ]] || return 0
  cases_run=$((cases_run + 1))
  rm -rf "$work"/alone_? "$work/both"
  "$build/benchmarks/write_random_model" "$work" "$length"
  mv "$work/rows.jsonl" "$work/rows_$length.jsonl"
  for rank in 0 1; do
    settings "$length" 4 alone_$rank "${@:3}"
    "$build/lora_dist" train "${words[@]}" >"$work/alone_$rank.log" &
    pids+=($!)
  done
  wait "${pids[0]}"
  wait "${pids[1]}"
  "$build/lora_dist" plan "${words[@]}" --target cpu --cpu-gflops 1 --json >"$work/work.json"
  settings "$length" 8 both "${@:3}"
  on_link "$build/lora_dist" train "${words[@]}" >"$work/both.log"
  "$build/lora_dist" plan "${words[@]}" --target cpu --cpu-gflops "$(python3 "$here/slow_link.py" rate "$work")" --ranks 2 \
    --gpus-per-node 1 --link-inter 1Gbit/s --latency-inter 200us --json >"$work/plan.json"
  python3 "$here/slow_link.py" compare "$work" "$name"
}

export OMP_NUM_THREADS=1 OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
[ "$(id -u)" -eq 0 ] || skip "only root makes network namespaces"
for program in ip tc python3 mpirun unshare; do
  command -v $program >/dev/null || skip "there is no $program"
done
make_link
try_link
write_agent
python3 "$here/slow_link.py" head
run_case all_divided 32
run_case blocks_divided 8 parallel.shard_vocabulary=false
run_case blocks_divided_longer 16 parallel.shard_vocabulary=false
run_case blocks_hidden 128 parallel.shard_vocabulary=false
run_case undivided 32 parallel.base_shards='"1"'
run_case undivided_large 64 parallel.base_shards='"1"' adapter.r=64
end_link
if [ $cases_run -eq 0 ]; then
  echo "slow link: there is no case ${only[*]}" >&2
  exit 2
fi
