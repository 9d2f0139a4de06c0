// Planned steps, covering all settings that change the work of a step.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "src/plan/planned_rank.h"

namespace lora_dist::test {

struct PlannedCase {
  std::string name;
  std::string model;   // in configs/, or a folder of the repository
  std::string device;  // empty: CPUs
  PlannedMesh mesh;
  std::vector<std::string> sets;
  std::int64_t tokens_per_sample = 0;
};

/// The verified numbers of folders are those of PEFT's default modules; configs/ name their own.
inline void set_modules(PlannedCase& planned) {
  const bool is_folder = planned.model.find('/') != std::string::npos;
  const bool names_modules = std::ranges::any_of(planned.sets, [](const auto& set) { return set.starts_with("adapter.target"); });
  if (is_folder && !names_modules) {
    const bool is_neox = planned.model.find("neox") != std::string::npos;
    planned.sets.push_back(
        fmt::format("adapter.target_modules={}", is_neox ? R"(["query_key_value"])" : R"(["q_proj","v_proj"])"));
  }
}

inline std::vector<PlannedCase> planned_cases() {
  const std::string families = "tests/golden/families/";
  std::vector<PlannedCase> cases = {
      {"alone", "llama2_7b", "h100", {1, 1, 1}, {}},
      {"alone_no_recompute", "llama2_7b", "h100", {1, 1, 1}, {"train.recompute=none"}},
      {"alone_selective", "llama2_7b", "h100", {1, 1, 1}, {"train.recompute=selective"}},
      {"base_on_host", "llama2_7b", "h100", {1, 1, 1}, {"parallel.base_device=host"}},
      {"sharded_on_host", "llama2_7b", "a100", {8, 1, 8}, {"parallel.base_device=host"}},
      {"sharded", "llama2_7b", "v100", {4, 1, 4}, {}},
      {"sharded_by_nodes", "llama2_13b", "a100", {16, 1, 8}, {"train.global_batch=70", "train.micro_batch=3"}},
      {"in_flight", "llama2_7b", "h100", {2, 1, 2}, {"train.micro_batches_in_flight=3"}},
      {"in_flight_no_recompute", "llama2_7b", "h100", {2, 1, 2}, {"train.micro_batches_in_flight=3", "train.recompute=none"}},
      {"in_flight_mesh", "llama2_7b", "h100", {2, 4, 2}, {"train.micro_batches_in_flight=3", "train.recompute=block"}},
      {"in_flight_rows_divided",
       "llama2_7b",
       "h100",
       {2, 4, 2},
       {"train.micro_batches_in_flight=3", "train.recompute=selective", "parallel.sequence_parallel=true"}},
      {"whole_vocabulary", "llama3_1_8b", "a100", {8, 1, 8}, {"parallel.shard_vocabulary=false"}},
      {"divided_vocabulary", "llama3_1_8b", "a100", {8, 1, 8}, {}},
      {"over_mpi", "llama3_1_8b", "a100", {2, 4, 2}, {"parallel.communicator=mpi"}},
      {"rows_divided_over_mpi",
       "llama3_1_8b",
       "a100",
       {2, 4, 2},
       {"parallel.communicator=mpi", "parallel.sequence_parallel=true"}},
      {"tensor", "llama2_70b", "a100", {1, 8, 1}, {}},
      {"tensor_and_data", "llama2_70b", "a100", {8, 8, 8}, {"adapter.target_modules=all-linear"}},
      {"rows_divided", "llama2_70b", "a100", {1, 8, 1}, {"parallel.sequence_parallel=true", "train.micro_batch=3"}},
      {"many_ranks", "llama3_1_70b", "h100", {512, 8, 64}, {"train.global_batch=4096"}},
      {"all_linear", "llama2_7b", "h100", {1, 1, 1}, {"adapter.target_modules=all-linear"}},
      {"tied_head", "gpt2", "rtx4090", {4, 1, 4}, {}},
      {"tied_head_cut", "gpt2", "rtx4090", {2, 3, 2}, {}},
      {"parallel_residual", "koalpaca_12_8b", "rtx4090", {8, 1, 8}, {}},
      {"parallel_residual_cut", "koalpaca_12_8b", "rtx4090", {2, 4, 2}, {"train.micro_batches_in_flight=2"}},
      {"exaone", "exaone3_7_8b", "a100", {2, 1, 2}, {}},
      {"int8", "llama2_7b", "a100", {2, 2, 2}, {"model.quantization=int8"}},
      {"scales_once", "llama2_7b", "a100", {2, 2, 2}, {"model.double_quant=false"}},
      {"floats", "llama2_7b", "a100", {4, 2, 4}, {"model.quantization=none"}},
      {"floats_in_f32", "llama2_7b", "a100", {4, 2, 4}, {"model.quantization=none", "model.compute_dtype=fp32"}},
      {"packed", "llama2_7b", "v100", {4, 1, 4}, {}, 256},
      {"packed_unevenly", "llama2_7b", "v100", {4, 1, 4}, {}, 300},
      {"one_sample_each", "llama2_7b", "v100", {4, 1, 4}, {"data.packing=false"}, 300},
      {"norms_after", families + "exaone4_hybrid", "h100", {2, 2, 2}, {}},
      {"norms_after_in_flight", families + "exaone4_hybrid", "h100", {1, 2, 1}, {"train.micro_batches_in_flight=3"}},
      {"norms_after_rows_divided", families + "exaone4_hybrid", "", {1, 4, 1}, {"parallel.sequence_parallel=true"}},
      {"windows", families + "mistral_window", "h100", {1, 1, 1}, {"data.max_length=100"}},
      {"windows_of_qwen", families + "qwen2_window", "", {2, 2, 2}, {"data.max_length=100"}},
      {"gemma", families + "gemma", "", {1, 4, 1}, {"model.quantization=int8"}},
      {"neox_three", families + "gpt_neox_parallel", "", {1, 3, 1}, {"parallel.sequence_parallel=true"}},
      {"neox_serial", families + "gpt_neox_serial", "", {2, 2, 2}, {}},
      {"head_norms", families + "qwen3", "", {3, 1, 3}, {"adapter.target_modules=all-linear"}},
      {"norms_before_and_after", families + "gemma2", "h100", {2, 2, 2}, {}},
      {"two_rotations", families + "gemma3", "", {2, 2, 2}, {"parallel.sequence_parallel=true"}},
      {"fused_rows", families + "phi3", "h100", {1, 3, 1}, {"adapter.target_modules=all-linear"}},
      {"fused_gate", families + "glm4", "", {2, 2, 2}, {"parallel.sequence_parallel=true"}},
      {"factors", families + "hyperclovax", "h100", {1, 2, 1}, {}},
      {"one_norm", families + "cohere2", "", {2, 2, 2}, {}},
      {"cpus", "demo/model", "", {3, 1, 3}, {}},
      {"cpus_once_a_node", "demo/model", "", {4, 1, 4, true}, {}},
      {"cpus_once_a_node_in_flight", "demo/model", "", {2, 2, 2, true}, {"train.micro_batches_in_flight=2"}},
      {"cpus_in_flight", "demo/model", "", {2, 1, 2}, {"train.micro_batches_in_flight=3", "train.micro_batch=1"}},
      {"cpus_alone", "demo/model", "", {1, 1, 1}, {"train.recompute=none"}},
      {"prequantized", "tests/golden/prequantized/llama_nf4_nested", "", {2, 1, 2}, {}},
      {"dropout", "llama2_7b", "h100", {1, 2, 1}, {"adapter.dropout=0.1"}},
  };
  std::ranges::for_each(cases, set_modules);
  return cases;
}

}  // namespace lora_dist::test
