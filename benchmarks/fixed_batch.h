// The batch of every measured step.
#pragma once

#include <cstdint>
#include <list>
#include <vector>

#include "src/data/packing.h"
#include "src/data/sample.h"

namespace lora_dist::benchmarks {

/// Full sequences of one sample each, with ids that benchmarks/peft_step.py makes by the same formula.
struct FixedBatch {
  FixedBatch(std::int64_t count, std::int64_t length, std::int64_t vocab) {
    for (std::int64_t i = 0; i < count; ++i) {
      std::vector<std::int32_t>& ids = tokens.emplace_back();
      for (std::int64_t t = 0; t < length; ++t) {
        ids.push_back(static_cast<std::int32_t>((i * 7919 + t * 104729) % vocab));
      }
      samples.push_back({i, ids, ids});
      sequences.push_back({static_cast<std::int32_t>(i)});
    }
  }
  std::list<std::vector<std::int32_t>> tokens;  // owned; the samples are views
  std::vector<Sample> samples;
  std::vector<Sequence> sequences;
};

}  // namespace lora_dist::benchmarks
