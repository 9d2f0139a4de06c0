// The cases of attention.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/operators/operator_case.h"

namespace lora_dist::operators {

/// Heads over segments, of as many keys as queries.
struct Attended {
  int heads, kv_heads, head_dim;
  std::vector<std::int64_t> starts;  // of queries and keys
  int window = 0;
  float soft_cap = 0.0F;
};

/// Each shape forward, and forward with its backward.
void add_attention(std::vector<OperatorCase>& cases, const std::vector<Attended>& shapes);
/// A few queries at the end of many keys, as in generation.
void add_cached_attention(std::vector<OperatorCase>& cases, std::int64_t queries, std::int64_t keys, int window = 0,
                          float soft_cap = 0.0F);

}  // namespace lora_dist::operators
