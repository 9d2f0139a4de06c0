#!/bin/bash
# Errors of the whole program: the sentence stands on standard error once per job, and mpirun's exit code is the program's.
# usage: errors.sh <program> <source folder>
program=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0

# expect <exit code> <sentence> <command...>
expect() {
  local code=$1 sentence=$2
  shift 2
  "$@" >out.txt 2>err.txt
  local got=$? times
  times=$(grep -cF -- "$sentence" err.txt)
  if [ "$got" -ne "$code" ] || [ "$times" -ne 1 ]; then
    echo "FAILED: $* : exit code $got (expected $code), sentence $times times (expected 1): $sentence"
    cat err.txt
    failures=$((failures + 1))
  fi
}

printf '[adapter]\nr = 0\n' >bad.toml
printf '[adapter]\nr = 4\n' >incomplete.toml

for ranks in 0 1 4; do
  launch="mpirun -np $ranks"
  [ "$ranks" -eq 0 ] && launch=""
  expect 2 "lora_dist: error: bad.toml:2: adapter.r must be at least 1 (got 0)" $launch "$program" --cfg bad.toml
  expect 2 "lora_dist: error: --set adapter.r=-1: adapter.r must be at least 1 (got -1)" $launch "$program" --cfg incomplete.toml --set adapter.r=-1
  expect 2 "lora_dist: error: model.path is not set" $launch "$program" --cfg incomplete.toml
  expect 2 "lora_dist: error: --cfg none.toml: there is no such file" $launch "$program" --cfg none.toml
  expect 2 "lora_dist: error: unknown command trian; the nearest is train" $launch "$program" trian
  expect 2 "lora_dist: error: the command plan is not built yet" $launch "$program" plan
done

# Ranks that do not agree: one cannot read its command line while the other waits for it.
expect 2 "lora_dist: error: rank 1: train has no option --confg" \
  mpirun -np 1 "$program" --cfg incomplete.toml --print-config : -np 1 "$program" --confg incomplete.toml

# What is not an error is printed once too.
for option in --help --version "--cfg incomplete.toml --print-config"; do
  "$program" $option >alone.txt 2>err.txt || { echo "FAILED: $option"; failures=$((failures + 1)); }
  mpirun -np 3 "$program" $option >together.txt 2>err.txt || { echo "FAILED: $option under mpirun"; failures=$((failures + 1)); }
  if [ ! -s alone.txt ] || ! cmp -s alone.txt together.txt; then
    echo "FAILED: $option prints something else under mpirun"
    diff alone.txt together.txt
    failures=$((failures + 1))
  fi
done

[ "$failures" -eq 0 ]
