// The tokens of a micro-batch that the head reads, and their division into chunks whose logits exist at a time.
#pragma once

#include <cstdint>
#include <span>

#include "src/core/activity.h"
#include "src/transformer/forward_context.h"
#include "src/transformer/micro_batch.h"

namespace lora_dist {

/// The tokens of a micro-batch that the head reads, in the operators' memory.
struct Picked {
  const MicroBatchBuffers* buffers = nullptr;
  std::int64_t tokens = 0;  // of the micro-batch
  std::int64_t count = 0;
  ConstTensorView index;    // i32 [count]: positions in the micro-batch
  ConstTensorView targets;  // i32 [count]
  std::span<float> grads;   // the flat buffer, for trained rows of the head; empty: no backward

  const HeadBuffers& head() const { return buffers->head; }
};

/// Picks tokens of a micro-batch, gathers their last hidden states and applies the final norm.
Picked pick_and_norm(const ForwardContext& model, const MicroBatch& batch, const MicroBatchBuffers& buffers, bool only_targets);

/// Some of the picked tokens, with their buffers.
struct TokenChunk {
  std::int64_t first = 0;
  std::int64_t rows = 0;
  TensorView normed;             // [rows, hidden]: the input of the logits; then its gradient
  TensorView gradient;           // f32 [rows, hidden]: the sum of that gradient
  ConstTensorView targets;       // i32 [rows]
  TensorView loss;               // f32 [rows]
  std::span<float> numbers;      // [chunks * rows, 3]: this rank's numbers per chunk of the vocabulary
  std::span<float> all_numbers;  // [ranks * chunks * rows, 3]
  std::span<float> grads;        // as Picked's
};

/// The chunk that begins with token `first` of the picked ones.
TokenChunk token_chunk(const ForwardContext& model, const Picked& picked, std::int64_t first);

template <class Work>
void for_each_token_chunk(const ForwardContext& model, const Picked& picked, Work work) {
  for (std::int64_t first = 0; first < picked.count; first += model.workspace->logits_rows) {
    heartbeat();
    model.window->progress();
    work(token_chunk(model, picked, first));
  }
}

}  // namespace lora_dist
