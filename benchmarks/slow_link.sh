#!/bin/bash
# What two ranks wait for each other over a link of 1 Gbit/s and 0.2 ms, beside what `plan` predicts. The link joins two network
# namespaces of this machine (iproute2, tc, as root); where they are refused this says so and ends with 0. One thread a rank.
#
#   benchmarks/slow_link.sh [build folder]
set -eu

build=$(realpath "${1:-build}")
work=$(mktemp -d)
length=32 # tokens of a pass: so few that gathers cannot hide behind computing
steps=24
one=lora_dist_link_a
two=lora_dist_link_b

skip() {
  echo "slow link: skipped: $1"
  exit 0
}

clean_up() {
  ip netns del $one 2>/dev/null || true
  ip netns del $two 2>/dev/null || true
  rm -rf "$work"
}

# The rate and the delay of both ends. A kernel without netem has no delay to give: then plan is told of none.
shape_link() {
  latency=200us
  for end in "$one lora_dist_a" "$two lora_dist_b"; do
    set -- $end
    if ! ip netns exec "$1" tc qdisc add dev "$2" root netem rate 1gbit delay 200us limit 20000 2>/dev/null; then
      ip netns exec "$1" tc qdisc add dev "$2" root tbf rate 1gbit burst 128kb latency 50ms || skip "tc refuses to shape the link"
      latency=30us
    fi
  done
  [ $latency = 200us ] || echo "slow link: this kernel has no netem: 1 Gbit/s without a delay"
}

make_link() {
  ip netns add $one 2>/dev/null || skip "network namespaces are refused here"
  ip netns add $two
  ip link add lora_dist_a netns $one type veth peer name lora_dist_b netns $two || skip "veth links are refused here"
  ip -n $one addr add 10.99.77.1/24 dev lora_dist_a
  ip -n $two addr add 10.99.77.2/24 dev lora_dist_b
  for space in $one $two; do
    ip -n $space link set lo up
  done
  ip -n $one link set lora_dist_a up
  ip -n $two link set lora_dist_b up
  shape_link
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

# settings GLOBAL_BATCH OUTPUT
settings() {
  words=()
  for setting in "model.path=\"$work/model\"" "data.train=[\"$work/rows.jsonl\"]" data.validation_split=0 data.max_length=$length \
    data.cache_dir=none adapter.r=16 adapter.target_modules=all-linear train.global_batch="$1" train.micro_batch=1 \
    train.max_steps=$steps train.recompute=none checkpoint.every=0 parallel.backend=cpu output.tensorboard=false \
    output.dir="\"$work/$2\""; do
    words+=(--set "$setting")
  done
}

export OMP_NUM_THREADS=1 OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
[ "$(id -u)" -eq 0 ] || skip "only root makes network namespaces"
for program in ip tc python3 mpirun unshare; do
  command -v $program >/dev/null || skip "there is no $program"
done
trap clean_up EXIT
make_link
write_agent
"$build/benchmarks/write_random_model" "$work" $length

settings 4 alone
"$build/lora_dist" train "${words[@]}" >"$work/alone.log" # the passes that one of two ranks has
"$build/lora_dist" plan "${words[@]}" --target cpu --cpu-gflops 1 --json >"$work/work.json"
settings 8 both
on_link "$build/lora_dist" train "${words[@]}" >"$work/both.log"
rate=$(python3 "$(dirname "$0")/slow_link.py" rate "$work")
"$build/lora_dist" plan "${words[@]}" --target cpu --cpu-gflops "$rate" --ranks 2 --gpus-per-node 1 --link-inter 1Gbit/s \
  --latency-inter $latency --json >"$work/plan.json"
python3 "$(dirname "$0")/slow_link.py" compare "$work"
