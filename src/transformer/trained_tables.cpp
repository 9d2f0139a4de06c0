// Looks up trained tables in the flat buffer.
#include "src/transformer/trained_tables.h"

#include "kernels/matmul/matmul.h"

namespace lora_dist {

void head_gradient(const ForwardContext& model, const HeadRows& chunk, TensorView rows) {
  matmul({.a = chunk.dlogits,
          .op_a = Transpose::yes,
          .b = chunk.normed,
          .alpha = model.base->spec.logits_scale,
          .added = {.beta = 1.0F},
          .c = rows},
         model.stream);
}

void add_head_gradient(const ForwardContext& model, const HeadRows& chunk, std::span<float> grads) {
  const TrainedTable* const table = find_table(model.layout->tables, TableSite::head);
  if (table != nullptr && table->ids.empty()) {
    const std::int64_t hidden = chunk.normed.cols();
    float* const first = grads.data() + table->parameter.offset + chunk.first * hidden;
    head_gradient(model, chunk, view(first, {chunk.dlogits.cols(), hidden}));
  }
}

}  // namespace lora_dist
