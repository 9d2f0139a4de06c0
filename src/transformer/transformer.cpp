// The forward and backward walk over the blocks; embed.cpp and head.cpp compute what precedes and follows them.
#include "src/transformer/transformer.h"

#include "kernels/common/work_record.h"
#include "kernels/elementwise/elementwise.h"
#include "src/core/activity.h"
#include "src/transformer/adapter_params.h"
#include "src/transformer/base_gradients.h"
#include "src/transformer/block.h"
#include "src/transformer/embed.h"
#include "src/transformer/head.h"
#include "src/transformer/trained_norms.h"
#include "src/transformer/trained_tables.h"
#include "src/transformer/virtual_tokens.h"

namespace lora_dist {

namespace {

/// A micro-batch in flight.
struct InFlight {
  DeviceMicroBatch batch;
  LinearContext linears;
  TensorParallel tp;
  const MicroBatchBuffers* buffers = nullptr;
  std::size_t index = 0;

  BlockContext in_block(const ForwardContext& model, std::int64_t layer, const BlockWeights& weights) const {
    return {model, batch, linears, tp, *buffers, layer, weights, index};
  }
};

/// `grads`: per micro-batch; empty in forward-only calls.
std::vector<InFlight> start(const ForwardContext& model, std::span<const MicroBatch> batches, const StepDropout& dropout,
                            std::span<const std::span<float>> grads) {
  require(batches.size() <= most_in_flight(model), "more micro-batches than the workspace was made for");
  const ConstTensorView params = cast_params(model);
  const ConstTensorView initial = cast_initial(model);
  apply_trained_norms(model);
  std::vector<InFlight> all;
  for (std::size_t i = 0; i < batches.size(); ++i) {
    require(batches[i].tokens() <= model.workspace->max_tokens, "a micro-batch has more tokens than the workspace was made for");
    require(batches[i].virtual_tokens == 0 || batches[i].virtual_tokens == model.layout->virtual_tokens.count,
            "a micro-batch has other virtual tokens than the adapter");
    InFlight& one = all.emplace_back();
    one.buffers = &model.workspace->in_flight[i];
    one.index = i;
    one.batch = to_device(batches[i], model.cache, *one.buffers, model.stream);
    if (!one.buffers->rope_rows.empty() && one.batch.tokens > 0) {
      const Workspace& workspace = *model.workspace;
      one.batch.rope_rows = to_device(rope_rows_of(batches[i], model.base->spec.rope, workspace.rope_positions),
                                      one.buffers->rope_rows, model.stream);
    }
    if (trains_token_rows(*model.layout) && one.batch.tokens > 0) {
      one.batch.token_rows = to_device(token_rows_of(model, batches[i]), one.buffers->token_rows, model.stream);
    }
    one.tp = tensor_parallel(model, one.batch.tokens);
    zero_added_gradients(model, grads.empty() ? std::span<float>{} : grads[i]);
    one.linears = {params,
                   view(model.params),
                   grads.empty() ? std::span<float>{} : grads[i],
                   dropout,
                   one.batch.sample_ids,
                   one.batch.positions,
                   model.workspace->scratch,
                   model.window,
                   model.stream,
                   model.tensor,
                   model.workspace->frozen,
                   initial};
  }
  return all;
}

std::vector<EmbeddedBatch> embedded_batches(std::span<const InFlight> all) {
  std::vector<EmbeddedBatch> batches;
  for (const InFlight& one : all) {
    batches.push_back({one.batch, one.tp, *one.buffers});
  }
  return batches;
}

void embed_all(const ForwardContext& model, std::span<const InFlight> all) {
  const WorkPart part(model.stream, kEmbeddingPart);
  embed(model, embedded_batches(all));
}

/// Fetches what follows the last block while that block computes.
void prefetch_after(const ForwardContext& model, std::int64_t next) {
  if (next < model.base->spec.layers) {
    model.window->prefetch(next);
  } else {
    model.window->tables().prefetch(model.base->head, 0);
  }
}

bool have_work(std::span<const InFlight> all) {
  return std::ranges::any_of(all, [](const InFlight& one) { return one.batch.tokens > 0; });
}

/// All blocks in ascending order; leaves hidden states in each micro-batch's entering(0 .. layers).
void run_forward(const ForwardContext& model, std::span<const InFlight> all) {
  embed_all(model, all);
  const WorkPart part(model.stream, kForwardPart);
  for (std::int64_t layer = 0; layer < model.base->spec.layers; ++layer) {
    const BlockWeights weights = model.window->acquire(layer);
    prefetch_after(model, layer + 1);
    for (const InFlight& one : all) {
      heartbeat();
      if (one.batch.tokens > 0) {  // without tokens this rank only joins the others' gathers
        block_forward(one.in_block(model, layer, weights));
      }
    }
    model.window->release(layer);
  }
}

void recompute(const ForwardContext& model, const BlockContext& block) {
  if (model.workspace->recompute == Recompute::block) {
    block_recompute(block);
  } else if (model.workspace->recompute == Recompute::selective) {
    block_recompute_cheap(block);
  }
}

/// True if the gradient of the first block's input is wanted: the first norm is trained by it, for instance.
bool trains_below(const ForwardContext& model) {
  const AdapterLayout& layout = *model.layout;
  return !layout.norms.empty() || trains_input(layout) || trains_embedding(layout) || model.base_gradients != nullptr;
}

/// All blocks in descending order, from the gradient in each micro-batch's hidden_gradient. The last micro-batch comes first: its
/// activations of the last block are still saved.
void run_backward(const ForwardContext& model, std::span<const InFlight> all) {
  const WorkPart part(model.stream, kBackwardPart);
  const std::int64_t layers = model.base->spec.layers;
  for (std::int64_t layer = layers - 1; layer >= 0; --layer) {
    heartbeat();
    begin_block_gradients(model, layer);
    if (!have_work(all)) {
      model.window->serve(layer, layer - 1);
      end_block_gradients(model, layer);
      continue;
    }
    const BlockWeights weights = model.window->acquire(layer);
    if (layer > 0) {
      model.window->prefetch(layer - 1);
    }
    bool saved = layer + 1 == layers;
    for (std::size_t i = all.size(); i-- > 0;) {
      if (all[i].batch.tokens == 0) {
        continue;
      }
      heartbeat();
      const BlockContext block = all[i].in_block(model, layer, weights);
      if (!saved) {
        recompute(model, block);
      }
      saved = false;
      block_backward(block, layer > 0 || trains_below(model));
      if (layer == 0) {
        take_virtual_input(block);
        take_trained_embedding(block);
      }
    }
    model.window->release(layer);
    end_block_gradients(model, layer);
  }
}

}  // namespace

std::size_t most_in_flight(const ForwardContext& model) { return model.workspace->in_flight.size(); }

TensorParallel tensor_parallel(const ForwardContext& model, std::int64_t tokens) {
  return {model.tensor, tokens, model.workspace->gathered, model.stream, model.workspace->piece_tokens};
}

TensorView last_hidden(const ForwardContext& model, const MicroBatchBuffers& buffers, std::int64_t tokens) {
  const TensorParallel tp = tensor_parallel(model, tokens);
  return gather_shard(tp, buffers.entering(model.base->spec.layers).rows(tp.shard_tokens()));
}

std::vector<double> forward_backward(const ForwardContext& model, std::span<const MicroBatch> batches, const Objective& objective,
                                     const StepDropout& dropout, std::span<const std::span<float>> grads) {
  const std::vector<InFlight> all = start(model, batches, dropout, grads);
  run_forward(model, all);
  const PendingLosses losses = head_loss_and_gradient(model, batches, objective, grads);
  run_backward(model, all);
  add_embedding_gradients(model, embedded_batches(all), grads);
  return wait_for(model, losses);  // only now: the GPU has received the whole micro-batch before the host waits
}

std::vector<double> forward_loss(const ForwardContext& model, std::span<const MicroBatch> batches) {
  run_forward(model, start(model, batches, {}, {}));
  return head_loss(model, batches);
}

void forward_log_probs(const ForwardContext& model, const MicroBatch& batch, std::span<float> log_prob,
                       std::span<std::int32_t> argmax) {
  require(model.tensor == nullptr, "log-probabilities are for ranks that compute alone");
  run_forward(model, start(model, {&batch, 1}, {}, {}));
  head_log_probs(model, batch, log_prob, argmax);
}

std::vector<float> forward_next(const ForwardContext& model, std::span<const std::int32_t> ids, KvCache& cache) {
  const std::int64_t virtual_tokens = cache.length == 0 ? model.layout->virtual_tokens.count : 0;
  const MicroBatch batch =
      one_sequence({ids.begin(), ids.end()}, std::vector<std::int32_t>(ids.size(), kNotTrained), cache.length, virtual_tokens);
  ForwardContext with_cache = model;
  with_cache.cache = &cache;
  run_forward(with_cache, start(with_cache, {&batch, 1}, {}, {}));
  cache.length += batch.tokens();
  return head_next(with_cache, batch.tokens());
}

}  // namespace lora_dist
