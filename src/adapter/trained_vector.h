// The small tensors of a base that full fine-tuning trains on every data-parallel rank, beside the norms
// (trained_norm.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/adapter/parameter.h"
#include "src/model/model_config.h"

namespace lora_dist {

struct Family;

/// The bias of a linear, a norm of q's or k's heads, or the table of learned positions.
enum class VectorSite : std::uint8_t { bias, q_norm, k_norm, positions };

struct TrainedVector {
  VectorSite site = VectorSite::bias;
  std::int64_t layer = 0;     // 0 for positions
  Linear linear = Linear::q;  // of a bias
  Parameter parameter;        // [width] as files store it (norm_adds_one); positions: [max_positions, hidden]
};

/// "model.layers.3.self_attn.q_proj": the path of its module.
std::string vector_path(const Family& family, const TrainedVector& vector);

/// Every such tensor, block by block, positions at the end; offsets are left 0.
std::vector<TrainedVector> all_vectors(const ModelSpec& model);

/// Null if it is not trained.
const TrainedVector* find_vector(const std::vector<TrainedVector>& vectors, VectorSite site, std::int64_t layer,
                                 Linear linear = Linear::q);

}  // namespace lora_dist
