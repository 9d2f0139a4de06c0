#!/bin/bash
# launch/submit with the real `lora_dist plan` and a stand-in sbatch: submit_test.sh PROGRAM
set -u
source "$(dirname "$0")/expect.sh"
root=$(cd "$(dirname "$0")/../.." && pwd)
program=$1
cd "$root" || exit 1
stand_in sbatch "cat >'$scratch/submitted'; echo 'Submitted batch job 7'"

submit() { launch/submit --program "$program" "$@"; }

# The demo on CPUs: one rank on a node of its own.
expect_code 0 submit --cfg configs/demo.toml --dry-run
expect_said "#SBATCH --job-name=demo" "#SBATCH --nodes=1" "#SBATCH --exclusive" "#SBATCH --signal=B:USR1@120" "#SBATCH --requeue" \
  "#SBATCH --time=24:00:00" "ranks_per_node=1" "configuration=configs/demo.toml" "program=$program" "launch=$root/launch" \
  "submit: one_node: 1 nodes of 1 ranks"
expect_not_said gpus-per-node
expect_not_said mincpus
[ ! -e "$scratch/submitted" ] || fail "--dry-run submitted"

# What is printed is what is submitted, and a shell can read it.
launch/submit --program "$program" --cfg configs/demo.toml --dry-run >"$scratch/printed" 2>/dev/null
expect_code 0 submit --cfg configs/demo.toml
expect_said "Submitted batch job 7"
cmp "$scratch/printed" "$scratch/submitted" || fail "another text was submitted than printed"
bash -n "$scratch/submitted" || fail "no shell script"

# A large model: the smallest mesh that fits makes the nodes, and its time comes from the plan.
expect_code 0 submit --cfg configs/llama2_70b.toml --dry-run --plan "--device v100-16gb --samples 1000" --gpus-per-node 2 \
  --set train.epochs=1
nodes=$(sed -n 's/^#SBATCH --nodes=//p' <<<"$said")
[ "$nodes" -ge 2 ] || fail "70 billion weights in four bits fit into $nodes nodes of two GPUs of 16 GB"
expect_said "submit: many_nodes: " "ranks_per_node=2" "#SBATCH --gpus-per-node=2" "#SBATCH --mincpus=16" "; the plan says " \
  "settings=(--set train.epochs=1)"
expect_code 0 submit --cfg configs/llama2_70b.toml --dry-run --plan "--device v100-16gb --samples 1000" --gpus-per-node v100:2
expect_said "ranks_per_node=2" "#SBATCH --gpus-per-node=v100:2"
expect_code 2 submit --cfg configs/llama2_70b.toml --dry-run --plan "--device v100-16gb" --gpus-per-node 2 --nodes 1
expect_said "submit: --nodes 1: the plan says that $nodes of 2 ranks are needed"

# What SLURM is told beside it; settings stay whole words.
expect_code 0 submit --cfg configs/demo.toml --dry-run --preemptible --nodes 1-4 --ranks-per-node 2 --cpus-per-rank 3 --partition scavenge \
  --account physics --qos low --mem 5G --time 1:00:00 --sbatch --mail-type=END --launcher mpirun --set 'data.train=["a b.jsonl"]'
expect_said "#SBATCH --nodes=1-4" "#SBATCH --mincpus=6" "#SBATCH --partition=scavenge" "#SBATCH --account=physics" "#SBATCH --qos=low" \
  "#SBATCH --mem=5G" "#SBATCH --time=1:00:00" "#SBATCH --mail-type=END" "launcher=mpirun" "ranks_per_node=2" "# One adapter on nodes that"
eval "$(grep '^settings=' <<<"$said")"
# shellcheck disable=SC2154
[ "${#settings[@]} ${settings[3]}" = '4 data.train=["a b.jsonl"]' ] || fail "settings came out as ${settings[*]}"

# Several configurations make an array.
expect_code 0 submit --cfg configs/demo.toml --cfg configs/medical.toml --dry-run
expect_said "#SBATCH --array=0-1%4" "configuration=(configs/demo.toml configs/medical.toml)" "submit: array: "

# What is refused.
expect_code 2 launch/submit
expect_said "submit: which configuration? --cfg FILE"
expect_code 2 submit --cfg
expect_said "submit: --cfg wants a value"
expect_code 2 submit --confg x
expect_said "submit: --confg? --help lists the options"
expect_code 2 launch/submit --cfg configs/demo.toml --program /no/lora_dist
expect_said "submit: /no/lora_dist is not to be found: --program PATH"
expect_code 2 submit --cfg configs/demo.toml --nodes few
expect_said "submit: --nodes must be a number or MIN-MAX (got few)"
expect_code 2 submit --cfg configs/demo.toml --ranks-per-node 0
expect_said "submit: --ranks-per-node must be a number from 1 (got 0)"
expect_code 2 submit --cfg configs/demo.toml --gpus-per-node v100:
expect_said "submit: --gpus-per-node must be a number or TYPE:NUMBER (got v100:)"
expect_code 2 submit --cfg configs/demo.toml --gpus-per-node :4
expect_said "submit: --gpus-per-node must be a number or TYPE:NUMBER (got :4)"
expect_code 2 submit --cfg configs/demo.toml --launcher ssh
expect_said "submit: --launcher must be srun or mpirun (got ssh)"
expect_code 2 submit --cfg configs/demo.toml --cfg configs/medical.toml --preemptible
expect_said "submit: --preemptible takes one --cfg"
expect_code 2 submit --cfg configs/nowhere.toml
expect_said "--cfg configs/nowhere.toml: there is no such file"
expect_code 2 submit --cfg configs/llama2_70b.toml --plan "--memory 1GB"
expect_said "lora_dist: error: "
expect_code 0 launch/submit --help
expect_said "--dry-run" "--preemptible" "--plan"
finish
